"""tests/k2/run.sh before it installs anything: its help, and what it refuses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def _run(
    repository: Path, *arguments: str, **environment: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [repository / "tests/k2/run.sh", *arguments],
        env=os.environ | {name: str(value) for name, value in environment.items()},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_help_says_what_it_costs_and_makes_nothing(repository: Path, tmp_path: Path) -> None:
    done = _run(repository, "--help", CHAINSTITCH_K2_VENV=tmp_path / "venv")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: tests/k2/run.sh [pytest arguments]\n")
    assert "1.9 GB to fetch" in done.stdout and str(tmp_path / "venv") in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_environment_of_somebody_else_is_left_alone(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    python = _python(tmp_path.parent / "python", "3.11")
    done = _run(repository, CHAINSTITCH_K2_VENV=tmp_path, CHAINSTITCH_PYTHON=python)
    assert done.returncode == 1
    # on another system than k2's wheel is for, that is said first
    assert "was not made here; delete it" in done.stderr or "on Linux x86_64" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_a_python_that_this_k2_has_no_wheel_for_is_named(repository: Path, tmp_path: Path) -> None:
    python = _python(tmp_path / "python", "3.12")
    done = _run(repository, CHAINSTITCH_K2_VENV=tmp_path / "venv", CHAINSTITCH_PYTHON=python)
    assert done.returncode == 1
    assert "wanted Python 3.11 on Linux x86_64, found 3.12 on " in done.stderr
    assert not (tmp_path / "venv").exists()


def _python(path: Path, version: str) -> Path:
    """A stand-in that only knows its version."""
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path
