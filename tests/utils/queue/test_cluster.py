"""Trouble with a scheduler, against the fake Grid Engine, which really runs the jobs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.queue import backends, record, site, submit
from chainstitch.utils.queue.grammar import Ended, Resources, parse
from tests.fakes.install import fake_sge
from tests.waiting import wait_for

QUICK = site.Site(patience=3.0, poll=0.2, submit_patience=60.0)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a fake Grid Engine; we are in an empty one beside it."""
    for name, value in fake_sge(tmp_path / "fake").items():
        monkeypatch.setenv(name, value)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(submit, "RETRY_SECONDS", 0.2)
    return tmp_path / "fake"


def run(*arguments: str, settings: site.Site = QUICK, most: int | None = None) -> dict[int, Ended]:
    return backends.run("sge", parse(arguments), Resources(max_jobs_run=most), settings)


def later(seconds: float, does: Callable[[], object]) -> None:
    threading.Timer(seconds, does).start()


def test_full_queue_is_asked_again_and_that_is_said(
    fake: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "RETRY_SECONDS", 1.0)
    refuse = fake / "refuse"
    refuse.write_text("job rejected: Only 1 jobs are allowed per user (current job count: 1)")
    later(2.5, refuse.unlink)
    assert run("a.log", "true") == {1: Ended(0)}
    assert caplog.text.count("trying again in") <= 2  # at 0 and 1 s, then at 3 s
    assert "does not take the jobs now (job rejected: Only 1 jobs are allowed" in caplog.text


def test_queue_that_stays_full_is_not_asked_for_ever(fake: Path) -> None:
    (fake / "refuse").write_text("unable to contact qmaster")
    quick = site.Site(patience=3.0, poll=0.2, submit_patience=1.0)
    with pytest.raises(UserError, match="has not taken the jobs for 1 s: unable to contact"):
        run("a.log", "true", settings=quick)


def test_wrong_request_is_not_asked_twice(fake: Path, caplog: pytest.LogCaptureFixture) -> None:
    wrong = site.Site(sge=site.GridEngine(always=["-l", "unheard=1"]))
    with pytest.raises(UserError, match='does not take the jobs: unknown resource "unheard"'):
        run("a.log", "true", settings=wrong)
    assert "trying again" not in caplog.text


def test_job_that_vanished_is_lost_and_its_log_is_not_believed(fake: Path) -> None:
    def kill() -> None:  # as when a machine dies: no word from anybody
        wait_for(lambda: Path("a.2.log").exists() and "\ngo" in Path("a.2.log").read_text())
        worker = int(Path("a.2.log").read_text().splitlines()[3].split()[1])
        os.kill(worker, signal.SIGKILL)

    later(0.0, kill)
    ended = run("JOB=1:2", "a.JOB.log", "sh", "-c", "echo go $PPID; test JOB = 1 || exec sleep 60")
    assert ended[1] == Ended(0)
    assert ended[2] == Ended(None, "Grid Engine does not know the job any more")


def test_task_that_cannot_be_started_is_lost_and_removed(fake: Path) -> None:
    (fake / "broken").touch()
    Path("a.log").write_text("of another day\n")
    assert run("a.log", "true") == {1: Ended(None, "Grid Engine says Eqw")}
    assert list((fake / "jobs").glob("1/*")) == []
    assert not Path("a.log").exists()  # it would be shown as this job's


def test_scheduler_that_does_not_answer_is_waited_for(
    fake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (fake / "silent").touch()

    def answer() -> None:
        wait_for(lambda: "does not answer" in caplog.text)
        (fake / "silent").unlink()
        wait_for(lambda: "answers again" in caplog.text)
        Path("go").touch()

    later(0.0, answer)
    assert run("a.log", "sh", "-c", "until test -e go; do sleep 0.1; done; exit 7") == {1: Ended(7)}
    assert caplog.text.count("Grid Engine does not answer") == 1


def test_exit_that_the_disk_shows_late_is_waited_for(fake: Path) -> None:
    (fake / "forget").touch()  # the job is over, as far as the scheduler knows
    assert run("a.log", "sh", "-c", "sleep 1.5; exit 7") == {1: Ended(7)}


def test_array_larger_than_the_scheduler_takes_is_cut(
    fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chainstitch.utils.queue.sge.GridEngine.most_tasks", 2)
    Path("on").mkdir()
    script = "ls on | wc -l; touch on/JOB; sleep 1; rm on/JOB; exit JOB"
    ended = run("JOB=3:7", "a.JOB.log", "sh", "-c", script, most=2)
    assert {number: end.code for number, end in ended.items()} == {n: n for n in range(3, 8)}
    assert len(list((fake / "numbers").iterdir())) == 3
    seen = [int(Path(f"a.{n}.log").read_text().splitlines()[3]) for n in range(3, 8)]
    assert max(seen) < 2  # the arrays do not run side by side


def test_only_what_wants_it_is_put_back(fake: Path) -> None:
    script = "echo run; test JOB = 2 && ! test -e saved && touch saved && exit 144; exit 0"
    ended = run("JOB=1:3", "a.JOB.log", "sh", "-c", script)
    assert ended == {1: Ended(0), 2: Ended(0), 3: Ended(0)}
    counts = [Path(f"a.{n}.log").read_text().count("\nrun\n") for n in (1, 2, 3)]
    assert counts == [1, 2, 1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupt_cancels_what_was_submitted(fake: Path, number: int) -> None:
    Path("conf").mkdir()
    Path("conf/queue.toml").write_text("poll = 0.2\n")
    runner = subprocess.Popen(
        [sys.executable, "-m", "chainstitch.bin.main", "run", "--backend", "sge",
         "JOB=1:6", "a.JOB.log", "sh", "-c", "echo go; exec sleep 60"],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )  # fmt: skip
    wait_for(lambda: Path("a.1.log").exists() and "\ngo" in Path("a.1.log").read_text())
    os.killpg(runner.pid, number)
    _, error = runner.communicate(timeout=60)
    assert runner.returncode == 130
    assert error == "chainstitch run: error: interrupted\n"
    assert "# Ended (code 143)" in Path("a.1.log").read_text()
    wait_for(lambda: not list((fake / "jobs").glob("*/*")), 5.0)
    assert not Path("a.6.log").exists()


def test_record_of_a_success_keeps_only_what_status_reads(fake: Path) -> None:
    run("exp/log/a.log", "true")
    (place,) = Path("exp/q").iterdir()
    assert {path.name for path in place.iterdir()} == {"batch.json", "outcome.json"}
    run("exp/log/a.log", "false")
    (place,) = Path("exp/q").iterdir()
    assert "job.0.sh" in {path.name for path in place.iterdir()}


def worker(directory: Path, patience: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "chainstitch.utils.queue.worker", str(directory), "0", "1",
         str(patience)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/",
    )  # fmt: skip


@pytest.mark.parametrize("hidden", ["q", "exp/log", "."])
def test_worker_waits_for_directories_that_the_disk_shows_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    batch = record.begin(parse(["exp/log/a.log", "pwd"]), Resources(), "sge")
    record.note_submission(batch.directory, 0, [1], False)
    target = {"q": batch.directory, "exp/log": here / "exp" / "log", ".": here}[hidden]
    monkeypatch.chdir("/")
    target.rename(tmp_path / "hidden")
    process = worker(batch.directory, 20.0)
    assert process.stdout and "is not visible yet" in process.stdout.readline()
    (tmp_path / "hidden").rename(target)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert f"\n{here}\n" in (here / "exp" / "log" / "a.log").read_text()
    exit_file = batch.directory / "exits" / "0.1.json"
    assert json.loads(exit_file.read_text())["code"] == 0


def test_worker_gives_up_a_directory_that_never_comes(tmp_path: Path) -> None:
    process = worker(tmp_path / "none", 0.5)
    said, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "FileNotFoundError" in said.splitlines()[-1]


def test_flags_come_from_the_options_and_the_site_and_no_shell_reads_them() -> None:
    resources = Resources(gpu=2, mem="4G", num_threads=3, max_time=90)
    assert site.arguments(site.Slurm(), resources) == [
        *("--gres=gpu:2", "--mem=4G", "--cpus-per-task=3", "--time=4")
    ]
    assert site.arguments(site.GridEngine(), resources) == [
        *("-l", "gpu=2", "-l", "mem_free=4G", "-pe", "smp", "3", "-l", "h_rt=210")
    ]
    own = site.Slurm(always=["--account=a b"], no_gpu=["-p", "cpu"], gpu=["-p", "g", "--gpus={}"])
    assert site.arguments(own, Resources()) == ["--account=a b", "-p", "cpu"]
    assert site.arguments(own, Resources(gpu=1)) == ["--account=a b", "-p", "g", "--gpus=1"]
