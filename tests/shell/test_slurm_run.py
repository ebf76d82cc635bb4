"""tests/slurm/run.sh where no Slurm can be had: it says why, and does not fail."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def run(repository: Path, place: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    """With nothing on PATH but a few tools and these scripts."""
    for name in ("bash", "dirname", "timeout", "cat"):
        (place / name).symlink_to(shutil.which(name) or name)
    for name, script in programs.items():
        path = place / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    return subprocess.run(
        ["bash", repository / "tests/slurm/run.sh"],
        env={"PATH": str(place)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("programs", "reason"),
    [
        ({"id": "echo 1000"}, "it wants to be root, to start Slurm"),
        (
            {"id": "echo 0", "apt_get": "exit 100"},
            "Slurm cannot be installed here: apt-get install slurm-wlm munge fails",
        ),
    ],
)
def test_skips_with_its_reason(
    repository: Path, tmp_path: Path, programs: dict[str, str], reason: str
) -> None:
    done = run(repository, tmp_path, **programs)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"tests/slurm: skipped: {reason}\n"
