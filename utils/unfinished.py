"""What is not whole yet: how it is called while it is made, and what becomes of it after a kill.

Beside an output NAME a process PID may have

    .tmp-PID-NAME            what it is making, which takes the name NAME when it is whole
    .tmp-PID.beside-NAME     what will go into that
    .tmp-PID.replaced-NAME   the whole old NAME, between the two renames that put the new one there

Names of no other form are touched. Of a directory it is the holder of its lock (lock.py) who clears
away after others: all who make one hold it, so that whoever left something is dead. Of a file it is
its next writer, if the process is no more.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = ".tmp-"  # how names of unfinished files begin

log = logging.getLogger(__name__)


def temporary_name(path: Path, role: str = "") -> Path:
    """Where this process makes `path`; role: "beside" or "replaced"."""
    role = f".{role}" if role else ""
    return path.parent / f"{TEMPORARY}{os.getpid()}{role}-{path.name}"


def remove(path: Path) -> None:
    """Deletes a file, a link (never what it points to) or a whole directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def clear_directory(path: Path) -> None:
    """Removes what killed processes left of their attempts to make the directory `path`.

    If one was killed between the two renames, the old directory gets its name back. Only for who
    holds the lock of `path`, as others may be writing it.
    """
    left = list(_left(path))
    replaced = [place for place, _, role in left if role == "replaced"]
    if replaced and not os.path.lexists(path):
        old = max(replaced, key=lambda place: place.stat().st_mtime)
        os.rename(old, path)
        log.warning("%s is the one of before: a process was killed while it replaced it", path)
    for place, _, _ in left:
        remove(place)


def clear_file(path: Path) -> None:
    """Removes what dead processes left of their attempts to write the file `path`."""
    for place, pid, role in _left(path):
        if not role and not place.is_dir() and (pid == os.getpid() or not _alive(pid)):
            place.unlink(missing_ok=True)


def clear_files(directory: Path, names: str) -> None:
    """Removes all unfinished files in a directory of names that match an expression.

    Only for who alone writes such files there.
    """
    for place in directory.iterdir():
        if re.fullmatch(rf"\.tmp-\d+-(?:{names})", place.name) and not place.is_dir():
            place.unlink(missing_ok=True)


def is_replaced(path: Path) -> bool:
    """Whether a killed process left `path` without its name; `clear_directory` gives it back."""
    return not os.path.lexists(path) and any(role == "replaced" for _, _, role in _left(path))


def _left(path: Path) -> Iterator[tuple[Path, int, str]]:
    """(where, process, role) of unfinished things of `path`."""
    try:
        names = os.listdir(path.parent)
    except FileNotFoundError:
        return
    for name in names:
        if name.startswith(TEMPORARY) and name.endswith(path.name):
            found = re.fullmatch(r"\.tmp-(\d+)(?:\.(beside|replaced))?-(.*)", name, re.DOTALL)
            if found and found[3] == path.name:
                yield path.parent / name, int(found[1]), found[2] or ""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
