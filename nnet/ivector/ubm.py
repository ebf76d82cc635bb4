"""A mixture of Gaussians with diagonal covariances: the universal background model of i-vectors.

Kaldi's `train_diag_ubm.sh`. Symbols: x_t (F,) frame t of n; w_i, m_i (F,), v_i (F,) weight, mean
and variance of Gaussian i of I.

    l_ti = log w_i - 1/2 sum_f [log(2π v_if) + (x_tf - m_if)² / v_if]                           (1)
    r_ti = exp(l_ti - log sum_j exp l_tj)            the posterior, or responsibility           (2)

One iteration of EM, with c_i = sum_t r_ti:

    w_i = c_i / n,   m_i = sum_t r_ti x_t / c_i,   v_i = max(φ, sum_t r_ti x_t² / c_i - m_i²)   (3)

never lowers sum_t log sum_i exp l_ti: a floored variance is the best one not below the floor φ,
and a Gaussian with fewer than MIN_COUNT frames keeps its mean and variance.

Where we depart from Kaldi: it starts from random frames, with half as many Gaussians, and splits
them; here the means are chosen from the frames as k-means++ does (Arthur and Vassilvitskii 2007),
each with probability proportional to its squared distance from the nearest one chosen before. It
keeps weights above 1e-4 and removes Gaussians with few frames; here they keep their place, and a
weight may come down to 0.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import torch
from torch import Tensor

from chainstitch.utils.errors import UserError

VARIANCE_FLOOR = 0.01  # φ, of the variance of all frames
MIN_COUNT = 10.0  # frames of a Gaussian; fewer say too little about a variance
SEEDING_FRAMES = 100  # per Gaussian, among which k-means++ chooses
CHUNK = 8192  # frames at a time: (CHUNK, I) is what memory is wanted for

logger = logging.getLogger(__name__)


class DiagonalUbm:
    """The mixture, in float64.

    Attributes:
        weights: (I,); means, variances: (I, F).
    """

    def __init__(self, weights: Tensor, means: Tensor, variances: Tensor) -> None:
        if not bool((variances > 0).all()) or means.shape != variances.shape:
            raise ValueError(
                f"UBM: wanted variances above 0 of the means' shape {tuple(means.shape)}, got "
                f"{tuple(variances.shape)}, smallest {variances.min().item()}"
            )
        self.weights, self.means, self.variances = (
            x.to(torch.float64) for x in (weights, means, variances)
        )
        self._linear = (self.means / self.variances).T  # (F, I)
        self._quadratic = (-0.5 / self.variances).T
        self._constant = self.weights.log() - 0.5 * (
            (2 * math.pi * self.variances).log() + self.means**2 / self.variances
        ).sum(1)

    @property
    def num_gauss(self) -> int:
        return len(self.weights)

    def log_likes(self, x: Tensor) -> Tensor:
        """l (1): (n, F) -> (n, I), weights included."""
        return self._constant + x @ self._linear + x**2 @ self._quadratic

    def posteriors(self, x: Tensor, top: int, min_post: float) -> tuple[Tensor, Tensor]:
        """The posteriors of each frame's best Gaussians, pruned and made to add up to 1 again.

        As Kaldi's `VectorToPosteriorEntry` does it: what is not above `min_post` times the best is
        left out of the sum that the others are compared with.

        Args:
            x: (n, F).
            top: how many Gaussians a frame is shared among, at most.
            min_post: smaller ones become 0, but for the best; below 1.

        Returns:
            which (n, min(top, I)) and their posteriors, best first.
        """
        best, which = self.log_likes(x).topk(min(top, self.num_gauss), dim=1)
        post = (best - best[:, :1]).exp()
        keep = post > min_post
        keep[:, 0] = True
        post = torch.where(keep, post, 0.0)
        keep &= post >= min_post * post.sum(1, keepdim=True)
        keep[:, 0] = True
        post = torch.where(keep, post, 0.0)
        return which, post / post.sum(1, keepdim=True)

    def em_step(self, frames: Tensor) -> tuple[DiagonalUbm, float, int]:
        """(3): the next model, this one's log-likelihood per frame, how many variances floored.

        Args:
            frames: (n, F).
        """
        count = torch.zeros_like(self.weights)
        first, second = torch.zeros_like(self.means), torch.zeros_like(self.means)
        total = 0.0
        for x in frames.split(CHUNK):
            likes = self.log_likes(x)
            norm = likes.logsumexp(1, keepdim=True)
            r = (likes - norm).exp()  # (2)
            total += float(norm.sum())
            count += r.sum(0)
            first += r.T @ x
            second += r.T @ x**2
        floor = VARIANCE_FLOOR * frames.var(0, correction=0)
        enough = (count >= MIN_COUNT)[:, None]
        means = first / count.clamp(min=MIN_COUNT)[:, None]
        variances = second / count.clamp(min=MIN_COUNT)[:, None] - means**2
        floored = int((enough & (variances < floor)).sum())
        next_model = DiagonalUbm(
            count / len(frames),
            torch.where(enough, means, self.means),
            torch.where(enough, variances.maximum(floor), self.variances),
        )
        return next_model, total / len(frames), floored

    def state_dict(self) -> dict[str, Tensor]:
        """What the constructor takes."""
        return {"weights": self.weights, "means": self.means, "variances": self.variances}


def train_ubm(
    frames: Tensor,
    num_gauss: int,
    iterations: int,
    seed: int = 0,
    report: Callable[[int, float], None] | None = None,
) -> DiagonalUbm:
    """A UBM of these frames, the same for the same seed.

    Args:
        frames: float64 (n, F).
        report: called with each iteration's number and log-likelihood per frame, before it.

    Raises:
        UserError: fewer than 10 frames a Gaussian, or frames that are all the same.
    """
    if len(frames) < MIN_COUNT * num_gauss:
        raise UserError(
            f"{len(frames)} frames are too few for {num_gauss} Gaussians, which want "
            f"{MIN_COUNT * num_gauss:.0f}; set a smaller num_gauss"
        )
    variance = frames.var(0, correction=0)
    if not bool((variance > 0).all()):
        raise UserError(
            f"{int((variance <= 0).sum())} of the {len(variance)} features are the same in all "
            "frames; look at the audio, or set a smaller pca_dim"
        )
    ubm = DiagonalUbm(
        torch.full((num_gauss,), 1 / num_gauss, dtype=torch.float64),
        choose_means(frames / variance.sqrt(), num_gauss, seed) * variance.sqrt(),
        variance.expand(num_gauss, -1),
    )
    floored = 0
    for iteration in range(iterations):
        ubm, likelihood, floored = ubm.em_step(frames)
        if report:
            report(iteration, likelihood)
    poor = int((ubm.weights * len(frames) < MIN_COUNT).sum())
    if floored or poor:
        logger.warning(
            "UBM: %d of %d variances floored, %d of %d Gaussians with fewer than %.0f frames",
            floored, ubm.variances.numel(), poor, num_gauss, MIN_COUNT,
        )  # fmt: skip
    return ubm


def choose_means(frames: Tensor, number: int, seed: int) -> Tensor:
    """(number, F) of the frames (n, F), far from each other (k-means++)."""
    generator = torch.Generator().manual_seed(seed)
    sample = frames[torch.randperm(len(frames), generator=generator)[: SEEDING_FRAMES * number]]
    chosen = [0]
    distance = torch.full((len(sample),), math.inf, dtype=sample.dtype)
    for _ in range(number - 1):
        distance = distance.minimum(((sample - sample[chosen[-1]]) ** 2).sum(1))
        # when fewer frames differ than are wanted, any will do
        odds = distance if bool(distance.any()) else torch.ones_like(distance)
        chosen.append(int(torch.multinomial(odds, 1, generator=generator)))
    return sample[chosen]
