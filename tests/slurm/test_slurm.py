"""What can happen to jobs on a real Slurm; tests/slurm/run.sh starts one and runs this."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_for

REAL = os.environ.get("CHAINSTITCH_TEST_BACKENDS", "").split()
pytestmark = pytest.mark.skipif("slurm" not in REAL, reason="no Slurm; see tests/slurm/run.sh")

RUN = [sys.executable, "-m", "chainstitch.bin.main", "run", "--backend", "slurm"]
SLEEP = ["sh", "-c", "echo go; exec sleep 120"]
CONFIG = "patience = 10.0\npoll = 1.0\n"


def tool(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def node() -> str:
    return tool("sinfo", "--noheader", "--format=%N").split()[0]


def says(log: Path, text: str) -> bool:
    return log.exists() and text in log.read_text()


def array_id(place: Path) -> str:
    """The id that `--status` shows."""
    lines = tool(sys.executable, "-m", "chainstitch.bin.main", "run", "--status", str(place))
    found = re.findall(r" slurm (\d+)", lines)
    return str(found[-1]) if found else ""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a runner in tmp_path; what is left of it at the end is cancelled."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "queue.toml").write_text(CONFIG)
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [*RUN, *arguments],
                cwd=tmp_path,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
    subprocess.run(["scancel", "--user=root", "--quiet"])


def test_cancelled_job_fails_by_its_log(start, tmp_path: Path) -> None:
    runner = start(
        "JOB=1:2", "log/a.JOB.log", "sh", "-c", "echo go; test JOB = 1 || exec sleep 120"
    )
    wait_for(lambda: says(tmp_path / "log/a.2.log", "\ngo\n"))
    subprocess.run(["scancel", f"{array_id(tmp_path)}_2"], check=True)
    _, error = runner.communicate(timeout=60)
    assert runner.returncode == 1
    assert error.endswith(
        "chainstitch run: error: 1 of 2 jobs failed (exit code 143); log: log/a.2.log\n"
    )


def test_job_cancelled_before_it_began_fails_too(start, tmp_path: Path) -> None:
    runner = start("--max-jobs-run", "1", "JOB=1:2", "a.JOB.log", "sleep", "8")
    wait_for(lambda: (tmp_path / "a.1.log").exists())
    subprocess.run(["scancel", f"{array_id(tmp_path)}_2"], check=True)
    _, error = runner.communicate(timeout=60)
    assert runner.returncode == 1
    assert "1 of 2 jobs failed (no exit code: Slurm says CANCELLED); log: a.2.log\n" in error


def test_job_killed_at_once_is_lost(start, tmp_path: Path) -> None:
    runner = start("a.log", "sh", "-c", "echo go; echo $PPID; exec sleep 120")
    wait_for(
        lambda: (
            says(tmp_path / "a.log", "\ngo\n") and (tmp_path / "a.log").read_text().count("\n") > 4
        )
    )
    os.kill(int((tmp_path / "a.log").read_text().splitlines()[4]), signal.SIGKILL)
    _, error = runner.communicate(timeout=60)
    assert runner.returncode == 1
    assert re.search(r"the job failed \(no exit code: Slurm says FAILED\); log: a.log\n$", error)


def test_job_of_a_machine_that_died_starts_again(start, tmp_path: Path) -> None:
    script = "echo go; test -e again && exit 0; touch again; echo $PPID; exec sleep 120"
    runner = start("a.log", "sh", "-c", script)
    log = tmp_path / "a.log"
    wait_for(lambda: log.exists() and log.read_text().count("\n") > 4)
    worker = log.read_text().splitlines()[4]
    # nobody on that machine has a chance to say anything
    for process in (tool("ps", "-o", "ppid=", "-p", worker).strip(), worker):
        os.kill(int(process), signal.SIGKILL)
    tool("scontrol", "update", f"nodename={node()}", "state=down", "reason=test")
    subprocess.run(
        ["scontrol", "update", f"nodename={node()}", "state=resume"], capture_output=True
    )
    _, error = runner.communicate(timeout=90)
    assert "a.log: no exit code: Slurm says NODE_FAIL; back into the queue (1 of 20)" in error
    assert runner.returncode == 0
    assert log.read_text().count("\ngo\n") == 2


def test_preempted_job_that_saves_nothing_starts_again(start, tmp_path: Path) -> None:
    script = "echo go; test -e again && exit 0; touch again; exec sleep 120"
    runner = start("--num-threads", "4", "a.log", "sh", "-c", script)
    wait_for(lambda: says(tmp_path / "a.log", "\ngo\n") and (tmp_path / "again").exists())
    tool(
        "sbatch", "--partition=urgent", "--cpus-per-task=4", "--output=/dev/null", "--wrap=sleep 2"
    )
    _, error = runner.communicate(timeout=90)
    assert "a.log: exit code 143; back into the queue (1 of 20)" in error
    assert runner.returncode == 0
    assert (tmp_path / "a.log").read_text().count("\ngo\n") == 2


SAVING = """
import pathlib, sys, time
from chainstitch.utils.stop_signals import Stopped, stop_signals
saved = pathlib.Path("saved")
with stop_signals() as stop:
    print("on" if saved.exists() else "go", flush=True)
    while not saved.exists():
        time.sleep(0.1)
        if stop.received:
            time.sleep(3)  # as long as Slurm needs to send all that it sends
            saved.touch()
            print("saved", flush=True)
            sys.exit(Stopped.exit_code)
"""


def test_preempted_job_saves_its_state_and_goes_on(start, tmp_path: Path) -> None:
    runner = start("--num-threads", "4", "a.log", sys.executable, "-c", SAVING)
    wait_for(lambda: says(tmp_path / "a.log", "\ngo\n"))
    tool(
        "sbatch", "--partition=urgent", "--cpus-per-task=4", "--output=/dev/null", "--wrap=sleep 2"
    )
    _, error = runner.communicate(timeout=90)
    assert runner.returncode == 0, error
    assert "a.log: exit code 144; back into the queue (1 of 20)" in error
    assert re.findall(r"^(go|saved|on)$", (tmp_path / "a.log").read_text(), re.MULTILINE) == [
        *("go", "saved", "on")
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_cancels_what_was_submitted(start, tmp_path: Path, number: int) -> None:
    runner = start("--max-jobs-run", "1", "JOB=1:3", "a.JOB.log", *SLEEP)
    wait_for(lambda: says(tmp_path / "a.1.log", "\ngo\n"))
    array = array_id(tmp_path)
    os.killpg(runner.pid, number)
    _, error = runner.communicate(timeout=60)
    assert runner.returncode == 130
    assert error == "chainstitch run: error: interrupted\n"
    assert "# Ended (code 143)" in (tmp_path / "a.1.log").read_text()
    assert not (tmp_path / "a.2.log").exists()
    states = tool("squeue", "--noheader", "--array", "--states=all", f"--jobs={array}", "-o%T")
    assert set(states.split()) <= {"CANCELLED", "COMPLETED", "FAILED", "COMPLETING"}


def test_refusal_that_may_pass_is_waited_for(start, tmp_path: Path) -> None:
    tool("scontrol", "update", "partitionname=main", "state=drain")
    try:
        runner = start("a.log", "true")
        line = runner.stderr.readline() if runner.stderr else ""
        assert "Slurm does not take the jobs now (Batch job submission failed: Required" in line
    finally:
        tool("scontrol", "update", "partitionname=main", "state=up")
    runner.communicate(timeout=60)
    assert runner.returncode == 0


def test_refusal_that_will_not_pass_ends_it(start, tmp_path: Path) -> None:
    (tmp_path / "conf" / "queue.toml").write_text('[slurm]\nalways = ["--partition=none"]\n')
    _, error = (runner := start("a.log", "true")).communicate(timeout=60)
    assert runner.returncode == 1
    assert "Slurm does not take the jobs: invalid partition specified: none" in error


def test_status_asks_slurm_when_the_runner_is_gone(start, tmp_path: Path) -> None:
    runner = start("--max-jobs-run", "1", "JOB=1:2", "a.JOB.log", *SLEEP)
    wait_for(lambda: says(tmp_path / "a.1.log", "\ngo\n"))
    runner.kill()
    runner.wait()
    show = [sys.executable, "-m", "chainstitch.bin.main", "run", "--status", str(tmp_path)]
    assert tool(*show).splitlines()[1].split()[-6:] == list("211000")
    tool("scancel", array_id(tmp_path))
    wait_for(lambda: says(tmp_path / "a.1.log", "# Ended (code 143)"))
    wait_for(lambda: tool(*show).splitlines()[1].split()[-6:] == list("200011"))
