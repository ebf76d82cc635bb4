"""Which GPUs of this machine a job may have, so that no two jobs get the same one.

Recipes start trainings side by side, each by a `chainstitch run` of its own, so that a list in one
process would not do. A GPU is taken by a lock on a file in the directory for temporary files; the
job inherits the open file, and the lock goes when the last process that has it ends, however.
"""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from chainstitch.utils.errors import UserError

FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Lease:
    """GPUs that were taken: their names, and the open files that hold them."""

    names: list[str]
    files: list[int]

    def end(self) -> None:
        """Gives them back, as far as this process is concerned."""
        for file in self.files:
            os.close(file)


def visible_gpus() -> list[str]:
    """The GPUs that a job may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip()]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = listed.stdout.splitlines() if listed.returncode == 0 else []
    return [str(n) for n, _ in enumerate(line for line in lines if line.startswith("GPU "))]


def _own_directory() -> Path:
    """Where the locks are. Its name can be foreseen, and everybody may write beside it.

    Raises:
        UserError: somebody else has made it.
    """
    directory = Path(tempfile.gettempdir()) / f"chainstitch-gpus-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise UserError(
            f"{directory} is not a directory of yours; delete it, or set TMPDIR to another place"
        )
    return directory


def take(names: list[str], count: int) -> Lease | None:
    """`count` of these GPUs that no other job has taken; None when there are not as many now."""
    directory = _own_directory()
    lease = Lease([], [])
    for name in names:
        if len(lease.names) == count:
            break
        file = os.open(directory / name.replace("/", "_"), FLAGS, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            continue
        lease.names.append(name)
        lease.files.append(file)
    if len(lease.names) < count:
        lease.end()
        return None
    return lease
