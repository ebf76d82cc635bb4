"""Parallel jobs: pieces of the data, learning rates, what is averaged, and what survives."""

from __future__ import annotations

import itertools
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from chainstitch.nnet.train.averaged_jobs import AveragedJobs, average, kept, result_of
from chainstitch.nnet.train.plan import BatchPlan
from chainstitch.nnet.train.trainer import Trainer
from chainstitch.utils import checkpoint
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.stop_signals import StopSignals
from tests.toy import XCONFIG, Toy, rows, run, same_tensors, spawn
from tests.training import BACKSTITCH, make_trainer, trainer
from tests.waiting import wait_for

JOBS = (
    *("--set", "optim.backstitch.scale=1.0", "--set", "optim.backstitch.slow_start=2"),
    *("--set", "training.minibatch_size=2"),
    *("--set", "training.frames_per_iteration=2200"),
    *("--set", "training.jobs_initial=2", "--set", "training.jobs_final=3"),
    *("--jobs-cmd", f"{sys.executable} -m chainstitch.bin.main run"),
)


@pytest.fixture(scope="module")
def options(thorough: bool) -> list[str]:
    """Those of a training in two iterations of 2 and 3 jobs, or in three of 2, 2 and 3."""
    return [*JOBS, "--set", f"training.passes={4 if thorough else 3}"]


class InProcess:
    """Runs the jobs one after the other, each with a trainer of its own."""

    def __init__(self, toy: Toy, out: Path, schedule: Any, jobs: tuple[int, int]) -> None:
        self.make = lambda: made(toy, out, schedule, jobs, self)
        self.out = out
        self.lrs: list[list[float]] = []
        self.phases: list[set[int]] = []  # of backstitch
        self.seeds = itertools.count(100)
        self.first = b""  # the file that the jobs of iteration 0 begin with

    def run(self, iteration: int, jobs: int, stop: StopSignals) -> list[dict[str, Any]]:
        if iteration == 0:
            self.first = (self.out / "0.pt").read_bytes()
        results, self.lrs = [], [*self.lrs, []]
        self.phases.append(set())
        for number in range(1, jobs + 1):
            job, result = self.job(iteration, number)
            results.append(result)
            self.lrs[-1].append(job.stepper.optimizer.param_groups[0]["lr"])
            self.phases[-1].add(job.stepper.wrapper.state_dict()["phase"])
        return results

    def job(self, iteration: int, number: int) -> tuple[Trainer, dict[str, Any]]:
        """A job and what it would write; its own network and generator are others every time."""
        job = self.make()
        torch.manual_seed(next(self.seeds))
        for parameter in job.network.parameters():
            torch.nn.init.normal_(parameter)
        return job, job.train_job(iteration, number)

    def clear(self) -> None:
        pass


def made(
    toy: Toy, out: Path, schedule: Any, jobs: tuple[int, int], parallel: Any = None
) -> Trainer:
    """Eight pieces of three minibatches."""
    whole = trainer(toy, out, schedule)
    parallel = parallel or InProcess(toy, out, schedule, jobs)
    plan = BatchPlan(len(whole.examples), 4, 4.0, 8, jobs=jobs)
    torch.manual_seed(0)
    return make_trainer(
        type(whole.network)(XCONFIG, whole.network.num_outputs), whole.loss, whole.examples,
        whole.valid, plan, schedule, out, jobs=parallel,
    )  # fmt: skip


def test_every_minibatch_is_in_one_job_in_order() -> None:
    plan = BatchPlan(60, 4, 3.0, 12, seed=3)
    for jobs in ((1, 1), (2, 2), (1, 3), (4, 4)):
        grouped = BatchPlan(60, 4, 3.0, 12, seed=3, jobs=jobs)
        found = [m for i in range(grouped.num_iterations) for m in grouped.iteration(i)]
        wanted = [m for n in range(plan.num_iterations) for m in plan.iteration(n)]
        assert found[: len(wanted)] == wanted[: len(found)]
        ends = [grouped.bounds(i) for i in range(grouped.num_iterations)]
        assert ends[0][0] == 0 and all(a[1] == b[0] for a, b in zip(ends, ends[1:], strict=False))
        assert all(len(grouped.iteration(i)) == b - a for i, (a, b) in enumerate(ends)), jobs
    with pytest.raises(UsageError, match="jobs_initial and jobs_final: 12 archives"):
        BatchPlan(60, 4, 3.0, 12, jobs=(13, 13))


def test_jobs_start_from_one_model_with_its_learning_rate_times_their_number_and_are_averaged(
    toy: Toy, tmp_path: Path
) -> None:
    driver = made(toy, tmp_path / "exp", BACKSTITCH, (2, 2))
    parallel: Any = driver.jobs
    driver.run()
    assert driver.plan.num_iterations == 4 and [row["jobs"] for row in driver.rows] == [2] * 4
    assert parallel.lrs == [[row["lr"]] * 2 for row in driver.rows]
    assert driver.rows[0]["lr"] == pytest.approx(2 * 5e-3)
    assert driver.rows[-1]["lr"] == pytest.approx(2 * 1e-3)
    # the minibatches that backstitch treats have the same places in all jobs of an iteration
    assert list(map(len, parallel.phases)) == [1] * 4 and len(set.union(*parallel.phases)) == 4
    for number, row in enumerate(driver.rows[1:], 1):  # each share once, by one of the jobs
        frames = driver.examples.frames[
            [i for m in driver.plan.iteration(number) for i in m.indices]
        ]
        assert row["frames"] == sum(-(-int(n) // 3) for n in frames)
    # the twin: each job by hand, from the checkpoint before
    exp = tmp_path / "exp"
    assert checkpoint.iterations(exp) == [1, 2, 3, 4]  # no 0.pt: nobody needs it any more
    (exp / "0.pt").write_bytes(parallel.first)
    first = checkpoint.load(exp / "0.pt")["model"]
    assert same_tensors(first, parallel.make().network.state_dict())
    for iteration in range(4):
        results = [parallel.job(iteration, number)[1] for number in (1, 2)]
        assert not same_tensors(results[0]["model"], results[1]["model"])
        after = checkpoint.load(exp / f"{iteration + 1}.pt")["model"]
        if iteration == 0:  # the best alone
            best = results[kept(results, 0)[0]]["model"]
            assert same_tensors(after, best) and not same_tensors(after, first)
            continue
        for name, value in after.items():
            mean = (results[0]["model"][name].double() + results[1]["model"][name].double()) / 2
            if value.is_floating_point():
                torch.testing.assert_close(value.double(), mean, rtol=1e-6, atol=1e-7)
    assert driver.rows[-1]["valid_objf"] > driver.rows[0]["valid_objf"]


def result(objf: float, value: float) -> dict[str, Any]:
    return {
        "totals": {"objf": 10 * objf, "count": 10.0},
        "model": {"w": torch.tensor([value]), "count": torch.tensor(int(value))},
    }


def test_of_iteration_0_the_best_is_taken_later_all_but_those_far_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    results = [result(-0.5, 1.0), result(-0.2, 2.0), result(-1.3, 4.0), result(-1.1, 8.0)]
    assert kept(results, 0) == [1]
    assert kept(results, 1) == [1, 0, 3]
    assert "iteration 1: job 3 is left out, its objective is -1.3000, the best one's -0.2000" in (
        caplog.text
    )
    mean = average([results[n]["model"] for n in kept(results, 1)])
    assert mean["w"].item() == pytest.approx((2 + 1 + 8) / 3) and mean["count"].item() == 2
    assert kept([result(float("nan"), 0.0), result(-1.0, 1.0)], 1) == [1]
    with pytest.raises(UserError, match="no job has a finite objective"):
        kept([result(float("nan"), 0.0)] * 2, 0)


@pytest.fixture(scope="module")
def whole(toy: Toy, tmp_path_factory: pytest.TempPathFactory, options: list[str]) -> Path:
    """An undisturbed run, its jobs processes of their own."""
    out = tmp_path_factory.mktemp("jobs") / "whole"
    assert run(*toy.arguments(out, *options)) == 0
    return out


def test_the_terminal_runs_jobs_as_processes(
    toy: Toy, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows(whole)
    assert [row["jobs"] for row in found][0] == 2 and found[-1]["jobs"] == 3
    numbers = checkpoint.iterations(whole)
    assert numbers == list(range(1, len(found) + 1)) and not list((whole / "jobs").iterdir())
    assert "train-job" in (whole / "log" / "train.1.2.log").read_text()
    assert run("combine", str(whole)) == 0


def test_a_driver_that_was_killed_or_stopped_goes_on_to_the_same_end(
    toy: Toy, whole: Path, tmp_path: Path, options: list[str]
) -> None:
    out = tmp_path / "exp"
    command = toy.arguments(out, *options, "--resume", "auto")
    last = len(rows(whole)) - 1
    for number, iteration in ((signal.SIGKILL, 1), (signal.SIGTERM, last)):
        log_of_job = out / "log" / f"train.{iteration}.1.log"
        log_of_job.unlink(missing_ok=True)
        process = spawn(command)
        wait_for(log_of_job.exists, 240, process)  # its jobs have begun
        process.send_signal(number)
        _, log = process.communicate()
        assert process.returncode == (-9 if number is signal.SIGKILL else 144), log
    assert "while jobs were training" in log
    assert run(*command) == 0
    for number in checkpoint.iterations(whole):
        one, other = (checkpoint.load(exp / f"{number}.pt")["model"] for exp in (out, whole))
        assert same_tensors(one, other), number
    assert rows(out) == rows(whole)


def test_a_failed_job_is_an_error_that_names_its_log(
    toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parallel = AveragedJobs(
        tmp_path, [sys.executable, "-m", "chainstitch.bin.main", "run"], ["false"]
    )
    with pytest.raises(UserError, match=r"iteration 4: a job failed .*train\.4\.JOB\.log"):
        parallel.run(4, 2, StopSignals())


def test_a_job_that_is_done_is_not_done_again_a_damaged_one_is(
    toy: Toy, whole: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    path = result_of(whole, 1, 2)
    command = ["train-job", str(whole), "--iteration", "1", "--job", "2", "--device", "cpu"]
    assert run(*command) == 0
    first = path.read_bytes()
    assert run(*command) == 0 and "is there already" in capsys.readouterr().out
    path.write_bytes(first[:-200])
    assert run(*command) == 0
    again = checkpoint.load(path)
    path.write_bytes(first)
    assert same_tensors(again["model"], checkpoint.load(path)["model"])
    path.unlink()
    assert run(*command[:3], "99", "--job", "1") == 2
    assert run(*command[:5], "9") == 2
    jobs = rows(whole)[1]["jobs"]
    assert f"iteration 1 has {jobs} jobs; found --iteration 1 --job 9" in capsys.readouterr().err
