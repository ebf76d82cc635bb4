#!/usr/bin/env python3
"""The bias of a finite sample and backstitch's correction, measured on quadratic losses.

Wang et al., "Backstitch: Counteracting Finite-sample Bias via Negative Steps", NIPS 2017, sections
2 and 3. The paper says that numerical experiments bear its theory out for quadratic losses, and
shows none. Here they are.

The losses
----------
theta (d) are the parameters, theta* = 0 the best ones, x an example, g (d) and H (d, d) its
gradient and Hessian at theta*:

    L_theta(x) = g.theta + theta.H theta / 2        E[g] = 0,  E[H] = Hbar

There are K kinds of example, all equally likely, so every expectation is a mean over the kinds and
nothing in the theory is itself an estimate. A data set of n examples is how often each kind came:
counts (K), multinomial. A hat is the mean over a data set, D = H^ - Hbar.

The bias
--------
The minimiser on a data set is theta^ = -H^^-1 g^ (1), exactly, as the loss is quadratic. With
H^^-1 = Hbar^-1 - Hbar^-1 D Hbar^-1 + ... and E[g^] = 0, the first term left is

    E[theta^ - theta*]  =  Hbar^-1 b / n  +  O(1/n^2),      b = E[H Hbar^-1 g]                   (8)

as a pair of different examples has mean zero and n of the n^2 pairs are of one with itself. It is
zero when H and g are independent: `independent` has the same kinds of H and the same kinds of g,
every pairing equally likely. (Footnote 1 writes o(n^2) for what is dropped; O(1/n^2) is meant.) For
Hbar = I the next term is, over n^2, with D_1 and g_1 of one example and D_2 and g_2 of another,

    E[D_1 D_1] b + E[D_1 D_2 D_1 g_2] + E[D_1 D_2 D_2 g_1] - E[D_1 D_1 g_1]

from the third and second power of D. `next_bias` has it, so that a departure from (8) can be told
from a mistake in (8).

The correction
--------------
Adding c to the gradient moves the minimiser by -H^^-1 c, so this c cancels (8):

    c = b / n                                                                                   (10)

Backstitch's two steps (13), (14) come to one, here without any approximation:

    theta  <-  theta - nu g_t - alpha (1 + alpha) nu^2 H_t g_t        g_t = g + H theta         (16)
    c_t    =   alpha (1 + alpha) nu H_t g_t                                                     (17)

With Hbar = I, E[c_t] at theta* is (10) when alpha (1 + alpha) nu = 1/n. Write s for
alpha (1 + alpha) nu. SGD whose every example is drawn from the data set afresh is, for quadratic
losses, a linear recursion whose factors are independent of theta, so its mean settles exactly where
the mean step is zero:

    theta_s  =  -(H^ + s mean(H H))^-1 (g^ + s mean(H g))                              `fixed_point`

Two things keep theta_s from being theta^ - s b: c_t is random and goes with D (the paper's footnote
2 believes that this does not matter), and c_t changes with theta. Each is of order s/n, so

    E[theta_s - theta*]  =  (1/n - s) b  +  O(1/n^2)

and the belief is right here: at s = 1/n what is left falls as 1/n^2. `with_constant` is the same
with the constant (10) instead, to show what the randomness costs.

Where E[H] is not I, (17) lacks the Hbar^-1 of (10). Steps preconditioned by P = Hbar^-1, as natural
gradient makes them (section 4.2), put it there: both steps are then P times the gradient, c_t is
s H P g_t, and the cancellation is back. `stretched` and the argument `precondition` check that.

The loss
--------
The bias is not all that the correction changes. Unseen data have the expected loss |theta|^2 / 2,
and to order 1/n^2 backstitch at s = 1/n takes from it, with C = E[g g^T],

    ( 3/2 b.b  +  tr(E[D_1 D_1] C)  -  E[g_1.D_1 g_1] ) / n^2                               `saving`

The bias itself costs b.b / 2. The constant (10) saves 3/2 b.b, as H^^-1 c goes with the noise of
theta^. The second term is there without any bias: with H and g independent backstitch still helps,
by giving more weight to examples of large curvature. And s = 1/n is not what saves the most: with
k = n s it is k times `saving`, and (k - k^2) b.b / 2, over n^2; k = 2.7 is best for `correlated`.
All this is about where the mean settles; the noise of the last iterate, of order nu, is another
matter.

Measuring
---------
E[g^] = 0 exactly, so E[theta^ + Hbar^-1 g^] = E[theta^]: the sum is averaged, as its spread is of
order 1/n and not 1/sqrt(n). Everything is float64.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from record import run

SIZES = (8, 16, 32, 64, 128, 256)
STRETCH = np.array([2.0, 0.7])
CHUNK = 100_000  # data sets at a time: some tens of MB

Estimator = Callable[["Problem", np.ndarray], np.ndarray]  # weights (draws, K) -> (draws, d)


@dataclass(frozen=True)
class Problem:
    """Kinds of example, equally likely.

    Attributes:
        hessian: (K, d, d), each symmetric and positive definite.
        gradient: (K, d) at the best parameters, of mean zero.
    """

    hessian: np.ndarray
    gradient: np.ndarray

    @property
    def mean_hessian(self) -> np.ndarray:
        """Hbar, (d, d)."""
        return np.asarray(self.hessian.mean(axis=0))

    @property
    def correction(self) -> np.ndarray:
        """b = E[H Hbar^-1 g], (d): n times (10); Hbar^-1 b / n is (8)."""
        whitened = np.linalg.solve(self.mean_hessian, self.gradient.T).T
        return np.asarray(np.einsum("kij,kj->ki", self.hessian, whitened).mean(axis=0))

    @property
    def bias(self) -> np.ndarray:
        """n times the right-hand side of (8), (d)."""
        return np.linalg.solve(self.mean_hessian, self.correction)

    @property
    def next_bias(self) -> np.ndarray:
        """n^2 times the term of order 1/n^2, (d), for Hbar = I."""
        d, g, kinds = self.hessian - self.mean_hessian, self.gradient, len(self.gradient)
        second = np.einsum("aij,ajk->ik", d, d) / kinds
        pairs = np.einsum("aij,bjk,akl,bl->i", d, d, d, g) / kinds**2
        pairs += np.einsum("aij,bjk,bkl,al->i", d, d, d, g) / kinds**2
        pairs -= np.einsum("aij,ajk,ak->i", d, d, g) / kinds
        return np.asarray(second @ self.correction + pairs)

    @property
    def saving(self) -> float:
        """n^2 times what backstitch at s = 1/n takes from the expected loss, for Hbar = I."""
        d, g = self.hessian - self.mean_hessian, self.gradient
        curved = np.einsum("aij,ajk,bk,bi->", d, d, g, g) / len(g) ** 2
        skewed = np.einsum("ai,aij,aj->", g, d, g) / len(g)
        return float(1.5 * self.correction @ self.correction + curved - skewed)


def correlated() -> Problem:
    """Four kinds in the plane with Hbar = I and b = (1, 0.45)."""
    signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    first, second = np.array([[0.5, 0.0], [0.0, -0.3]]), np.array([[0.2, 0.4], [0.4, 0.1]])
    hessian = [np.eye(2) + u * first + v * second for u, v in signs]
    gradient = [(u + 0.5 * v + 0.3 * u * v, -0.5 * u + v + 0.6 * u * v) for u, v in signs]
    return Problem(np.array(hessian), np.array(gradient))


def independent(problem: Problem) -> Problem:
    """The same H and the same g, every pairing of them equally likely: K^2 kinds."""
    kinds = len(problem.gradient)
    return Problem(np.repeat(problem.hessian, kinds, axis=0), np.tile(problem.gradient, (kinds, 1)))


def stretched(problem: Problem) -> Problem:
    """The problem in the variables theta / STRETCH: Hbar = diag(STRETCH^2), were it I before."""
    hessian = problem.hessian * STRETCH[:, None] * STRETCH
    return Problem(hessian, problem.gradient * STRETCH)


def fixed_point(s: float, precondition: np.ndarray | None = None) -> Estimator:
    """theta_s, where backstitch with s = alpha (1 + alpha) nu settles; s = 0 is theta^ of (1)."""

    def estimate(problem: Problem, weights: np.ndarray) -> np.ndarray:
        h, g = problem.hessian, problem.gradient
        p = np.eye(g.shape[1]) if precondition is None else precondition
        return _solve(weights, h + s * h @ p @ h, g + s * np.einsum("kij,kj->ki", h @ p, g))

    return estimate


def with_constant(n: int) -> Estimator:
    """The minimiser with the ideal constant (10) added to the gradient, as in (9)."""

    def estimate(problem: Problem, weights: np.ndarray) -> np.ndarray:
        return _solve(weights, problem.hessian, problem.gradient + problem.correction / n)

    return estimate


def _solve(weights: np.ndarray, hessian: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    matrices = np.einsum("rk,kij->rij", weights, hessian)
    return -np.linalg.solve(matrices, (weights @ gradient)[:, :, None])[:, :, 0]


@dataclass
class Estimate:
    """Mean and standard error, (d) each."""

    mean: np.ndarray
    error: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Estimate:
        """From independent rows (draws, d)."""
        return cls(values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values)))


def measure(
    problem: Problem, n: int, draws: int, rng: np.random.Generator, *estimators: Estimator
) -> list[tuple[Estimate, Estimate]]:
    """For each estimator, on the same data sets: n times its bias, and n^2 times a saving.

    The saving (1) is the mean loss of the first estimator minus this one's on unseen data.
    """
    kinds = len(problem.gradient)
    sums: list[list[np.ndarray]] = [[] for _ in estimators]
    savings: list[list[np.ndarray]] = [[] for _ in estimators]
    inverse = np.linalg.inv(problem.mean_hessian)
    for start in range(0, draws, CHUNK):
        counts = rng.multinomial(n, np.full(kinds, 1 / kinds), size=min(CHUNK, draws - start))
        weights = counts / n
        zero_mean = weights @ problem.gradient @ inverse
        first = None
        for index, estimator in enumerate(estimators):
            theta = estimator(problem, weights)
            loss = 0.5 * np.einsum("ri,ij,rj->r", theta, problem.mean_hessian, theta)
            first = loss if first is None else first
            sums[index].append(n * (theta + zero_mean))
            savings[index].append(n**2 * (first - loss)[:, None])
    return [
        (Estimate.of(np.concatenate(a)), Estimate.of(np.concatenate(b)))
        for a, b in zip(sums, savings, strict=True)
    ]


def experiment(draws: int, seed: int) -> list[dict[str, Any]]:
    """A row for every problem, n and estimator."""
    whole = correlated()
    unwhitened = stretched(whole)
    inverse = np.linalg.inv(unwhitened.mean_hessian)
    rows = []
    for number, n in enumerate(SIZES):
        plain, backstitch = ("minimiser", fixed_point(0.0)), ("backstitch", fixed_point(1 / n))
        preconditioned = ("backstitch, preconditioned", fixed_point(1 / n, inverse))
        for place, (name, problem, cases) in enumerate(
            [
                ("correlated", whole, [plain, backstitch, ("constant", with_constant(n))]),
                ("independent", independent(whole), [plain, backstitch]),
                ("stretched", unwhitened, [plain, backstitch, preconditioned]),
            ]
        ):
            rng = np.random.default_rng([seed, number, place])
            results = measure(problem, n, draws, rng, *(case for _, case in cases))
            for (estimator, _), (bias, saving) in zip(cases, results, strict=True):
                rows.append(
                    {
                        "problem": name,
                        "n": n,
                        "estimator": estimator,
                        "predicted": problem.bias.tolist(),  # by (8), of the minimiser
                        "bias": bias.mean.tolist(),
                        "error": bias.error.tolist(),
                        "saving": float(saving.mean[0]),
                        "saving_error": float(saving.error[0]),
                    }
                )
    return rows


if __name__ == "__main__":
    sys.exit(run(__doc__, "draws", 1_000_000, experiment))
