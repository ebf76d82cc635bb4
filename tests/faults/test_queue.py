"""Jobs and processes that are told to end, killed, or started twice: none is left, none is lost."""

from __future__ import annotations

import json
import os
import pty
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chainstitch.utils.queue import record
from tests.toy import Toy, run
from tests.waiting import wait_for

CHAINSTITCH = [sys.executable, "-m", "chainstitch.bin.main"]
RUN = [*CHAINSTITCH, "run"]


def gone(pid: int) -> bool:
    """Whether there is no such process, or only what its parent has not asked for yet."""
    try:
        return "(zombie)" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def started(directory: Path, *arguments: str) -> tuple[subprocess.Popen[str], int]:
    """`chainstitch run` of a job that sleeps, and the job's number."""
    runner = subprocess.Popen(
        [*RUN, *arguments, "sh", "-c", "echo $$; exec sleep 60"],
        cwd=directory, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    log = directory / "a.1.log"
    wait_for(lambda: log.exists() and log.read_text().count("\n") >= 4, process=runner)
    return runner, int(log.read_text().splitlines()[3])


@pytest.fixture
def busy(tmp_path: Path) -> subprocess.Popen[str]:  # type: ignore[misc]
    """Job 1 of a.JOB.log, which runs."""
    runner, _ = started(tmp_path, "JOB=1:1", "a.JOB.log")
    yield runner  # type: ignore[misc]
    runner.terminate()
    runner.communicate()


@pytest.mark.parametrize(
    "arguments",
    [
        ["JOB=1:1", "a.JOB.log", "true"],
        ["JOB=1:3", "a.JOB.log", "true"],
        ["a.1.log", "true"],
        ["N=1:2", "--max-jobs-run", "1", "../HERE/a.N.log", "true"],
    ],
)
def test_a_log_that_a_running_job_writes_is_not_given_to_another(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    busy: subprocess.Popen[str],
    arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(record, "PATIENCE", 0.1, raising=False)
    before = (tmp_path / "a.1.log").stat()
    batches = sorted((tmp_path / "q").iterdir())
    arguments = [a.replace("HERE", tmp_path.name) for a in arguments]
    assert run("run", *arguments) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(said) == 1 and said[0].startswith("chainstitch run: error: ")
    assert f"a.1.log is the log of a job that runs, started by process {busy.pid} on" in said[0]
    assert os.path.samestat((tmp_path / "a.1.log").stat(), before)
    assert sorted((tmp_path / "q").iterdir()) == batches
    # others of the same name may be started beside it
    assert run("run", "JOB=2:3", "a.JOB.log", "true") == 0
    assert run("run", "/dev/null", "true") == 0


def test_a_second_batch_waits_a_moment_for_one_that_is_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: subprocess.Popen[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(record, "PATIENCE", 60.0, raising=False)
    busy.terminate()
    assert run("run", "JOB=1:1", "a.JOB.log", "true") == 0
    assert "Ended (code 0)" in (tmp_path / "a.1.log").read_text()


def test_a_dead_watcher_whose_number_another_process_has_is_not_taken_for_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("run", "a.log", "true") == 0
    (batch,) = (tmp_path / "q").iterdir()
    (batch / "outcome.json").unlink()  # as if it had been killed
    content = json.loads((batch / "batch.json").read_text()) | {"pid": os.getppid()}
    (batch / "batch.json").write_text(json.dumps(content))
    batch.rename(batch.with_name("a-20200101-000000-1"))
    assert run("run", "a.log", "true") == 0
    assert len(list((tmp_path / "q").iterdir())) == 1


@pytest.mark.parametrize("device", ["/dev/full", "/dev/zero"])
@pytest.mark.parametrize("arguments", [["--status"], ["LOG", "false"], ["--follow", "LOG", "true"]])
def test_a_log_without_an_end_is_not_read(
    tmp_path: Path, device: str, arguments: list[str]
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

    lines = [["LOG", "true"], arguments] if arguments == ["--status"] else [arguments]
    for line in lines:
        done = subprocess.run(
            [*RUN, *(device if a == "LOG" else a for a in line)],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, preexec_fn=limit,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        errors = done.stderr.splitlines()
        if line == ["--status"]:
            assert done.returncode == 0 and device[1:] in done.stdout.splitlines()[1]
        elif device == "/dev/full":
            assert done.returncode == 1 and len(errors) == 1 and "No space left" in errors[0]
        else:
            assert done.returncode == int("false" in line) and len(errors) == done.returncode


def test_more_jobs_than_any_disk_has_names_for_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("run", "JOB=1:1000000000000000000", "a.JOB.log", "true") == 2
    assert "wanted at most 100000 jobs in a batch" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


RECIPE = """set -euo pipefail
stage=0
stop_stage=9
cd .
. "$UTILS/parse_options.sh"
. "$UTILS/recipe.sh"
if stage 1 "work"; then
  chainstitch run JOB=1:1 a.JOB.log sh -c 'echo $$; exec sleep 60'
fi
if stage 2 "more"; then
  echo not to be reached
fi
"""


def hear_signals() -> None:
    """In a new process: nothing is ignored, as it is below nohup or behind a shell's `&`."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def recipe(tmp_path: Path, repository: Path) -> dict[str, str]:
    """What the recipe sees; it is in run.sh, and starts this checkout's chainstitch."""
    (tmp_path / "run.sh").write_text(RECIPE)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "chainstitch"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m chainstitch.bin.main "$@"\n')
    program.chmod(0o755)
    return os.environ | {
        "PATH": f"{program.parent}:{os.environ['PATH']}", "UTILS": str(repository / "utils"),
    }  # fmt: skip


def job_of(tmp_path: Path) -> int:
    log = tmp_path / "a.1.log"
    wait_for(lambda: log.exists() and log.read_text().count("\n") >= 4)
    return int(log.read_text().splitlines()[3])


def assert_all_ended(tmp_path: Path, job: int) -> None:
    assert gone(job)
    log = (tmp_path / "a.1.log").read_text()
    assert "Ended (code 143)" in log.splitlines()[-1]
    assert len(list((tmp_path / "q").rglob("outcome.json"))) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_recipe_that_is_told_to_end_ends_its_jobs_first(
    tmp_path: Path, recipe: dict[str, str], number: int, code: int
) -> None:
    process = subprocess.Popen(
        ["bash", "./run.sh"], cwd=tmp_path, env=recipe, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=hear_signals,
    )  # fmt: skip
    job = job_of(tmp_path)
    try:
        os.kill(process.pid, number)  # as `kill` does: to this process alone
        out, errors = process.communicate(timeout=50)
        assert process.returncode == code
        assert_all_ended(tmp_path, job)
        assert "not to be reached" not in out
        assert "go on with: ./run.sh --stage 1" in errors.splitlines()[-1]
    finally:
        os.killpg(process.pid, signal.SIGKILL) if not gone(job) else None


def test_ctrl_c_at_the_terminal_ends_a_recipe_and_its_jobs(
    tmp_path: Path, recipe: dict[str, str]
) -> None:
    process, terminal = pty.fork()
    if not process:
        os.chdir(tmp_path)
        hear_signals()
        os.execvpe("bash", ["bash", "./run.sh"], recipe)
    job = job_of(tmp_path)
    os.write(terminal, b"\x03")
    said, deadline = b"", time.monotonic() + 50
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                said += os.read(terminal, 4096)
            except OSError:  # its end
                break
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 130
    assert_all_ended(tmp_path, job)
    assert b"not to be reached" not in said and b"go on with: ./run.sh --stage 1" in said


def test_features_that_are_told_to_end_leave_nothing(toy: Toy, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*CHAINSTITCH, "features", str(toy.place / "mfcc.toml"), "--data", str(toy.place / "train"),
         "--out", str(tmp_path / "out"), "--nj", "2", "--augment"],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers: list[int] = []

    def begun() -> bool:
        workers[:] = map(int, children.read_text().split())
        return len(workers) >= 3 and bool(list(tmp_path.glob(".tmp-*")))  # one tracks resources

    wait_for(begun, process=process)
    process.terminate()
    _, said = process.communicate(timeout=50)
    assert process.returncode == 143
    errors = [line for line in said.splitlines() if " INFO " not in line]
    assert errors == ["chainstitch features: error: ended by SIGTERM"], said
    assert list(tmp_path.iterdir()) == []
    wait_for(lambda: all(map(gone, workers)), 10)


def children_of(script: Path, *arguments: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A python script, and the numbers of processes that it prints."""
    process = subprocess.Popen(
        [sys.executable, str(script), *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    found = list(map(int, process.stdout.readline().split()))
    assert found
    return process, found


OF_A_POOL = """
import os, time
from chainstitch.utils.children import worker_pool

if __name__ == "__main__":
    with worker_pool(1, time.sleep, (0,), "decoding") as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""
OF_JOBS = """
import sys
from pathlib import Path
from chainstitch.nnet.train.averaged_jobs import AveragedJobs
from chainstitch.utils.stop_signals import StopSignals
script = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
AveragedJobs(Path(sys.argv[1]), [sys.executable, "-c", script], []).run(0, 2, StopSignals())
"""
OF_TORCHRUN = """
import os, subprocess, sys
variables = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1",
             "MASTER_PORT": sys.argv[2]}
script = '''
import os, torch.distributed as dist
from chainstitch.nnet.parallel.ranks import launched_ranks
init = dist.init_process_group
dist.init_process_group = lambda *a: (print(os.getpid(), flush=True), init(*a))
with launched_ranks():
    pass
'''
subprocess.run([sys.executable, "-c", script], env=os.environ | variables)
"""


@pytest.mark.parametrize(
    "script",
    [OF_A_POOL, OF_JOBS, OF_TORCHRUN],
    ids=["processes that decode", "jobs of an iteration", "processes of torchrun"],
)
def test_processes_do_not_outlive_who_was_killed(tmp_path: Path, script: str) -> None:
    port = str(20000 + os.getpid() % 10000)
    (tmp_path / "script.py").write_text(script)
    process, found = children_of(tmp_path / "script.py", str(tmp_path), port)
    process.kill()
    process.wait()  # and not for the end of what the others may write
    try:
        wait_for(lambda: all(map(gone, found)), 10)
    finally:
        for pid in found:
            if not gone(pid):
                os.kill(pid, signal.SIGKILL)


KILLED = """
import signal
from chainstitch.utils.data.workers import ordered_map
from chainstitch.utils.errors import UserError

if __name__ == "__main__":
    try:
        # as the kernel kills one when memory has run out
        list(ordered_map(signal.raise_signal, [signal.SIGKILL] * 40, 2, "features"))
    except UserError as error:
        print(error)
"""


def test_a_worker_that_was_killed_is_said(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(KILLED)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "one of 2 processes for features was killed" in done.stdout
