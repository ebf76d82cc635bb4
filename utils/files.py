"""Atomic writes: a file or directory appears whole under its final name, or not at all.

Everything is built under a temporary name beside the target and renamed; files are flushed to disk
first. A kill at any moment leaves either the old state or the new one, and at worst a `.tmp-*` name
to delete. (A directory changes places in two steps: a kill between them leaves the old and the new
one whole, both under `.tmp-*` names.)
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from chainstitch.utils.errors import UsageError

TEMPORARY = ".tmp-"  # how names of unfinished files begin
BESIDE = ".beside"  # how those of `directory_beside` end


def _temporary_name(path: Path) -> Path:
    return path.parent / f"{TEMPORARY}{os.getpid()}-{path.name}"


def clear_unfinished(path: Path) -> None:
    """Removes what killed processes left beside `path` of their attempts to write it.

    Only for who holds the lock of `path`, as others may be writing it.
    """
    for sibling in path.parent.glob(f"{TEMPORARY}*"):
        of = sibling.name.removeprefix(TEMPORARY).partition("-")[2]
        if of in (path.name, path.name + BESIDE):
            _remove(sibling)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _flush_names(directory: Path) -> None:
    """Makes a rename survive a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(path: Path | str, mode: str = "w") -> Iterator[IO[Any]]:
    """Opens a file for writing that replaces `path` only when the block ends without an exception.

    Args:
        path: the final name; its directory must exist.
        mode: "w" (UTF-8 text) or "wb".

    Raises:
        OSError: from the file system (a full disk, say); `path` is then as it was.
    """
    path = Path(path)
    temporary = _temporary_name(path)
    try:
        with open(temporary, mode, encoding=None if "b" in mode else "utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        _flush_names(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path | str, overwrite: bool = False) -> Iterator[Path]:
    """Yields an empty temporary directory that takes the name `path` when the block succeeds.

    Manifests written inside the block must not hold the temporary path; use `path` for anything
    that is stored, and the yielded directory for writing.

    Raises:
        UsageError: `path` exists (and is not an empty directory) and `overwrite` is false.
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    replaced = temporary.with_name(temporary.name + ".replaced")
    _remove(temporary)
    temporary.mkdir()
    try:
        yield temporary
        # Two renames and then the deletion: a kill in between loses neither the old nor the new.
        if os.path.lexists(path):
            os.replace(path, replaced)
        os.replace(temporary, path)
        _flush_names(path.parent)
        _remove(replaced)
    finally:
        _remove(temporary)


@contextmanager
def directory_beside(path: Path) -> Iterator[Path]:
    """An empty directory on the same disk as `path`, for what may be moved there; removed after it.

    It and those above are made when something is written: see `Path.mkdir(parents=True)`.
    """
    temporary = _temporary_name(path).with_name(f"{_temporary_name(path).name}{BESIDE}")
    _remove(temporary)
    try:
        yield temporary
    finally:
        _remove(temporary)


def refuse_existing(path: Path | str, overwrite: bool) -> None:
    """Raises UsageError when `path` holds something already and `overwrite` is false."""
    path = Path(path)
    empty = path.is_dir() and not any(path.iterdir())
    occupied = os.path.lexists(path) and not empty
    if occupied and not overwrite:
        raise UsageError(
            f"{path} exists already and nothing in it was touched; pass --overwrite to replace it"
        )
