"""Several arrays in one file, which is opened in no time: memory-mapped, each with a checksum.

    8 bytes MAGIC | the arrays, each from a multiple of 64 bytes on | JSON | length, checksum, MAGIC

The JSON lists the arrays (dtype, shape, place, CRC-32) and `facts` of the writer's own; it comes
last, so that what is not known before may be written while it is made, and a file that was cut
short has none. An array is checked when it is asked for first, and not believed when it is damaged.

Arrays of texts are two arrays: UTF-8 one after the other, and where each ends (`Texts`).
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, overload

import numpy as np

MAGIC = b"CHSTarr1"
END = struct.Struct("<QI8s")  # of the file: length and checksum of the JSON, MAGIC
ALIGNED = 64
CHUNK = 1 << 24


class Damaged(ValueError):
    """Not such a file, or not what was written."""


class Texts(Sequence[str]):
    """Many texts in two arrays: a Sequence[str] that makes each text when it is asked for.

    Args:
        utf8: (bytes,) uint8; ends: (texts,) int64, where each ends.
    """

    def __init__(self, utf8: np.ndarray, ends: np.ndarray) -> None:
        self.utf8, self.ends = utf8, ends

    @classmethod
    def of(cls, texts: Sequence[str]) -> Texts:
        """These texts."""
        parts = [text.encode() for text in texts]
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        return cls(np.frombuffer(b"".join(parts), np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, number: int) -> str: ...

    @overload
    def __getitem__(self, number: slice) -> list[str]: ...

    def __getitem__(self, number: int | slice) -> str | list[str]:
        if isinstance(number, slice):
            return [self[n] for n in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        number = int(number) % len(self)
        begin = int(self.ends[number - 1]) if number else 0
        return self.utf8[begin : int(self.ends[number])].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        begin = 0
        for end in self.ends.tolist():
            yield self.utf8[begin:end].tobytes().decode()
            begin = end

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """What to write; `ArrayFile.texts(name)` reads it."""
        return {name: self.utf8, f"{name}_ends": self.ends}


class ArrayWriter:
    """Writes the file, array by array.

    Args:
        stream: of a new file, open for writing bytes.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._arrays: dict[str, Any] = {}
        self._at = stream.write(MAGIC)

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Adds arrays by name."""
        for name, array in arrays.items():
            array = np.ascontiguousarray(array)
            self._align()
            data = array.reshape(-1).view(np.uint8).data if array.size else b""
            self._arrays[name] = {
                "dtype": array.dtype.str, "shape": array.shape, "at": self._at,
                "crc": zlib.crc32(data),
            }  # fmt: skip
            self.append(data)

    def append(self, data: bytes | memoryview) -> int:
        """Adds bytes that belong to no array, whose place the writer keeps; returns that."""
        at = self._at
        self._stream.write(data)
        self._at += len(data)
        return at

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Adds the JSON; nothing can be written afterwards."""
        text = json.dumps({"arrays": self._arrays, "facts": dict(facts)}).encode()
        self._stream.write(text + END.pack(len(text), zlib.crc32(text), MAGIC))

    def _align(self) -> None:
        self.append(bytes(-self._at % ALIGNED))


class ArrayFile:
    """The arrays of a file.

    Attributes:
        path; facts: what the writer said.

    Raises:
        Damaged: not such a file, or one that was cut short.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._seen: dict[str, np.ndarray] = {}
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size < len(MAGIC) + END.size or stream.read(len(MAGIC)) != MAGIC:
                raise Damaged(f"{path} is not a file of arrays, or was cut short")
            stream.seek(size - END.size)
            length, crc, magic = END.unpack(stream.read(END.size))
            if magic != MAGIC or length > size - END.size - len(MAGIC):
                raise Damaged(f"{path} was cut short, or something was added to it")
            stream.seek(size - END.size - length)
            text = stream.read(length)
            if zlib.crc32(text) != crc:
                raise Damaged(f"{path} is damaged at its end")
            found = json.loads(text)
            self.facts: dict[str, Any] = found["facts"]
            self._arrays = found["arrays"]
            self._bytes = np.memmap(stream, np.uint8, "r")
            self._stream = os.dup(stream.fileno())

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __getitem__(self, name: str) -> np.ndarray:
        """An array, read-only, as it was written.

        Raises:
            KeyError: there is none of that name.
            Damaged: it is not what was written.
        """
        if name not in self._seen:
            about = self._arrays[name]
            dtype = np.dtype(about["dtype"])
            size = int(np.prod(about["shape"], dtype=np.int64)) * dtype.itemsize
            if self._crc(about["at"], size) != about["crc"]:
                raise Damaged(f"{self.path}: {name} is damaged")
            data = np.asarray(self._bytes[about["at"] : about["at"] + size])
            self._seen[name] = data.view(dtype).reshape(about["shape"])
        return self._seen[name]

    def texts(self, name: str) -> Texts:
        """An array of texts."""
        return Texts(self[name], self[f"{name}_ends"])

    def read(self, at: int, size: int) -> bytes:
        """Bytes that were appended at a place; may be called from several threads."""
        data = os.pread(self._stream, size, at)
        if len(data) != size:
            raise Damaged(f"{self.path} was cut short")
        return data

    def _crc(self, at: int, size: int) -> int:
        crc = 0  # a piece at a time, as all mapped pages that were touched count as memory
        for begin in range(at, at + size, CHUNK):
            crc = zlib.crc32(self.read(begin, min(CHUNK, at + size - begin)), crc)
        return crc

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            os.close(self._stream)

    def __reduce__(self) -> Any:
        return ArrayFile, (self.path,)


def checksum(path: Path) -> str:
    """Size and CRC-32 of a file."""
    crc = size = 0
    with open(path, "rb") as stream:
        while piece := stream.read(CHUNK):
            crc, size = zlib.crc32(piece, crc), size + len(piece)
    return f"{size} bytes, {crc:08x}"
