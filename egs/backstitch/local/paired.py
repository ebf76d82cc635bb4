"""Means over seeds, and differences between two forms that were trained with the same seeds.

Runs of two forms with one seed begin with the same parameters and see the same minibatches, so
their difference is taken first, and of the differences d_1 .. d_n the mean m, the deviation s, and
Student's interval

    m -+ t s / sqrt(n)      P(|T| <= t) = 0.95, T of n - 1 degrees of freedom                  (1)

With k degrees of freedom and theta = atan(t / sqrt(k)), the probability in (1) is a finite sum
(Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4):

    k even    sin theta (1 + 1/2 cos^2 theta + (1 3)/(2 4) cos^4 theta + ... + .. cos^(k-2) theta)
    k odd     2/pi (theta + sin theta (cos theta + 2/3 cos^3 theta + ... + .. cos^(k-2) theta))

which rises with t, so that t is found by halving.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation (None of one value) and number."""

    mean: float
    sd: float | None
    n: int

    @staticmethod
    def of(values: Sequence[float]) -> Summary:
        """Of one value or more."""
        sd = statistics.stdev(values) if len(values) > 1 else None
        return Summary(statistics.fmean(values), sd, len(values))


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences and its 95 % interval, (1)."""

    mean: float
    low: float
    high: float
    n: int

    def verdict(self, larger_is_better: bool) -> str:
        """better or worse where the interval lies on one side of 0; else: not told apart."""
        if self.low <= 0 <= self.high:
            return "not told apart"
        return "better" if (self.mean > 0) == larger_is_better else "worse"


def difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Difference | None:
    """Of values by seed, over the seeds that both have; None of fewer than two.

    >>> difference({0: 1.0, 1: 2.0, 2: 9.0}, {0: 0.0, 1: 0.0})
    Difference(mean=1.5, low=-4.853102368..., high=7.853102368..., n=2)
    """
    each = [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]
    if len(each) < 2:
        return None
    mean = statistics.fmean(each)
    half = quantile(len(each) - 1) * statistics.stdev(each) / math.sqrt(len(each))
    return Difference(mean, mean - half, mean + half, len(each))


def quantile(freedom: int, level: float = LEVEL) -> float:
    """t of (1).

    >>> round(quantile(4), 4)
    2.7764
    """
    low, high = 0.0, 1.0
    while probability(high, freedom) < level:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        if probability(middle, freedom) < level:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def probability(t: float, freedom: int) -> float:
    """P(|T| <= t) of so many degrees of freedom."""
    theta = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(theta)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0 if freedom == 1 else term
    for power in range(2 + odd, freedom - 1, 2):
        term *= cosine**2 * (power - 1) / power
        total += term
    total *= math.sin(theta)
    return (theta + total) * 2 / math.pi if odd else total
