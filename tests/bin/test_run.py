"""`chainstitch run` from the command line: Kaldi's grammar, logs and exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = [sys.executable, "-m", "chainstitch.bin.main", "run"]


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *arguments], cwd=directory, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["a.log", "true"], 0, ""),
        (["JOB=2:3", "a.JOB.log", "echo", "JOB"], 0, ""),
        (["--max-jobs-run", "1", "JOB=1:2", "a.JOB.log", "true"], 0, ""),
        (["JOB=1:2", "--max-jobs-run", "1", "--mem", "4G", "a.JOB.log", "true"], 0, ""),
        (["--gpu", "1", "a.log", "true"], 0, ""),
        (["a.log", "echo", "--gpu", "x", "--help"], 0, ""),
        (["a.log", "false"], 1, "the job failed (exit code 1); log: a.log"),
        (["a.log", "no-such-program"], 1, "exit code 127"),
        (["JOB=1:3", "a.JOB.log", "test", "JOB", "=", "2"], 1, "2 of 3 jobs failed"),
        ([], 2, "Missing argument"),
        (["a.log"], 2, "no command after the log file 'a.log'"),
        (["JOB=1:2"], 2, "no log file"),
        (["JOB=1:2", "a.log", "true"], 2, "put JOB in its name"),
        (["JOB=0:2", "a.JOB.log", "true"], 2, "numbered from 1 up"),
        (["JOB=3:2", "a.JOB.log", "true"], 2, "numbered from 1 up"),
        (["--max-job-run", "2", "a.log", "true"], 2, "--max-jobs-run"),
        (["JOB=1:2", "--max-job-run", "2", "a.JOB.log", "true"], 2, "--max-jobs-run"),
        (["JOB=1:2", "--num-threads", "0", "a.JOB.log", "true"], 2, "--num-threads"),
        (["--gpu", "many", "a.log", "true"], 2, "--gpu"),
        (["--backend", "slurm", "a.log", "true"], 2, "'slurm' is not built yet"),
        (["JOB=1:1", "--backend", "cloud", "a.log", "true"], 2, "unknown back end 'cloud'"),
        (["--follow", "JOB=1:2", "a.JOB.log", "true"], 2, "--follow shows one job's output"),
    ],
)
def test_grammar_and_exit_codes(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    if code == 2:
        assert done.stderr.count("\n") == 1
        assert list(tmp_path.iterdir()) == []


def test_options_on_both_sides_of_the_range_count(tmp_path: Path) -> None:
    done = run(
        tmp_path, "--num-threads", "3", "JOB=1:2", "--mem", "1G", "a.JOB.log",
        "sh", "-c", "echo threads $OMP_NUM_THREADS",
    )  # fmt: skip
    assert done.returncode == 0
    assert "threads 3" in (tmp_path / "a.2.log").read_text()


def test_failure_shows_the_end_of_the_log_and_names_it(tmp_path: Path) -> None:
    done = run(tmp_path, "a.log", "sh", "-c", "seq 9; exit 3")
    *shown, message = done.stderr.splitlines()
    assert shown == ["5", "6", "7", "8", "9"]
    assert message == "chainstitch run: error: the job failed (exit code 3); log: a.log"


def test_follow_copies_the_output_to_stdout(tmp_path: Path) -> None:
    done = run(tmp_path, "--follow", "a.log", "sh", "-c", "echo one; sleep 0.2; echo zwölf >&2")
    assert done.stdout == "one\nzwölf\n"
    assert done.stderr == ""
    assert "zwölf" in (tmp_path / "a.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_jobs_do_not_outlive_an_interrupted_runner(tmp_path: Path, number: int) -> None:
    runner = subprocess.Popen(
        [*RUN, "a.log", "sh", "-c", "echo $$; exec sleep 60"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # a shell ignores SIGINT in what it starts in the background, tests included
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    log = tmp_path / "a.log"
    deadline = time.time() + 20
    lines: list[str] = []
    while len(lines) < 4 and time.time() < deadline:
        time.sleep(0.05)
        lines = log.read_text().splitlines() if log.exists() else []
    runner.send_signal(number)
    _, error = runner.communicate(timeout=20)
    assert runner.returncode == 130
    assert error == "chainstitch run: error: interrupted\n"
    assert "# Ended (code 143)" in log.read_text()
    with pytest.raises(ProcessLookupError):
        os.kill(int(lines[3]), 0)
