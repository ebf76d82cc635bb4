"""`chainstitch run` from the command line, where the back ends differ; see test_run_contract.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_for

RUN = [sys.executable, "-m", "chainstitch.bin.main", "run"]


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *arguments], cwd=directory, capture_output=True, text=True)


def test_unknown_back_end_names_those_that_there_are(tmp_path: Path) -> None:
    done = run(tmp_path, "JOB=1:1", "--backend", "cloud", "a.log", "true")
    assert done.returncode == 2
    assert "unknown back end 'cloud'; --backend wants one of local, slurm, sge" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("backend", "program"), [("slurm", "sbatch"), ("sge", "qsub")])
def test_scheduler_that_is_not_installed_is_named(
    tmp_path: Path, backend: str, program: str
) -> None:
    done = subprocess.run(
        [*RUN, "--backend", backend, "a.log", "true"],
        cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PATH": "/nowhere"},
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{program} is not on PATH" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_jobs_do_not_outlive_an_interrupted_runner(tmp_path: Path, number: int) -> None:
    runner = subprocess.Popen(
        [*RUN, "a.log", "sh", "-c", "echo $$; exec sleep 60"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # a shell ignores SIGINT in what it starts in the background, tests included
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    log = tmp_path / "a.log"
    wait_for(lambda: log.exists() and log.read_text().count("\n") >= 4)
    lines = log.read_text().splitlines()
    runner.send_signal(number)
    _, error = runner.communicate(timeout=20)
    assert runner.returncode == 130
    assert error == "chainstitch run: error: interrupted\n"
    assert "# Ended (code 143)" in log.read_text()
    with pytest.raises(ProcessLookupError):
        os.kill(int(lines[3]), 0)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such signal")
def test_jobs_do_not_outlive_a_killed_runner(tmp_path: Path) -> None:
    runner = subprocess.Popen([*RUN, "a.log", "sh", "-c", "echo $$; exec sleep 60"], cwd=tmp_path)
    log = tmp_path / "a.log"
    wait_for(lambda: log.exists() and log.read_text().count("\n") >= 4)
    job = Path("/proc") / log.read_text().splitlines()[3]
    runner.kill()
    runner.wait()
    wait_for(lambda: not job.exists() or "(zombie)" in (job / "status").read_text())


def test_status_counts_jobs_by_state(tmp_path: Path) -> None:
    assert run(tmp_path, "--status").stdout == "no jobs below .\n"
    run(tmp_path, "JOB=1:4", "exp/a/log/x.JOB.log", "test", "JOB", "-ne", "3")
    runner = subprocess.Popen(
        [*RUN, "--max-jobs-run", "1", "JOB=1:3", "exp/b/y.JOB.log", "sleep", "19"],
        cwd=tmp_path, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    log = tmp_path / "exp" / "b" / "y.1.log"
    wait_for(lambda: log.exists() and "Started" in log.read_text())
    head, *lines = run(tmp_path, "--status").stdout.splitlines()
    assert " ".join(head.split()) == "log on started jobs waiting running done failed lost"
    first, below, second, its = lines
    assert (first.split()[0], first.split()[-6:]) == ("exp/a/log/x.JOB.log", list("400310"))
    assert below == "  failed: 3"
    assert (second.split()[0], second.split()[-6:]) == ("exp/b/y.JOB.log", list("321000"))
    assert its == "  running: 1"
    runner.kill()
    runner.wait()
    lost = run(tmp_path, "--status", "exp/b").stdout.splitlines()
    assert lost[1].split()[-6:] == list("300003")
    assert lost[2] == "  lost: 1-3"


def test_status_of_an_interrupted_batch_keeps_what_was_done(tmp_path: Path) -> None:
    script = "test JOB = 1 || exec sleep 60"
    runner = subprocess.Popen(
        [*RUN, "--max-jobs-run", "1", "JOB=1:3", "exp/y.JOB.log", "sh", "-c", script],
        cwd=tmp_path, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    log = tmp_path / "exp" / "y.2.log"
    wait_for(lambda: log.exists() and "Started" in log.read_text())
    runner.terminate()
    runner.wait()
    shown = run(tmp_path, "--status").stdout.splitlines()
    assert shown[1].split()[-6:] == list("300111")  # done, told to end, never begun


def test_a_batch_that_ended_gives_way_to_the_next_with_its_logs(tmp_path: Path) -> None:
    for _ in range(3):
        run(tmp_path, "JOB=1:2", "exp/a/log/x.JOB.log", "true")
    run(tmp_path, "exp/a/log/other.log", "true")
    assert len(list((tmp_path / "exp" / "a" / "q").iterdir())) == 2
