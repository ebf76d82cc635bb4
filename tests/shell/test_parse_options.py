"""utils/parse_options.sh: Kaldi's grammar, through bash."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = """set -euo pipefail
stage=0
stop_stage=9
train_opts=
use_gpu=false
help_message="Usage: $0 [--stage N]"
. "$PARSE_OPTIONS"
echo "stage=$stage stop_stage=$stop_stage train_opts=$train_opts use_gpu=$use_gpu rest=$*"
"""


def run(
    directory: Path, repository: Path, *arguments: str, script: str = SCRIPT
) -> subprocess.CompletedProcess[str]:
    (directory / "run.sh").write_text(script)
    return subprocess.run(
        ["bash", "run.sh", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PARSE_OPTIONS": str(repository / "utils/parse_options.sh")},
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "stage=0 stop_stage=9 train_opts= use_gpu=false rest="),
        (["--stage", "3"], "stage=3 stop_stage=9 train_opts= use_gpu=false rest="),
        (["--stop-stage", "3"], "stage=0 stop_stage=3 train_opts= use_gpu=false rest="),
        (["--stop_stage", "3"], "stage=0 stop_stage=3 train_opts= use_gpu=false rest="),
        (["--use-gpu", "true"], "stage=0 stop_stage=9 train_opts= use_gpu=true rest="),
        (["--stage", "1", "--stage", "2"], "stage=2 stop_stage=9 train_opts= use_gpu=false rest="),
        (["--train-opts", "--set a=b"], "stop_stage=9 train_opts=--set a=b use_gpu=false rest="),
        (["--train-opts", ""], "stage=0 stop_stage=9 train_opts= use_gpu=false rest="),
        (["a", "--stage", "2"], "stage=0 stop_stage=9 train_opts= use_gpu=false rest=a --stage 2"),
        (["--stage", "2", "a", "b"], "stage=2 stop_stage=9 train_opts= use_gpu=false rest=a b"),
        (["--stage", "-1"], "stage=-1 stop_stage=9 train_opts= use_gpu=false rest="),
        (["--train-opts", "$(touch bad)"], "train_opts=$(touch bad)"),
    ],
)  # fmt: skip
def test_options_set_variables(
    tmp_path: Path, repository: Path, arguments: list[str], line: str
) -> None:
    done = run(tmp_path, repository, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert line in done.stdout
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stage=2"], "found '--stage=2'; leave out the ="),
        (["--stag", "2"], "unknown option --stag; did you mean --stage?"),
        (["--stop-stge", "2"], "did you mean --stop-stage?"),
        (["--entirely-else", "2"], "unknown option --entirely-else; see run.sh --help"),
        (["--PATH", "x"], "unknown option --PATH"),
        (["--", "x"], "unknown option"),
        (["--stage[$(touch bad)]", "2"], "unknown option"),
        (["--stage"], "no value after --stage"),
        (["--use-gpu", "yes"], "--use-gpu wants true or false, found 'yes'"),
        (["--config", "none.conf"], "cannot read the file none.conf"),
    ],
)
def test_mistakes_exit_2_with_one_line(
    tmp_path: Path, repository: Path, arguments: list[str], said: str
) -> None:
    done = run(tmp_path, repository, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.startswith("run.sh: error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "bad").exists()


def test_config_comes_before_other_options(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "x.conf").write_text("stage=5\nstop_stage=6\n")
    done = run(tmp_path, repository, "--stage", "1", "--config", "x.conf")
    assert "stage=1 stop_stage=6" in done.stdout


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_goes_to_stdout(tmp_path: Path, repository: Path, option: str) -> None:
    done = run(tmp_path, repository, option)
    assert (done.returncode, done.stdout) == (0, "Usage: run.sh [--stage N]\n")


@pytest.mark.parametrize(("default", "arguments"), [("", []), ("x", ["--cmd", ""])])
def test_empty_cmd_is_rejected(
    tmp_path: Path, repository: Path, default: str, arguments: list[str]
) -> None:
    script = f'set -eu\ncmd={default}\n. "$PARSE_OPTIONS"\n'
    done = run(tmp_path, repository, *arguments, script=script)
    assert done.returncode == 2
    assert "the value of --cmd is empty" in done.stderr


def test_no_helper_stays_behind(tmp_path: Path, repository: Path) -> None:
    script = '. "$PARSE_OPTIONS"\ncompgen -v _po_ || true\ncompgen -A function _po_ || true\n'
    assert run(tmp_path, repository, "--help", script="x=1\n" + script).stdout.startswith("no help")
    assert run(tmp_path, repository, "--x", "2", script="x=1\n" + script).stdout == ""


def test_script_without_options_works_under_set_u(tmp_path: Path, repository: Path) -> None:
    done = run(tmp_path, repository, "a b", script='set -eu\n. "$PARSE_OPTIONS"\necho "<$1>"\n')
    assert done.stdout == "<a b>\n"
