"""Atomic writes: a file or directory appears whole under its final name, or not at all.

Everything is built under a temporary name beside the target and renamed; files are flushed to disk
first. A kill at any moment leaves either the old state or the new one, and at worst a `.tmp-*` name
that the next writer clears away (unfinished.py). A directory changes places in two renames: after a
kill between them the next who makes that directory finds the old one and gives it its name back.

What may be written and replaced at all: outputs.py.
"""

from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from chainstitch.utils.lock import locked
from chainstitch.utils.outputs import check_directory, write_mark
from chainstitch.utils.unfinished import clear_file, remove, temporary_name


def _flush_names(directory: Path) -> None:
    """Makes a rename survive a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A disk that is full, which knows nothing of files, is said to be that of `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT):
            error.filename = str(path)
        raise


@contextmanager
def atomic_file(path: Path | str, mode: str = "w") -> Iterator[IO[Any]]:
    """Opens a file for writing that replaces `path` only when the block ends without an exception.

    A symbolic link at `path` is replaced itself; what it points to stays as it is.

    Args:
        path: the final name; its directory must exist.
        mode: "w" (UTF-8 text) or "wb".

    Raises:
        OSError: from the file system (a full disk, say); `path` is then as it was.
    """
    path = Path(path)
    clear_file(path)
    temporary = temporary_name(path)
    # "x": nothing that somebody put there is opened, and no link is followed
    new = mode.replace("w", "x")
    stream = open(temporary, new, encoding=None if "b" in mode else "utf-8")  # noqa: SIM115
    try:
        with _naming(path), stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        _flush_names(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path | str, kind: str, overwrite: bool = False) -> Iterator[Path]:
    """Yields a temporary directory that takes the name `path` when the block succeeds.

    It holds the mark of its kind and nothing else, and is locked: nobody else makes `path` now.
    Manifests written inside the block must not hold the temporary path; use `path` for anything
    that is stored, and the yielded directory for writing.

    Args:
        kind: one of `outputs.DIRECTORIES`.

    Raises:
        UsageError: `path` exists (and is not an empty directory) and `overwrite` is false, or it is
            not of this kind, or not of our making.
        UserError: another process is making it.
    """
    path = Path(path)
    with locked(path, nested=True):
        check_directory(path, kind, overwrite)
        temporary = temporary_name(path)
        remove(temporary)
        temporary.mkdir()
        try:
            write_mark(temporary, kind)
            yield temporary
            check_directory(path, kind, overwrite)  # that may have been an hour
            _take_place(temporary, path)
        finally:
            remove(temporary)


def _take_place(temporary: Path, path: Path) -> None:
    """Gives `temporary` the name `path`; the old one is deleted when that is done."""
    if not os.path.lexists(path) or not any(path.iterdir()):
        os.rename(temporary, path)
        _flush_names(path.parent)
        return
    replaced = temporary_name(path, "replaced")
    try:
        os.rename(path, replaced)
        os.rename(temporary, path)
    except BaseException:
        if not os.path.lexists(path):
            with suppress(OSError):
                os.rename(replaced, path)
        raise
    _flush_names(path.parent)
    os.rename(replaced, temporary)  # what is called `replaced` is always whole
    remove(temporary)


@contextmanager
def directory_beside(path: Path) -> Iterator[Path]:
    """An empty directory on the same disk as `path`, for what may be moved there; removed after it.

    It and those above are made when something is written: see `Path.mkdir(parents=True)`.
    """
    temporary = temporary_name(path, "beside")
    remove(temporary)
    try:
        with _naming(path):
            yield temporary
    finally:
        remove(temporary)


def gzipped(stream: IO[bytes], level: int = 9) -> gzip.GzipFile:
    """A gzip stream into an open file, without name and time: the same content, the same bytes."""
    return gzip.GzipFile("", "wb", level, stream, mtime=0)
