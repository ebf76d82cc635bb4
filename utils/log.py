"""Where log lines go, and the record of versions and hardware that goes beside every number."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGES = ("chainstitch", "torch", "numpy", "numba", "lhotse", "kaldifst", "kaldi-decoder")
ROOT = Path(__file__).resolve().parents[1]


def setup() -> None:
    """Sends our log lines from INFO up (other libraries' from WARNING up) to stderr.

    The environment variable CHAINSTITCH_LOG_LEVEL (DEBUG, WARNING, ...) changes our level.
    """
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
    )
    wanted = os.environ.get("CHAINSTITCH_LOG_LEVEL", "INFO").upper()
    level = logging.getLevelNamesMapping().get(wanted, logging.INFO)
    logging.getLogger("chainstitch").setLevel(level)


def environment() -> dict[str, Any]:
    """Versions, commit and hardware, as plain values for a log or a checkpoint; no host name.

    Keys: "python", one per package in PACKAGES (None when not installed), "commit" (None outside a
    git checkout; "-modified" appended when tracked files differ from it), "cpu", "cores" (those
    that this process may use), "gpu" (None without one) and "threads" (torch's).
    """
    import torch

    return {
        "python": platform.python_version(),
        **{name: package_version(name) for name in PACKAGES},
        "commit": _commit(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
    }


def package_version(name: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    if not (ROOT / ".git").exists():
        return None  # installed without its repository; another repository's commit would be wrong
    commit = _git("rev-parse", "--short=12", "HEAD")
    if not commit:
        return None
    return commit + ("-modified" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()
