#!/usr/bin/env python3
"""The variance of a normal distribution: where the bias that backstitch is derived from is wrong.

Section 3.1 of the paper: "when we applied our analysis to the classic example of the variance
estimate being biased [...] we got an expression for the bias that was wrong by a constant factor".
It does not say which factor. It depends on the parameter: 6 for the variance.

x is normal of mean mu and variance v, both unknown; mu = 0 and v = 1 without loss of generality. v
is a function of phi: phi itself, or phi is the standard deviation, the logarithm or the precision:

    L(x)  =  l(phi) + q(phi) (x - mu)^2,        l = log(v) / 2,  q = 1 / (2 v)

At the best parameters, with primes for derivatives by phi there (l' + q' = 0 always), the elements
in the order mu, phi, and h = l'' + q'':

    g  =  [     -x      ]      H  =  [    1         -2 q' x    ]      Hbar  =  [ 1  0 ]
          [ l' + q' x^2 ]            [ -2 q' x   l'' + q'' x^2 ]               [ 0  h ]

With E[x^2] = 1 and E[x^4] = 3 the second element of E[H Hbar^-1 g] is

    2 q' + E[(l'' + q'' x^2)(l' + q' x^2)] / h  =  2 q' + 2 q' q'' / h

so that the paper's bias is

    E[phi^ - phi]  =  (2 q' + 2 q' q'' / h) / (h n)                                              (8)

For the variance l' = 1/2, l'' = -1/2, q' = -1/2, q'' = 1: (8) gives -6 / n. The variance of the
sample has bias -1 / n. So (8) has the right sign and order, and is six times too large.

Why
---
(8) is right about what it describes, one step of Newton's method from the best parameters (1): the
measured bias of that step is -6 / n. But the loss is not quadratic, and the step is not the
minimiser. With T the third derivative and e = theta^ - theta*, the minimiser solves
0 = g^ + H^ e + T(e, e) / 2 + ..., and since E[e e^T] = Hbar^-1 / n to first order (the Hessian of a
log-likelihood at the truth is also the covariance of its gradient), (8) lacks

    - Hbar^-1 E[T](Hbar^-1) / (2 n),     for phi:   - ((l''' + q''') / h + 2 q') / (2 h n)

which is of the same order 1 / n: 5 / n for the variance, and -6 + 5 = -1. More data do not help:
third derivatives belong to the leading term. Nor is the factor a property of the model, as it
changes with the parameter; for the natural parameters of an exponential family H is not random at
all, so (8) is zero there whatever the bias.

For backstitch it means that the correction that cancels (8), the constant c of (10) added to the
gradient, takes away -6 / n and leaves the estimate of the variance with a bias of +5 / n.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from quadratic import Estimate
from record import run

N = 1000
CHUNK = 2000  # data sets at a time: 16 MB


@dataclass(frozen=True)
class Parameter:
    """A parameter phi in the place of the variance.

    Attributes:
        name: what it is called.
        of_variance: phi as a function of v.
        l, q: first to third derivative of log(v) / 2 and 1 / (2 v) by phi, where v = 1.
    """

    name: str
    of_variance: Callable[[np.ndarray], np.ndarray]
    l: tuple[float, float, float]  # noqa: E741
    q: tuple[float, float, float]

    @property
    def h(self) -> float:
        """The expected second derivative."""
        return self.l[1] + self.q[1]

    @property
    def paper(self) -> float:
        """n times (8)."""
        return 2.0 * self.q[0] * (1.0 + self.q[1] / self.h) / self.h

    @property
    def lacking(self) -> float:
        """n times what (8) lacks, from the third derivatives."""
        return -((self.l[2] + self.q[2]) / self.h + 2.0 * self.q[0]) / (2.0 * self.h)

    @property
    def bias(self) -> float:
        """n times the bias of the maximum-likelihood estimate, to first order."""
        return self.paper + self.lacking


def power(name: str, p: float) -> Parameter:
    """phi with v = phi^p."""
    return Parameter(
        name,
        lambda v: v ** (1.0 / p),
        l=(p / 2, -p / 2, p),
        q=(-p / 2, p * (p + 1) / 2, -p * (p + 1) * (p + 2) / 2),
    )


PARAMETERS = (
    power("variance", 1.0),
    power("standard deviation", 2.0),
    Parameter("log variance", np.log, l=(0.5, 0.0, 0.0), q=(-0.5, 0.5, -0.5)),
    power("precision", -1.0),
)


def moments(n: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Mean and mean square of `draws` samples of size n, (draws, 2)."""
    parts = []
    for start in range(0, draws, CHUNK):
        x = rng.standard_normal((min(CHUNK, draws - start), n))
        parts.append(np.stack([x.mean(axis=1), np.einsum("rn,rn->r", x, x) / n], axis=1))
    return np.concatenate(parts)


def measure(parameter: Parameter, n: int, sums: np.ndarray) -> tuple[Estimate, Estimate]:
    """n times the bias of the maximum-likelihood estimate, and of one Newton step from the truth.

    As in quadratic.py the gradient, of mean zero, over h is added: it holds most of the noise.
    """
    mean, square = sums.T
    gradient = parameter.l[0] + parameter.q[0] * square
    cross = -2.0 * parameter.q[0] * mean
    second = parameter.l[1] + parameter.q[1] * square
    newton = -(gradient + cross * mean) / (second - cross**2)  # (1)
    truth = parameter.of_variance(np.ones(1))
    likely = parameter.of_variance(square - mean**2) - truth
    zero_mean = gradient / parameter.h
    exact, step = (Estimate.of(n * (e + zero_mean)[:, None]) for e in (likely, newton))
    return exact, step


def corrected(n: int, sums: np.ndarray) -> Estimate:
    """n times the bias of the variance with the constant (10) in the gradient, as in (9).

    c = -3 / n for v and 0 for mu, so 1 / (2 v) - S / (2 v^2) + c = 0 for the sample's variance S.
    """
    mean, square = sums.T
    variance = square - mean**2
    c = PARAMETERS[0].paper * PARAMETERS[0].h / n
    v = 2.0 * variance / (1.0 + np.sqrt(1.0 + 8.0 * c * variance))
    return Estimate.of(n * (v - square)[:, None])  # square - 1 has mean zero


def experiment(n: int, draws: int, seed: int) -> list[dict[str, Any]]:
    """A row for each parameter; the last is the variance with the correction."""
    sums = moments(n, draws, np.random.default_rng(seed))
    rows = []
    for parameter in PARAMETERS:
        exact, step = measure(parameter, n, sums)
        rows.append(
            {
                "parameter": parameter.name,
                "paper": parameter.paper,
                "lacking": parameter.lacking,
                "newton": float(step.mean[0]),
                "newton_error": float(step.error[0]),
                "bias": float(exact.mean[0]),
                "error": float(exact.error[0]),
            }
        )
    after = corrected(n, sums)
    rows.append(
        {
            "parameter": "variance, corrected",
            "bias": float(after.mean[0]),
            "error": float(after.error[0]),
        }
    )
    return rows


if __name__ == "__main__":
    sys.exit(run(__doc__, "draws", 100_000, lambda draws, seed: experiment(N, draws, seed), n=N))
