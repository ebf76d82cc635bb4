"""A stream that C++ libraries may write to until the disk is full.

What a library does with an error of the stream that it writes to is its own affair: torch raises a
RuntimeError that does not say why, and HDF5, which tries again at its own end, takes the process
down with it. So they see none: from the first error on nothing is written, every call seems to
succeed, and the error is raised when the library is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any


class LibraryStream:
    """What h5py, torch and the like need of a binary stream.

    Args:
        stream: open for writing and, if the library reads back what it wrote, for reading.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream: Any = stream
        self._error: BaseException | None = None
        self._place = 0  # where the library believes to be, after an error
        self._end = 0

    def check(self) -> None:
        """Raises the first error of the stream, if there was one."""
        if self._error is not None:
            raise self._error

    def write(self, data: Any) -> int:
        """The number of bytes of `data`, written or not."""
        size = memoryview(data).nbytes
        done: int | None = self._try(self._stream.write, data)
        if done is None:
            self._place += size
            self._end = max(self._end, self._place)
        return size

    def seek(self, offset: int, whence: int = 0) -> int:
        """The new place."""
        place: int | None = self._try(self._stream.seek, offset, whence)
        if place is None:
            place = self._place = offset + (0, self._place, self._end)[whence]
        return place

    def tell(self) -> int:
        """The place."""
        place: int | None = self._try(self._stream.tell)
        return self._place if place is None else place

    def read(self, size: int) -> bytes:
        """So many bytes; after an error zeros, as what was to be there may not be."""
        found: bytes | None = self._try(self._stream.read, size)
        return bytes(size) if found is None else found

    def truncate(self, size: int | None = None) -> int:
        """The new size."""
        found: int | None = self._try(self._stream.truncate, size)
        return (size or 0) if found is None else found

    def flush(self) -> None:
        """Flushes what can be."""
        self._try(self._stream.flush)

    def _try(self, call: Any, *arguments: Any) -> Any:
        """What the call returns; None from the first error on."""
        if self._error is not None:
            return None
        try:
            return call(*arguments)
        except BaseException as error:  # a signal's, too: they are no better at that
            self._error = error
            return None


@contextmanager
def for_library(stream: IO[bytes]) -> Iterator[Any]:
    """The stream for a library to write to, and its error, if any, when the block ends.

    Raises:
        OSError: of the stream, also in the place of what the library made of it.
    """
    given = LibraryStream(stream)
    try:
        yield given
    except Exception:
        given.check()
        raise
    given.check()
