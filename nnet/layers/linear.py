"""A linear layer without bias that may be kept semi-orthogonal, the first half of a TDNN-F layer.

With M the weight, transposed if it has more rows than columns, one step of the constraint is

    P  =  M M'
    M  <-  M - 4 v / s^2 (P - s^2 I) M                                                          (1)

a step down the gradient of || P - s^2 I ||^2, of length v / s^2, that takes M M' to s^2 I. With
v = 1/8 singular values near s converge quadratically. A negative `orthonormal` lets s float:

    s^2 = tr(P P') / tr(P)                                                                      (2)

for which the step is at right angles to M, so that it leaves M's norm to the optimiser. Far from
orthogonality, where tr(P P') rows / tr(P)^2 is above 1.02 (1.1), v is halved (quartered) for the
step to be stable.

Kaldi takes the step after one update in four, at random, as it is cheap and need not be exact;
`Network.constrain` does the same.

Source: Kaldi nnet-utils.cc, ConstrainOrthonormalInternal; Povey et al., Semi-orthogonal low-rank
matrix factorization, Interspeech 2018, section 2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Linear(nn.Linear):
    """y = W x; W ~ N(0, 1/in).

    Args:
        in_features, out_features: sizes.
        orthonormal: 0 for no constraint; > 0 is the s of (1); < 0 for the floating one of (2).
        max_change, learning_rate_factor, l2_regularize, rank_in, rank_out: as of `Affine`.

    Source: Kaldi nnet-simple-component.cc, LinearComponent; nnet-tdnn-component.cc.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        orthonormal: float = 0.0,
        max_change: float = 0.75,
        learning_rate_factor: float = 1.0,
        l2_regularize: float = 0.0,
        rank_in: int | None = None,
        rank_out: int | None = None,
    ) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.orthonormal = orthonormal
        self.max_change = max_change
        self.learning_rate_factor = learning_rate_factor
        self.l2_regularize = l2_regularize
        self.rank_in, self.rank_out = rank_in, rank_out

    def reset_parameters(self) -> None:
        """Draws new parameters."""
        nn.init.normal_(self.weight, std=1.0 / math.sqrt(self.in_features))

    @torch.no_grad()
    def constrain(self) -> None:
        """Takes a step (1) towards semi-orthogonality; nothing where `orthonormal` is 0."""
        if self.orthonormal:
            self.weight.copy_(semi_orthogonal_step(self.weight, self.orthonormal))


def semi_orthogonal_step(weight: Tensor, scale: float) -> Tensor:
    """(1) for weight (out, in): the new weight. `scale` is s; below 0 it is that of (2)."""
    m = weight.t() if weight.shape[0] > weight.shape[1] else weight
    p = m @ m.t()
    speed = torch.full((), 0.125, dtype=p.dtype, device=p.device)
    if scale < 0:
        trace, square = p.trace(), p.square().sum()
        s_squared = square / trace
        ratio = square * len(p) / trace.square()
        speed = torch.where(ratio > 1.02, speed / 2, speed)
        speed = torch.where(ratio > 1.1, speed / 2, speed)
    else:
        s_squared = speed.new_full((), scale * scale)
    error = p - s_squared * torch.eye(len(p), dtype=p.dtype, device=p.device)
    m = m - (4.0 * speed / s_squared) * (error @ m)
    return m.t() if weight.shape[0] > weight.shape[1] else m
