"""What the tests of the miniature corpora have in common: making one, and the bytes of it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

CORPORA = Path(__file__).resolve().parents[1] / "corpora"


def make(name: str, out: Path, minutes: int) -> list[str]:
    """Makes tests/corpora/NAME.py's corpus; returns what it prints."""
    command = [sys.executable, str(CORPORA / f"{name}.py"), "--out", str(out)]
    done = subprocess.run([*command, "--minutes", str(minutes)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def need_synthesis() -> None:
    """Skips where there is no espeak-ng."""
    if importlib.util.find_spec("espeakng_loader") is None:
        reason = "espeakng-loader is not installed: pip install 'chainstitch[mini]'"
        if os.environ.get("CHAINSTITCH_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


def at_another_time(than: Path) -> None:
    """Waits until espeak-ng's own seed, the time in seconds, is another."""
    time.sleep(max(0.0, 2.5 - (time.time() - than.stat().st_mtime)))


def hashes(directory: Path) -> dict[str, str]:
    """Of each file below."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
