"""One process at a time in a directory: a lock that its owner's end releases, however it ends.

The lock is the kernel's (flock), on a file beside the directory, so that nothing is left to clear
away after a kill, and so that it holds before the directory is there. The file says who holds it.
Forks of the owner, which may outlive it by a moment, do not hold it on.
Over NFS the lock holds between machines as well, where the mount has locks at all (the default).
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chainstitch.utils.errors import UserError
from chainstitch.utils.files import clear_unfinished

_held: set[int] = set()  # descriptors of this process's locks


def _leave_to_parent() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


@contextmanager
def locked(directory: Path | str) -> Iterator[None]:
    """Holds `.<name>.lock` beside `directory` while the block runs.

    What killed processes left of their attempts to make the directory is removed first.

    Raises:
        UserError: another process holds it; says which, on which machine, since when.
    """
    directory = Path(directory).absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    path = directory.parent / f".{directory.name}.lock"
    descriptor = _acquire(path, directory)
    _held.add(descriptor)
    try:
        owner = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(owner).encode())
        clear_unfinished(directory)
        yield
    finally:
        if descriptor in _held:  # not in a fork that leaves the block
            path.unlink(missing_ok=True)  # while it is still ours
            _held.remove(descriptor)
            os.close(descriptor)


def _acquire(path: Path, directory: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, descriptor):
                return descriptor
        except BlockingIOError:
            owner = os.read(descriptor, 1000).decode(errors="replace")
            os.close(descriptor)
            raise UserError(
                f"{directory} is in use by {_named(owner)}; wait for it, or stop it, or give "
                "another --out"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one at `path`: its last owner deletes it, at any moment."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _named(owner: str) -> str:
    try:
        found = json.loads(owner)
        return f"process {found['pid']} on {found['host']}, since {found['since']}"
    except (ValueError, KeyError, TypeError):  # it has just begun
        return "another process"
