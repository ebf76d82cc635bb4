"""A small disk that can be filled: a file system in memory, where one may be mounted.

As root, or by a process of its own that is root in a user namespace: then the disk is reached
through that process's directory in /proc.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEGABYTES = 64
HOLD = 'mount -t tmpfs -o %s tmpfs "$1" && echo mounted && exec sleep 100000'


class NoSmallDisk(Exception):
    """Why there can be none here."""


class SmallDisk:
    """The disk at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def free(self) -> int:
        """Bytes."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_bsize

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Leaves so many bytes (in whole pages) while the block runs."""
        filler = self.path / "filler"
        with open(filler, "wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, self.free() - size // 4096 * 4096)
        try:
            yield
        finally:
            filler.unlink()


@contextmanager
def small_disk(place: Path) -> Iterator[SmallDisk]:
    """A new disk, mounted on a new directory.

    Raises:
        NoSmallDisk: it is not allowed here.
    """
    place.mkdir()
    size = f"size={MEGABYTES}m"
    try:
        mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)]
        if subprocess.run(mount, capture_output=True).returncode == 0:
            try:
                yield SmallDisk(place)
            finally:
                subprocess.run(["umount", "--lazy", str(place)], check=True)
            return
        holder = subprocess.Popen(
            ["unshare", "-rm", "sh", "-c", HOLD % size, "sh", str(place)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    except OSError as error:
        raise NoSmallDisk(str(error)) from None
    assert holder.stdout is not None and holder.stderr is not None
    try:
        if holder.stdout.readline() != "mounted\n":
            raise NoSmallDisk(holder.stderr.read().strip())
        yield SmallDisk(Path(f"/proc/{holder.pid}/root{place.resolve()}"))
    finally:
        holder.kill()
        holder.communicate()
