"""The local back end: what a job sees, what its log says, and how many run at a time."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from chainstitch.utils.errors import UsageError
from chainstitch.utils.queue import local
from chainstitch.utils.queue.grammar import Job, Resources, expand, is_range


def log_of(tmp_path: Path, *command: str, resources: Resources | None = None) -> str:
    path = tmp_path / "new" / "x.log"
    local.run([Job(str(path), command)], resources or Resources())
    return path.read_text()


def test_range_and_substitution() -> None:
    jobs = expand("LM=2:3", ["log/LM.log", "score", "--weight=LM", "JOB"])
    assert jobs == [
        Job("log/2.log", ("score", "--weight=2", "JOB")),
        Job("log/3.log", ("score", "--weight=3", "JOB")),
    ]
    assert expand("JOB=4", ["a.log", "x", "JOB"]) == [Job("a.log", ("x", "4"))]
    assert expand(None, ["a.JOB.log", "x"]) == [Job("a.JOB.log", ("x",))]


@pytest.mark.parametrize("text", ["JOB=1:4", "JOB=7", "LMWT=7:17"])
def test_is_range(text: str) -> None:
    assert is_range(text)


@pytest.mark.parametrize("text", ["JOB", "JOB=", "JOB=a", "1=2:3", "exp/JOB=1.log", "JOB=1:2:3"])
def test_is_no_range(text: str) -> None:
    assert not is_range(text)


def test_option_in_place_of_the_log_is_an_error() -> None:
    with pytest.raises(UsageError, match="where the log file's name should be"):
        expand("JOB=1:2", ["--typo", "2"])


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
    jobs = expand("JOB=1:4", [str(tmp_path / "JOB.log"), "test", "JOB", "-gt", "1"])
    assert local.run(jobs, Resources(max_jobs_run=1)) == [1, 0, 0, 0]


@pytest.mark.parametrize("most", [1, 2])
def test_max_jobs_run_is_kept(tmp_path: Path, most: int) -> None:
    script = f"ls {tmp_path}/on | wc -l; touch {tmp_path}/on/JOB; sleep 0.3; rm {tmp_path}/on/JOB"
    (tmp_path / "on").mkdir()
    jobs = expand("JOB=1:4", [str(tmp_path / "JOB.log"), "sh", "-c", script])
    assert local.run(jobs, Resources(max_jobs_run=most)) == [0] * 4
    seen = [int((tmp_path / f"{n}.log").read_text().splitlines()[3]) for n in range(1, 5)]
    assert max(seen) < most


def test_jobs_side_by_side_get_one_thread_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    jobs = expand("JOB=1:2", [str(tmp_path / "JOB.log"), "sh", "-c", "echo $OMP_NUM_THREADS"])
    local.run(jobs, Resources(max_jobs_run=2))
    assert (tmp_path / "2.log").read_text().splitlines()[3] == "1"
    assert log_of(tmp_path, "sh", "-c", "echo $OMP_NUM_THREADS").splitlines()[3] == "5"


def test_gpu_jobs_get_gpus_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2,5,7")
    script = "echo $CUDA_VISIBLE_DEVICES; sleep 0.3"
    jobs = expand("JOB=1:2", [str(tmp_path / "JOB.log"), "sh", "-c", script])
    local.run(jobs, Resources(gpu=2))
    seen = [(tmp_path / f"{n}.log").read_text().splitlines()[3] for n in (1, 2)]
    assert seen == ["0,2", "5,7"]


def test_gpu_request_without_a_gpu_runs_one_job_at_a_time() -> None:
    assert local._slots(4, Resources(gpu=1), []) == 1


def test_slots_follow_processors_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert local._slots(100, Resources(), []) == 8
    assert local._slots(100, Resources(num_threads=4), []) == 2
    assert local._slots(11, Resources(), []) == 11  # fewer than 1.4 jobs a processor
    assert local._slots(12, Resources(), []) == 8
