"""Learning rate, backstitch scale, limits and shrinking as functions of the data processed."""

from __future__ import annotations

import math

import pytest

from chainstitch.nnet.optim import build
from chainstitch.nnet.train import schedule


def test_learning_rate_is_exponential_between_its_ends() -> None:
    rates = [schedule.exponential(1e-3, 1e-4, k, 4) for k in range(5)]
    assert rates[0] == 1e-3 and rates[4] == pytest.approx(1e-4)
    ratios = [b / a for a, b in zip(rates, rates[1:], strict=False)]
    assert ratios == pytest.approx([10**-0.25] * 4)
    assert schedule.exponential(1e-3, 1e-4, 5, 4) == rates[4]  # never below the final one


@pytest.mark.parametrize(("initial", "final"), [(0.0, 1e-4), (1e-3, 0.0), (-1.0, 1.0)])
def test_learning_rates_that_are_not_positive_are_refused(initial: float, final: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        schedule.exponential(initial, final, 0, 1)


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
