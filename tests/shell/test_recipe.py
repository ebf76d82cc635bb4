"""utils/recipe.sh: stages, what is said about them, and how to go on after a failure."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

SCRIPT = """set -euo pipefail
stage=0
stop_stage=9
overwrite=false
corpus=x
cd .
. "$UTILS/parse_options.sh"
. "$UTILS/recipe.sh"
if stage 1 "data" "5 s" "1 MB"; then
  echo "ran 1 ${overwrite_flag[*]}"
fi
if stage 2 "train it"; then
  echo "ran 2"
  [ "$corpus" != broken ]
  echo "ran 2 to its end"
fi
if stage 3 "score"; then
  echo "ran 3 from $(caller_path a/b) $(caller_path /c)"
fi
"""


def run(directory: Path, repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (directory / "run.sh").write_text(SCRIPT)
    return subprocess.run(
        ["bash", "./run.sh", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "UTILS": str(repository / "utils")},
    )


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"^ran (\d)\b(?! to)", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "stages"),
    [
        ([], ["1", "2", "3"]),
        (["--stage", "2"], ["2", "3"]),
        (["--stop-stage", "1"], ["1"]),
        (["--stage", "2", "--stop-stage", "2"], ["2"]),
        (["--stage", "7"], []),
    ],
)
def test_stages_from_stage_to_stop_stage_run(
    tmp_path: Path, repository: Path, arguments: list[str], stages: list[str]
) -> None:
    done = run(tmp_path, repository, *arguments)
    assert done.returncode == 0
    assert ran(done) == stages
    assert len(re.findall(r"^ +\d+ s  stage", done.stdout, re.MULTILINE)) == len(stages)


def test_stage_says_what_time_and_disk(tmp_path: Path, repository: Path) -> None:
    first, *_ = run(tmp_path, repository).stdout.splitlines()
    pattern = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d stage 1: data, about 5 s, 1 MB of disk"
    assert re.fullmatch(pattern, first)


def test_failure_names_the_stage_and_the_command_to_go_on(tmp_path: Path, repository: Path) -> None:
    done = run(tmp_path, repository, "--stage", "1", "--corpus", "broken", "--stop-stage", "3")
    assert done.returncode == 1
    assert ran(done) == ["1", "2"]
    assert "ran 2 to its end" not in done.stdout
    error, advice = done.stderr.splitlines()
    assert error == "./run.sh: error: stage 2: train it failed (exit code 1) after 0 s"
    assert advice.endswith("go on with: ./run.sh --stage 2 --corpus broken --stop-stage 3 ")


def test_overwrite_flag(tmp_path: Path, repository: Path) -> None:
    assert "ran 1 --overwrite\n" in run(tmp_path, repository, "--overwrite", "true").stdout
    assert "ran 1 \n" in run(tmp_path, repository).stdout


def test_caller_path(tmp_path: Path, repository: Path) -> None:
    assert f"from {tmp_path}/a/b /c\n" in run(tmp_path, repository).stdout


@pytest.mark.parametrize(
    "arguments", [["--stage", "two"], ["--stop-stage", ""], ["--stage", "3", "--stop-stage", "2"]]
)
def test_stages_that_cannot_be_exit_2(
    tmp_path: Path, repository: Path, arguments: list[str]
) -> None:
    done = run(tmp_path, repository, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("./run.sh: error: ")
