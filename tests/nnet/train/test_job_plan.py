"""Iterations of several jobs: the counts of Kaldi's logs, and every archive in every variant."""

from __future__ import annotations

from collections import Counter

import pytest

from chainstitch.nnet.train.job_plan import JobPlan, num_archives

# 45 M frames, 1.5 M an iteration, 4 epochs, jobs 2 to 12, learning rate 1e-3 to 1e-4
PLAN = JobPlan(num_archives(45_000_000, 1_500_000), 4, 2, 12)


def test_gold_counts() -> None:
    assert PLAN.num_archives == 31
    assert PLAN.num_archives * PLAN.variants == 93
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
    assert PLAN.jobs(iteration) == jobs
    assert PLAN.processed(iteration) == processed
    assert PLAN.lr(iteration, 1e-3, 1e-4) == pytest.approx(lr, abs=5e-9)


@pytest.mark.parametrize(
    ("archives", "epochs", "jobs", "iterations"),
    [
        (148, 4, (2, 12), 253),  # TED-LIUM
        (148, 7, (2, 12), 444),
        (51, 4, (2, 12), 87),  # AMI
        (208, 4, (3, 16), 262),  # Switchboard
    ],
)
def test_iterations_are_as_many_as_in_the_logs_of_kaldi(
    archives: int, epochs: int, jobs: tuple[int, int], iterations: int
) -> None:
    assert JobPlan(archives, epochs, *jobs).num_iterations == iterations


@pytest.mark.parametrize(
    ("epochs", "iterations"),
    [(60, 80), (100, 133), (140, 186), (170, 226), (190, 253), (210, 280)],
)
def test_iterations_of_images_are_as_many_as_in_the_logs_of_kaldi(
    epochs: int, iterations: int
) -> None:
    assert JobPlan(2, epochs, 1, 2, variants=1).num_iterations == iterations


def test_one_job_is_an_archive_an_iteration() -> None:
    plan = JobPlan(5, 2, 1, 1)
    assert plan.num_iterations == plan.to_process == 30
    assert [plan.processed(i) for i in range(30)] == list(range(30))
    assert plan.lr(29, 1e-3, 1e-4) == pytest.approx(1e-4)


def test_archives_and_shifts_of_the_first_jobs() -> None:
    plan = JobPlan(4, 3, 2, 2)
    jobs = [plan.job(i, j) for i in range(6) for j in (1, 2)]
    assert [archive for archive, _ in jobs] == [1, 2, 3, 4] * 3
    assert [shift for _, shift in jobs] == [1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]


def test_every_archive_has_every_shift_once_in_an_epoch() -> None:
    jobs = [PLAN.job(i, j) for i in range(PLAN.num_iterations) for j in range(1, PLAN.jobs(i) + 1)]
    for epoch in range(3):  # what the last iterations have no room for is lost, as in Kaldi
        assert set(Counter(jobs[93 * epoch : 93 * (epoch + 1)]).values()) == {1}


@pytest.mark.parametrize(
    "bad", [(0, 1.0, 1, 1, 3), (1, 0.0, 1, 1, 3), (1, 1.0, 0, 1, 3), (1, 1.0, 1, 0, 3)]
)
def test_a_number_out_of_range_is_refused(bad: tuple[int, float, int, int, int]) -> None:
    with pytest.raises(ValueError, match="a job plan wants"):
        JobPlan(*bad)


def test_more_jobs_than_archives_is_refused() -> None:
    with pytest.raises(ValueError, match="3 archives to process are less than one iteration"):
        JobPlan(1, 1, 2, 12)
