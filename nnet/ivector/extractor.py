"""I-vectors: the total-variability extractor, its training by EM, and estimates.

Dehak et al., "Front-end factor analysis for speaker verification" (2011), as in Kaldi's
`ivector-extractor.{h,cc}` and `online-ivector-feature.cc`. A speaker (or an utterance) moves the
means of all Gaussians of a UBM within a subspace: where it has the i-vector x (D,),

    frame y_t of Gaussian i  ~  N(T_i x, Σ_i),      x ~ N(p e_1, I)                             (1)

with T_i (F, D), Σ_i (F,) diagonal, and e_1 the first unit vector. Since x has p, the *prior
offset*, as the mean of its first entry, the first column of T_i times p is the Gaussian's mean over
all speakers, and no separate mean is needed. What is given out is x - p e_1.

Statistics. The UBM says how much of frame t belongs to Gaussian i, with the posterior r_ti; frames
next to each other say much the same, so all are scaled by κ (`posterior_scale`, 0.1):

    γ_i = κ sum_t r_ti,    f_i = κ sum_t r_ti y_t (F,),    S_i = κ sum_t r_ti y_t² (F,)         (2)

The estimate. With U_i = T_i' Σ_i^-1 T_i (D, D), given the statistics x is Gaussian, and its mean
is the MAP estimate:

    P = s I + sum_i γ_i U_i        c = s p e_1 + sum_i T_i' Σ_i^-1 f_i        x̂ = P^-1 c        (3)

where s = 1, or s = max(n, C) / C with n = sum_i γ_i and C = `max_count`: beyond a count of C the
prior grows with the data, as if the statistics were scaled down to a count of C. (3) wants γ and
the *projected* sum b = sum_i T_i' Σ_i^-1 f_i (D,) alone; both add up over frames, so estimates
after every tenth frame are running sums and one batched Cholesky.

Training. EM with posteriors as they are (they come from the UBM and do not change) and s = 1. The
E step gives, per utterance u, x̂_u and V_u = P_u^-1 + x̂_u x̂_u'; the M step, with sums over u,

    T_i = Y_i R_i^-1,      Y_i = sum_u f_ui x̂_u',    R_i = sum_u γ_ui V_u                       (4)
    Σ_i = (S_i - diag(T_i Y_i')) / γ_i                                                          (5)
    x ~ N(μ, G),           μ = mean_u x̂_u,           G = mean_u V_u - μ μ'                      (6)

Then new coordinates A x bring the prior back to (1): A = H G^-1/2 (any root of G will do), with the
reflection H that maps G^-1/2 μ to p e_1, p its length; T_i becomes T_i A^-1, which changes no
likelihood. What EM raises is the log-likelihood of the frames, integrated over x:

    sum_u { -1/2 sum_i [γ_i sum_f log(2π Σ_if) + sum_f S_if / Σ_if]
            - 1/2 log det P + 1/2 c' P^-1 c - 1/2 p² }                                          (7)

Where we depart from Kaldi: Σ_i is diagonal (there: full), so (5) keeps its diagonal only. Variances
stay above VARIANCE_FLOOR of their mean over Gaussians (there: the matrix, likewise); only where one
is floored may (7) fall. A Gaussian with a count below MIN_COUNT (there: 100) keeps T_i and Σ_i.
Estimates are exact (there: some steps of conjugate gradient in the online case). Weights do not
depend on x, as in Kaldi's online recipes. The axes of x behind the first are left as they fall
(there: turned so that mean U_i is diagonal).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from chainstitch.nnet.ivector.ubm import DiagonalUbm

PRIOR_OFFSET = 100.0  # p at the start; training finds its own
VARIANCE_FLOOR = 0.1
MIN_COUNT = 10.0  # of a Gaussian, after scaling: 100 frames at κ = 0.1
CHUNK = 256  # estimates at a time: (CHUNK, D, D) and (CHUNK, I, F) are what memory is wanted for


class Statistics(NamedTuple):
    """(2) of some utterances: γ (utterances, I), f (utterances, I, F), and S (I, F) of all."""

    gamma: Tensor
    first: Tensor
    second: Tensor


class Progress(NamedTuple):
    """One iteration of EM: (7) per unit of count, before it; what was not updated freely."""

    objective: float
    floored: int  # variances
    kept: int  # Gaussians with too small a count


def accumulate(
    which: Tensor, weight: Tensor, frames: Tensor, segment: Tensor, segments: int, num_gauss: int
) -> Statistics:
    """(2), for frames of several segments (utterances, or stretches of them).

    Args:
        which, weight: (n, top) Gaussians of each frame, and κ r_ti.
        frames: (n, F); segment: (n,) 0 .. segments - 1.
    """
    n, dim = frames.shape
    gamma = frames.new_zeros(segments * num_gauss)
    first = frames.new_zeros(segments * num_gauss, dim)
    second = frames.new_zeros(num_gauss, dim)
    row = segment[:, None] * num_gauss + which
    for k in range(which.shape[1]):  # best, second best, ...
        weighted = weight[:, k, None] * frames
        gamma.index_add_(0, row[:, k], weight[:, k])
        first.index_add_(0, row[:, k], weighted)
        second.index_add_(0, which[:, k], weighted * frames)
    return Statistics(gamma.view(segments, num_gauss), first.view(segments, num_gauss, dim), second)


class IvectorExtractor:
    """The extractor, in float64.

    Attributes:
        T: (I, F, D); variances: (I, F), Σ; prior_offset: p.
    """

    def __init__(self, T: Tensor, variances: Tensor, prior_offset: float = PRIOR_OFFSET) -> None:
        if T.ndim != 3 or T.shape[:2] != variances.shape or not bool((variances > 0).all()):
            raise ValueError(
                f"extractor: T {tuple(T.shape)} wants variances above 0 of shape "
                f"{tuple(T.shape[:2])}, got {tuple(variances.shape)}"
            )
        self.T, self.variances = T.to(torch.float64), variances.to(torch.float64)
        self.prior_offset = float(prior_offset)
        self._projection = self.T / self.variances[:, :, None]  # Σ^-1 T, (I, F, D)
        self._U = self._projection.transpose(1, 2) @ self.T  # (I, D, D)

    @property
    def dim(self) -> int:
        """D."""
        return self.T.shape[2]

    @classmethod
    def initial(cls, ubm: DiagonalUbm, dim: int, seed: int = 0) -> IvectorExtractor:
        """Means and variances of the UBM, and random directions."""
        generator = torch.Generator().manual_seed(seed)
        T = torch.randn(*ubm.means.shape, dim, dtype=torch.float64, generator=generator)
        T *= (ubm.variances / dim).sqrt()[:, :, None]
        T[:, :, 0] = ubm.means / PRIOR_OFFSET
        return cls(T, ubm.variances)

    def project(self, first: Tensor) -> Tensor:
        """b of (3): (..., I, F) -> (..., D)."""
        return first.flatten(-2) @ self._projection.flatten(0, 1)

    def estimate(self, gamma: Tensor, projected: Tensor, max_count: float = 0.0) -> Tensor:
        """(number, D) i-vectors, p subtracted from their first entry.

        Args:
            gamma: (number, I); projected: (number, D), of `project`.
            max_count: C of (3); 0: without bound.
        """
        found = [
            self._solve(g, b, max_count)[0]
            for g, b in zip(gamma.split(CHUNK), projected.split(CHUNK), strict=True)
        ]
        estimates = torch.cat(found) if found else projected.clone()
        estimates[:, 0] -= self.prior_offset
        return estimates

    def em_step(self, batches: Iterable[Statistics]) -> tuple[IvectorExtractor, Progress]:
        """The next extractor by (4) to (6), and how this one did.

        Args:
            batches: statistics of all training utterances, taken once.

        Raises:
            ValueError: no utterances.
        """
        counts = self.variances.new_zeros(len(self.T))
        Y, R, S = torch.zeros_like(self.T), torch.zeros_like(self._U), self.variances * 0
        mean, moment = self.T.new_zeros(self.dim), self.T.new_zeros(self.dim, self.dim)
        utterances, objective = 0, 0.0
        for batch in batches:
            S += batch.second
            for gamma, first in zip(
                batch.gamma.split(CHUNK), batch.first.split(CHUNK), strict=True
            ):
                x, factor, c = self._solve(gamma, self.project(first))
                V = torch.cholesky_inverse(factor) + x[:, :, None] * x[:, None, :]
                objective += float(
                    0.5 * (x * c).sum() - factor.diagonal(dim1=1, dim2=2).log().sum()
                )
                utterances += len(x)
                counts += gamma.sum(0)
                Y += torch.einsum("uif,ud->ifd", first, x)
                R += (gamma.T @ V.flatten(1)).view_as(R)
                mean, moment = mean + x.sum(0), moment + V.sum(0)
        if not utterances:
            raise ValueError("an extractor wants at least one utterance to be trained on")
        objective -= 0.5 * utterances * self.prior_offset**2
        constant = (2 * math.pi * self.variances).log().sum(1)
        objective -= 0.5 * float(counts @ constant + (S / self.variances).sum())  # (7)
        T, variances, floored, kept = self._maximise(counts, Y, R, S)
        mean, moment = mean / utterances, moment / utterances
        back, offset = _standard_prior(mean, moment - mean[:, None] * mean)
        progress = Progress(objective / max(float(counts.sum()), 1.0), floored, kept)
        return IvectorExtractor(T @ back, variances, offset), progress

    def state_dict(self) -> dict[str, Tensor | float]:
        """What the constructor takes."""
        return {"T": self.T, "variances": self.variances, "prior_offset": self.prior_offset}

    def _solve(
        self, gamma: Tensor, projected: Tensor, max_count: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(3): x̂ (number, D), p included, the Cholesky factor of P, and c."""
        scale = torch.ones_like(gamma[:, 0])
        if max_count > 0:
            scale = (gamma.sum(1) / max_count).clamp(min=1.0)
        P = (gamma @ self._U.flatten(1)).view(-1, self.dim, self.dim)
        P.diagonal(dim1=1, dim2=2).add_(scale[:, None])
        c = projected.clone()
        c[:, 0] += scale * self.prior_offset
        factor = torch.linalg.cholesky(P)
        return torch.cholesky_solve(c[:, :, None], factor)[:, :, 0], factor, c

    def _maximise(
        self, counts: Tensor, Y: Tensor, R: Tensor, S: Tensor
    ) -> tuple[Tensor, Tensor, int, int]:
        """(4), (5): T, Σ, how many variances were floored, how many Gaussians kept."""
        enough = counts >= MIN_COUNT
        T, variances = self.T.clone(), self.variances.clone()
        if not bool(enough.any()):
            return T, variances, 0, len(T)
        factor = torch.linalg.cholesky(R[enough])
        T[enough] = torch.cholesky_solve(Y[enough].transpose(1, 2), factor).transpose(1, 2)
        rest = S[enough] - (T[enough] * Y[enough]).sum(2)
        floor = VARIANCE_FLOOR * rest.sum(0) / counts[enough].sum()
        rest = rest / counts[enough, None]
        variances[enough] = rest.maximum(floor)
        return T, variances, int((rest < floor).sum()), int((~enough).sum())


def _standard_prior(mean: Tensor, covariance: Tensor) -> tuple[Tensor, float]:
    """A^-1 of (6) and the new p."""
    factor = torch.linalg.cholesky(covariance)  # any root of G does: x = factor z + ...
    z = torch.linalg.solve_triangular(factor, mean[:, None], upper=False)[:, 0]
    offset = float(z.norm())
    # the reflection that exchanges z and offset e_1
    difference = z.clone()
    difference[0] -= offset
    length = float(difference.norm())
    if length > 1e-12 * offset:
        difference /= length
        factor = factor - 2 * (factor @ difference)[:, None] * difference
    return factor, offset
