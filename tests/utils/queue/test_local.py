"""The local back end: what a job sees, what its log says, and how many run at a time."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chainstitch.utils.queue import gpus, local
from chainstitch.utils.queue.grammar import Jobs, Resources, parse
from tests.waiting import wait_for


def codes(jobs: Jobs, resources: Resources | None = None) -> list[int | None]:
    ended = local.run(jobs, resources or Resources())
    return [ended[number].code for number in jobs.numbers]


def log_of(tmp_path: Path, *command: str, resources: Resources | None = None) -> str:
    path = tmp_path / "new" / "x.log"
    codes(Jobs(None, 1, 1, str(path), command), resources)
    return path.read_text()


def test_log_has_header_output_and_footer(tmp_path: Path) -> None:
    text = log_of(tmp_path, "sh", "-c", "echo out; echo err >&2")
    assert re.fullmatch(
        r"# sh -c 'echo out; echo err >&2'\n# Started at .*\n#\nout\nerr\n"
        r"# Accounting: time=0 threads=1\n# Ended \(code 0\) at .*, elapsed time 0 seconds\n",
        text,
    )


def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    weird = "a b; echo $HOME `ls` * \"'"
    assert log_of(tmp_path, "printf", "%s\n", weird).splitlines()[3] == weird


def test_newline_in_an_argument_leaves_the_header_one_line(tmp_path: Path) -> None:
    lines = log_of(tmp_path, "echo", "a\nb").splitlines()
    assert lines[0] == r"# echo 'a\nb'"
    assert lines[3:5] == ["a", "b"]


def test_job_has_no_standard_input(tmp_path: Path) -> None:
    assert "(code 0)" in log_of(tmp_path, "cat")


def test_signal_counts_as_128_and_its_number(tmp_path: Path) -> None:
    assert "(code 137)" in log_of(tmp_path, "sh", "-c", "kill -9 $$")


@pytest.mark.parametrize(("name", "code"), [("no-such-program", 127), ("./plain", 126)])
def test_command_that_cannot_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain").write_text("not a program")
    text = log_of(tmp_path, name)
    assert f"(code {code})" in text
    assert text.splitlines()[3].startswith(f"{name}: ")


def test_all_jobs_run_after_a_failure(tmp_path: Path) -> None:
    jobs = parse(["JOB=1:4", str(tmp_path / "JOB.log"), "test", "JOB", "-gt", "1"])
    assert codes(jobs, Resources(max_jobs_run=1)) == [1, 0, 0, 0]


@pytest.mark.parametrize("most", [1, 2])
def test_max_jobs_run_is_kept(tmp_path: Path, most: int) -> None:
    script = f"ls {tmp_path}/on | wc -l; touch {tmp_path}/on/JOB; sleep 0.3; rm {tmp_path}/on/JOB"
    (tmp_path / "on").mkdir()
    jobs = parse(["JOB=1:4", str(tmp_path / "JOB.log"), "sh", "-c", script])
    assert codes(jobs, Resources(max_jobs_run=most)) == [0] * 4
    seen = [int((tmp_path / f"{n}.log").read_text().splitlines()[3]) for n in range(1, 5)]
    assert max(seen) < most


def test_jobs_side_by_side_get_one_thread_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    jobs = parse(["JOB=1:2", str(tmp_path / "JOB.log"), "sh", "-c", "echo $OMP_NUM_THREADS"])
    codes(jobs, Resources(max_jobs_run=2))
    assert (tmp_path / "2.log").read_text().splitlines()[3] == "1"
    assert log_of(tmp_path, "sh", "-c", "echo $OMP_NUM_THREADS").splitlines()[3] == "5"


def test_gpu_jobs_get_gpus_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2,5,7")
    # each waits for the other, so that both have theirs at the same time
    script = f"echo $CUDA_VISIBLE_DEVICES; cd {tmp_path}; touch JOB"
    script += "; until test -e 1 -a -e 2; do sleep 0.05; done"
    jobs = parse(["JOB=1:2", str(tmp_path / "JOB.log"), "sh", "-c", script])
    codes(jobs, Resources(gpu=2))
    seen = [(tmp_path / f"{n}.log").read_text().splitlines()[3] for n in (1, 2)]
    assert seen == ["0,2", "5,7"]


def test_gpu_request_without_a_gpu_runs_one_job_at_a_time() -> None:
    assert local.slots(4, Resources(gpu=1), []) == 1


def test_slots_follow_processors_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert local.slots(100, Resources(), []) == 8
    assert local.slots(100, Resources(num_threads=4), []) == 2
    assert local.slots(11, Resources(), []) == 11  # fewer than 1.4 jobs a processor
    assert local.slots(12, Resources(), []) == 8


def test_gpu_that_another_run_has_taken_is_not_given_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "test-a,test-b")
    monkeypatch.setattr(local, "GPU_SECONDS", 0.05)
    taken = gpus.take(["test-a", "test-b"], 1)
    assert taken is not None and taken.names == ["test-a"]
    script = "echo $CUDA_VISIBLE_DEVICES"
    jobs = parse(["JOB=1:2", str(tmp_path / "JOB.log"), "sh", "-c", script])
    assert codes(jobs, Resources(gpu=1)) == [0, 0]
    seen = [(tmp_path / f"{n}.log").read_text().splitlines()[3] for n in (1, 2)]
    assert seen == ["test-b", "test-b"]
    assert gpus.take(["test-a", "test-b"], 2) is None
    taken.end()
    both = gpus.take(["test-a", "test-b"], 2)
    assert both is not None
    both.end()


def test_gpu_stays_taken_while_what_a_job_started_outlives_the_runner(tmp_path: Path) -> None:
    runner = subprocess.Popen(
        [sys.executable, "-m", "chainstitch.bin.main", "run", "--gpu", "1", "a.log",
         "sh", "-c", "sleep 60 & echo $!; echo $$; wait"],  # sh goes with the runner, not sleep
        cwd=tmp_path, env=os.environ | {"CUDA_VISIBLE_DEVICES": "test-c"},
    )  # fmt: skip
    log = tmp_path / "a.log"
    wait_for(lambda: log.exists() and log.read_text().count("\n") >= 5, process=runner)
    sleeping, shell = log.read_text().splitlines()[3:5]
    runner.kill()
    runner.wait()
    status = Path("/proc", shell, "status")
    wait_for(lambda: not status.exists() or "(zombie)" in status.read_text())
    assert gpus.take(["test-c"], 1) is None
    os.kill(int(sleeping), signal.SIGKILL)
    leases: list[gpus.Lease] = []

    def freed() -> bool:
        lease = gpus.take(["test-c"], 1)
        leases.extend([lease] if lease else [])
        return bool(lease)

    wait_for(freed)
    leases[0].end()


def test_job_that_will_not_go_is_killed_when_its_grace_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chainstitch.utils.queue.process.GRACE_SECONDS", 0.3)
    job = "trap '' TERM; echo trapped; sleep 60; sleep 60"
    for limit in (1, 4, 16):  # on a busy machine the shell may not have come to its trap by then
        text = log_of(tmp_path, "sh", "-c", job, resources=Resources(max_time=limit))
        if "\ntrapped\n" in text:
            break
    assert f"# Time limit of {limit} seconds reached\n" in text
    assert "(code 137)" in text


def test_many_jobs_leave_no_process_and_no_open_file(tmp_path: Path, thorough: bool) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    many = 200 if thorough else 40
    jobs = parse([f"JOB=1:{many}", str(tmp_path / "JOB.log"), "true"])
    assert codes(jobs, Resources(max_jobs_run=8)) == [0] * many
    if before:
        assert len(os.listdir("/proc/self/fd")) == before
    with contextlib.suppress(ChildProcessError):  # no child at all
        assert os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
