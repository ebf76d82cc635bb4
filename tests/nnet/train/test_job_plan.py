"""Iterations of several jobs: the counts of Kaldi's logs, from the hours of the corpora."""

from __future__ import annotations

import pytest

from chainstitch.nnet.train.job_plan import JobPlan, num_archives, num_pieces
from chainstitch.nnet.train.schedule import exponential

SHIFTS = 3  # passes of an epoch of a chain model
# 45 M frames, 1.5 M an iteration, 4 epochs, jobs 2 to 12
PLAN = JobPlan(num_pieces(4 * SHIFTS, num_archives(45_000_000, 1_500_000)), 2, 12)


def test_gold_counts() -> None:
    assert num_archives(45_000_000, 1_500_000) == 31
    assert PLAN.to_process == 372
    assert PLAN.num_iterations == 53


@pytest.mark.parametrize(
    ("iteration", "jobs", "processed", "lr"),
    [
        (0, 2, 0, 0.002),
        (10, 4, 29, 0.00334274),
        (26, 7, 114, 0.00345658),
        (50, 11, 331, 0.00141778),
        (52, 12, 354, 0.0012),
    ],
)
def test_gold_iterations(iteration: int, jobs: int, processed: int, lr: float) -> None:
    done = 1.0 if iteration == 52 else PLAN.done(iteration)
    assert PLAN.jobs(iteration) == jobs
    assert PLAN.processed(iteration) == processed
    assert PLAN.jobs(iteration) * exponential(1e-3, 1e-4, done) == pytest.approx(lr, abs=5e-9)


@pytest.mark.parametrize(
    ("corpus", "hours", "frames", "epochs", "jobs", "archives", "iterations"),
    [
        ("AMI SDM", 69.44, 1_500_000, 4, (2, 12), 51, 87),
        ("AMI IHM", 70.50, 1_500_000, 4, (2, 12), 52, 89),
        ("Switchboard", 286, 1_500_000, 4, (3, 16), 208, 262),
        ("Switchboard, BLSTM 6k", 285.7, 1_200_000, 4, (3, 16), 259, 327),
        ("TED-LIUM", 203.1, 1_500_000, 4, (2, 12), 148, 253),
        ("TED-LIUM, with backstitch", 203.1, 1_500_000, 7, (2, 12), 148, 444),
    ],
)
def test_iterations_are_as_many_as_in_the_logs_of_kaldi(
    corpus: str,
    hours: float,
    frames: int,
    epochs: int,
    jobs: tuple[int, int],
    archives: int,
    iterations: int,
) -> None:
    total = int(hours * (1 / 0.9 + 1 + 1 / 1.1) * 360_000)  # three speeds
    assert num_archives(total, frames) == archives
    assert JobPlan(num_pieces(epochs * SHIFTS, archives), *jobs).num_iterations == iterations


@pytest.mark.parametrize(
    ("passes", "iterations"),
    [(60, 80), (100, 133), (140, 186), (170, 226), (190, 253), (210, 280)],
)
def test_iterations_of_images_are_as_many_as_in_the_logs_of_kaldi(
    passes: int, iterations: int
) -> None:
    assert JobPlan(num_pieces(passes, 2), 1, 2).num_iterations == iterations


def test_one_job_is_an_archive_an_iteration() -> None:
    plan = JobPlan(30)
    assert plan.num_iterations == 30
    assert [plan.processed(i) for i in range(30)] == list(range(30))
    assert [plan.done(i) for i in (0, 15)] == [0.0, 0.5]


@pytest.mark.parametrize(
    ("passes", "archives", "count"), [(1.0, 2, 2), (2.5, 3, 7), (0.1, 5, 1), (4.0, 1, 4)]
)
def test_a_part_of_an_archive_is_left_out_but_never_all(
    passes: float, archives: int, count: int
) -> None:
    assert num_pieces(passes, archives) == count


@pytest.mark.parametrize("bad", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_number_out_of_range_is_refused(bad: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="a job plan wants"):
        JobPlan(*bad)


def test_more_jobs_than_archives_is_refused() -> None:
    with pytest.raises(ValueError, match="3 archives to process are less than one iteration"):
        JobPlan(3, 2, 12)
