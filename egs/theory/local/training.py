#!/usr/bin/env python3
"""The bias after training by this project's own optimiser, and what the order of examples adds.

quadratic.py says where the mean of backstitch *should* settle; `chainstitch.nnet.optim.Backstitch`
goes there. It trains one theta for each of thousands of data sets, with one example of each a step.
Their losses are summed, so that every row gets its own gradient, and max-change, which would tie
the rows together, is off. nu, alpha, b, s, n: as in quadratic.py; Hbar = I.

Drawn
-----
Every step takes an example of the data set at random. The mean over time is theta_s, so the bias is
(1/n - s) b. With backstitch on every m-th minibatch s = alpha (1 + alpha) nu / m, which puts the
paper's alpha = 0.3, m = 1 (0.39 nu) near its alpha = 1, m = 4 (0.5 nu): section 4.1 found them to
help alike.

Shuffled
--------
Training goes through the data in epochs, each in a new random order; section 3 leaves the order
open. Then plain SGD has a correction of its own. What example i puts in at one step is multiplied,
to the end of the epoch, by I - nu H of *other* examples, whose mean Hessian is
H^ + (H^ - H_i) / (n - 1). If that is u n steps, g_i is left with the weight

    nu exp(-a u) (I + a u H_i / n + ...)                       a = nu n, the time of one epoch

The second part, summed over u from 0 to 1 and over earlier epochs (each a factor exp(-a) more),
moves the mean by -s_0 b:

    n s_0  =  a / (1 - exp(-a)) int_0^1 a u exp(-a u) du  =  1 - a / (exp(a) - 1)

so SGD at the end of an epoch behaves as if s were s_0, backstitch as if s_0 + alpha (1 + alpha) nu.
For small nu, s_0 = nu / 2; for nu n >> 1, n s_0 = 1: it has forgotten an example before it comes
again, and data met once give no bias. The paper's condition then over-corrects by s_0, that is by
23 % of the bias at alpha = 1 (a = 0.5) and by 79 % at alpha = 0.3 (a = 2.56). What cancels is

    alpha (1 + alpha) nu + s_0 = 1/n,      that is      exp(nu n) = 1 + 1 / (alpha (1 + alpha))

Measuring
---------
Every figure is the component along b of the mean, over b / n: 1 is the bias of (8), 0 none. What
the same examples would have made of theta, were every H the identity, is taken from it: that is a
sum of g_i with fixed factors, so its mean is exactly zero, and it holds most of the noise.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import torch
from quadratic import Estimate, Problem, correlated, fixed_point
from record import run
from torch import Tensor, nn

from chainstitch.nnet.optim import SGD, Backstitch

ORDERS = ("drawn", "shuffled")
N = 64
START = (0.5, -0.5)  # of every run; forgotten as exp(-BURN_IN * MEASURED)
MEASURED = 20.0  # time constants, 1 / nu steps each
BURN_IN = 0.5  # of that, before it
MORE = {"time_constants": (MEASURED, "how long is measured, after half of it to forget the start")}


class Rows(nn.Module):
    """One theta for each data set, (rows, d), and the sum of their losses."""

    def __init__(self, problem: Problem, theta: Tensor) -> None:
        super().__init__()
        self.theta = nn.Parameter(theta.clone())
        self.hessian = torch.from_numpy(problem.hessian)
        self.gradient = torch.from_numpy(problem.gradient)

    def loss(self, kind: Tensor) -> Tensor:
        """The loss of one example for each row; `kind` (rows) says which."""
        h, g = self.hessian[kind], self.gradient[kind]
        return ((g + 0.5 * torch.einsum("rij,rj->ri", h, self.theta)) * self.theta).sum()


class Trainer:
    """Rows under `Backstitch`."""

    def __init__(
        self, problem: Problem, theta: Tensor, lr: float, alpha: float, interval: int = 1
    ) -> None:
        self.rows = Rows(problem, theta)
        sgd = SGD(self.rows, lr=lr, max_change_per_layer=0.0, max_change=0.0)
        self.optimizer = Backstitch(sgd, scale=alpha, interval=interval)

    def step(self, kind: np.ndarray) -> None:
        """One example for each row."""
        index = torch.from_numpy(kind.astype(np.int64))

        def closure() -> Tensor:
            self.rows.zero_grad()
            loss = self.rows.loss(index)
            loss.backward()
            return loss

        self.optimizer.step(closure)

    @property
    def theta(self) -> np.ndarray:
        """(rows, d) as they are now."""
        return self.rows.theta.detach().numpy().copy()


def own_correction(epoch: float) -> float:
    """n s_0 of plain SGD in shuffled order; `epoch` is a = nu n."""
    return 1.0 - epoch / math.expm1(epoch)


def predict(order: str, n: int, lr: float, alpha: float, interval: int = 1) -> float:
    """The share of (8) that should be left."""
    share = 1.0 - n * alpha * (1.0 + alpha) * lr / interval
    return share - own_correction(n * lr) if order == "shuffled" else share


def train(
    problem: Problem,
    data: np.ndarray,
    order: str,
    lr: float,
    alpha: float,
    interval: int,
    rng: np.random.Generator,
    time_constants: float = MEASURED,
) -> np.ndarray:
    """Where each row settles on the mean, (rows, d), less noise of mean zero.

    The mean over all steps where examples are drawn, over the ends of epochs where shuffled. `data`
    (rows, n) holds kinds.
    """
    rows, n = data.shape
    start = torch.tensor(START, dtype=torch.float64).expand(rows, -1)
    trainer = Trainer(problem, start, lr, alpha, interval)
    skipped, measured = (  # epochs
        math.ceil(share * time_constants / (lr * n)) for share in (BURN_IN, 1.0)
    )
    rate = lr * (1.0 + alpha * (1.0 + alpha) * lr / interval)
    noise, total, count = np.zeros(start.shape), np.zeros(start.shape), 0
    for epoch in range(skipped + measured):
        now = data if order == "drawn" else rng.permuted(data, axis=1)
        for step in range(n):
            chosen = rng.integers(n, size=rows) if order == "drawn" else np.full(rows, step)
            kind = now[np.arange(rows), chosen]
            trainer.step(kind)
            noise -= rate * (noise + problem.gradient[kind])
            if epoch >= skipped and (order == "drawn" or step == n - 1):
                total += trainer.theta - noise
                count += 1
    return np.asarray(total / count)


def correction(
    problem: Problem, draws: int, lr: float, alpha: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """c_t as `Backstitch` makes it from theta*, and as (17) has it, both (draws, d)."""
    kind = rng.integers(len(problem.gradient), size=draws)
    start = torch.zeros(draws, problem.gradient.shape[1], dtype=torch.float64)
    trainer = Trainer(problem, start, lr, alpha)
    trainer.step(kind)
    gradient, hessian = problem.gradient[kind], problem.hessian[kind]
    formula = alpha * (1.0 + alpha) * lr * np.einsum("rij,rj->ri", hessian, gradient)
    return -trainer.theta / lr - gradient, formula


def settings(n: int) -> list[dict[str, Any]]:
    """alpha at one learning rate, for both orders; then conditions under which nothing is left."""
    sweep = [(a, 1, 0.5 / n) for a in (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)]
    paper = [(0.3, 1, 1 / (0.39 * n)), (1.0, 4, 1 / (0.5 * n))]
    mended = [(a, 1, math.log1p(1 / (a * (1 + a))) / n) for a in (0.3, 1.0)]
    cases = [(order, *case) for order in ORDERS for case in sweep + paper]
    cases += [("shuffled", *case) for case in mended]
    return [
        {"order": order, "alpha": a, "interval": m, "lr": lr, "n": n} for order, a, m, lr in cases
    ]


def along(problem: Problem, values: np.ndarray) -> np.ndarray:
    """The component of (rows, d) along b, in units of b: (rows, 1)."""
    b = problem.bias
    return np.asarray(values @ b / (b @ b))[:, None]


def experiment(rows: int, seed: int, time_constants: float = MEASURED) -> list[dict[str, Any]]:
    """A row for every setting; the data sets are the same in all."""
    problem = correlated()
    kinds = len(problem.gradient)
    data = np.random.default_rng([seed, 0]).integers(kinds, size=(rows, N))
    weights = np.stack([(data == kind).mean(axis=1) for kind in range(kinds)], axis=1)
    results = []
    for number, case in enumerate(settings(N)):
        order, lr, alpha, interval = (case[key] for key in ("order", "lr", "alpha", "interval"))
        rng = np.random.default_rng([seed, 1, number])
        theta = train(problem, data, order, lr, alpha, interval, rng, time_constants)
        found = Estimate.of(along(problem, N * theta))
        row = case | {"predicted": predict(order, N, lr, alpha, interval)}
        row |= {"share": float(found.mean[0]), "error": float(found.error[0])}
        if order == "drawn":
            exact = fixed_point(alpha * (1.0 + alpha) * lr / interval)(problem, weights)
            exact += weights @ problem.gradient  # of mean zero, as in quadratic.py
            row["fixed_point"] = float(along(problem, N * exact).mean())
        results.append(row)
        print(
            f"{order}, alpha {alpha:g}, m {interval}, nu n {lr * N:.3f}: {row['share']:.4f} of the"
            f" bias is left (standard error {row['error']:.4f}); predicted {row['predicted']:.4f}",
            flush=True,
        )
    lr, alpha = 0.5 / N, 1.0
    made, formula = correction(problem, 100 * rows, lr, alpha, np.random.default_rng([seed, 2]))
    scale = alpha * (1.0 + alpha) * lr
    found = Estimate.of(along(problem, made / scale))
    results.append(
        {
            "order": "one step",
            "alpha": alpha,
            "interval": 1,
            "lr": lr,
            "n": N,
            "predicted": 1.0,
            "share": float(found.mean[0]),
            "error": float(found.error[0]),
            "off_formula": float(np.abs(made - formula).max() / scale),
        }
    )
    return results


if __name__ == "__main__":
    sys.exit(run(__doc__, "rows", 10_000, experiment, MORE))
