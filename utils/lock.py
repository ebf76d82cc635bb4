"""One process at a time in a directory: a lock that its owner's end releases, however it ends.

The lock is the kernel's (flock), on a file beside the directory, so that nothing is left to clear
away after a kill, and so that it holds before the directory is there. The file says who holds it.
What is at its name and is no lock is left alone: a link is not followed, nothing else written to.
Forks of the owner, which may outlive it by a moment, do not hold it on.
Over NFS the lock holds between machines as well, where the mount has locks at all (the default).
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chainstitch.utils.errors import UserError
from chainstitch.utils.unfinished import clear_directory

START = b'{"host": "'  # of a lock's content; json.dumps keeps the order of its keys

_held: dict[Path, int] = {}  # this process's locks and their descriptors

log = logging.getLogger(__name__)


def _leave_to_parent() -> None:
    for descriptor in _held.values():
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


@contextmanager
def locked(directory: Path | str, wait: bool = False, nested: bool = False) -> Iterator[None]:
    """Holds `.<name>.lock` beside `directory` while the block runs.

    What killed processes left of their attempts to make the directory is removed first.

    Args:
        wait: until another process that holds it is done, instead of an error.
        nested: this process may hold it already.

    Raises:
        UserError: another process holds it (says which, on which machine, since when); or what is
            at the lock's name is no lock.
    """
    directory = Path(directory).absolute()
    path = directory.parent / f".{directory.name}.lock"
    if nested and path in _held:
        yield
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _acquire(path, directory, wait)
    _held[path] = descriptor
    try:
        owner = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)
        clear_directory(directory)
        yield
    finally:
        if _held.get(path) == descriptor:  # not in a fork that leaves the block
            if _is_at(path, descriptor):  # and nobody deleted it
                path.unlink(missing_ok=True)  # while it is still ours
            del _held[path]
            os.close(descriptor)


def _acquire(path: Path, directory: Path, wait: bool) -> int:
    while True:
        descriptor = _open(path)
        try:
            _check_is_lock(path, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = _named(os.pread(descriptor, 1000, 0))
                if not wait:
                    raise UserError(
                        f"{directory} is in use by {owner}; wait for it, or stop it, or give "
                        "another --out"
                    ) from None
                log.info("waiting for %s, which makes %s", owner, directory)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(path, descriptor):
                return descriptor
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise UserError(
                    f"{path}: no locks on this file system ({error.strerror}); mount it with "
                    "them, or write elsewhere"
                ) from None
            raise
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _open(path: Path) -> int:
    # O_NONBLOCK: a pipe of that name must not keep us waiting
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _not_a_lock(path) from None
        raise


def _check_is_lock(path: Path, descriptor: int) -> None:
    """That it is a plain file of one name, empty or with an owner in it.

    Raises:
        UserError: it is something else.
    """
    found = os.fstat(descriptor)
    content = os.pread(descriptor, len(START), 0) if stat.S_ISREG(found.st_mode) else None
    # no name: its owner has just deleted it
    if found.st_nlink > 1 or content is None or not START.startswith(content):
        raise _not_a_lock(path)


def _not_a_lock(path: Path) -> UserError:
    what = "a symbolic link" if path.is_symlink() else "something else"
    return UserError(
        f"{path} is where the lock of {path.name[1:].removesuffix('.lock')} belongs, but it is "
        f"{what}; it was left alone: move it away, or give another --out"
    )


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one at `path`: its last owner deletes it, at any moment."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _named(owner: bytes) -> str:
    try:
        found = json.loads(owner)
        return f"process {found['pid']} on {found['host']}, since {found['since']}"
    except (ValueError, KeyError, TypeError):  # it has just begun
        return "another process"
