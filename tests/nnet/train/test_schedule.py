"""Learning rate, when to stop, backstitch scale, limits and shrinking."""

from __future__ import annotations

import math
from typing import Any

import pytest

from chainstitch.nnet.optim import build
from chainstitch.nnet.train import schedule
from chainstitch.nnet.train.schedule import PlateauOptions, RateOptions, Schedule


def test_learning_rate_is_exponential_between_its_ends() -> None:
    rates = [schedule.exponential(1e-3, 1e-4, k / 4) for k in range(5)]
    assert rates[0] == 1e-3 and rates[4] == pytest.approx(1e-4)
    ratios = [b / a for a, b in zip(rates, rates[1:], strict=False)]
    assert ratios == pytest.approx([10**-0.25] * 4)
    assert schedule.exponential(1e-3, 1e-4, 1.25) == rates[4]  # never below the final one


@pytest.mark.parametrize(("initial", "final"), [(0.0, 1e-4), (1e-3, 0.0), (-1.0, 1.0)])
def test_learning_rates_that_are_not_positive_are_refused(initial: float, final: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        schedule.exponential(initial, final, 0.0)


def test_backstitch_starts_slowly() -> None:
    scales = [build.slow_start(0.3, i) for i in range(20)]
    assert scales[0] == 0.0 and scales[5] == pytest.approx(0.1) and scales[15:] == [0.3] * 5
    assert build.slow_start(0.3, 0, 0) == 0.3  # no ramp


def test_first_iteration_may_change_less() -> None:
    assert build.first_iteration_max_change(2.0, 0) == pytest.approx(math.sqrt(2.0))
    assert build.first_iteration_max_change(2.0, 1) == 2.0


@pytest.mark.parametrize(
    ("shrink", "proportional", "lr", "scale"),
    [
        (1.0, 0.0, 1e-3, 1.0),  # off
        (0.99, 0.0, 1e-3, 0.99),
        (1.0, 20.0, 1e-3, 0.98),  # proportional to the learning rate
        (1.0, 20.0, 1e-4, 0.998),
        (0.99, 20.0, 1e-3, 0.98),  # the smaller of the two
        (0.99, 20.0, 1e-4, 0.99),
    ],
)
def test_shrinking_is_the_smaller_of_two_where_units_are_saturated(
    shrink: float, proportional: float, lr: float, scale: float
) -> None:
    assert schedule.shrinkage(shrink, proportional, lr, True) == pytest.approx(scale, abs=1e-12)
    assert schedule.shrinkage(shrink, proportional, lr, False) == 1 - proportional * lr


@pytest.mark.parametrize("proportional", [500.0, 2000.0, math.nan])
def test_shrinking_by_half_or_more_is_refused(proportional: float) -> None:
    with pytest.raises(ValueError, match=r"must be above 0\.5"):
        schedule.shrinkage(1.0, proportional, 1e-3, False)


def test_each_schedule_by_its_name() -> None:
    history = [-3.0, -2.0, -2.5, -2.0, -1.95, -1.0]
    kept = {"initial_lr": 0.8, "final_lr": 0.1}
    rates = {
        name: [
            Schedule(RateOptions(**kept, schedule=name)).rate(n / 6, history[:n]) for n in range(7)
        ]
        for name in schedule.SCHEDULES
    }
    assert rates["exponential"] == pytest.approx([0.8 * 2 ** (-n / 2) for n in range(7)])
    assert rates["constant"] == [0.8] * 7
    # the third is worse than the second, the fourth only as good
    assert rates["plateau"] == [0.8, 0.8, 0.8, 0.4, 0.2, 0.2, 0.2]


@pytest.mark.parametrize(
    ("options", "falls"),
    [
        (PlateauOptions(), [0, 0, 0, 1, 2, 2, 2]),
        (PlateauOptions(least=0.1), [0, 0, 0, 1, 2, 3, 3]),  # a gain of 0.05 is none
        (PlateauOptions(least=5.0), [0, 0, 1, 2, 3, 4, 5]),
        (PlateauOptions(factor=0.1, wait=4), [0, 0, 0, 0, 1, 1, 1]),
        (PlateauOptions(wait=7), [0] * 7),
    ],
)
def test_a_plateau_lowers_the_rate(options: PlateauOptions, falls: list[int]) -> None:
    history = [-3.0, -2.0, -2.5, -2.0, -1.95, -1.0]
    rate = Schedule(RateOptions(initial_lr=1.0, schedule="plateau", plateau=options)).rate
    found = [rate(0.0, history[:n]) for n in range(7)]
    assert found == pytest.approx([options.factor**n for n in falls])


@pytest.mark.parametrize(
    ("patience", "over"),
    [(0, []), (1, [3, 4, 6]), (2, [4]), (3, []), (6, [])],
)
def test_patience_counts_iterations_without_a_better_one(patience: int, over: list[int]) -> None:
    history = [-3.0, -2.0, -2.5, -2.0, -1.0, -1.5]
    plan = Schedule(RateOptions(patience=patience))
    assert [n for n in range(7) if plan.over(history[:n])] == over


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"schedule": "linear"}, "wanted exponential or plateau or constant, found 'linear'"),
        ({"patience": -1}, "patience wants 0 to"),
        ({"initial_lr": 0.0}, "initial_lr wants above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RateOptions(**wrong)


@pytest.mark.parametrize("wrong", [{"factor": 1.0}, {"factor": 0.0}, {"least": -1.0}, {"wait": 0}])
def test_plateaus_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} wants"):
        PlateauOptions(**wrong)
