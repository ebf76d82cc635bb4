"""Kaldi's normalisations: per frame (renorm), per dimension over the minibatch (batch-norm)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SQUARED_NORM_FLOOR = 2.0**-66


class Renorm(nn.Module):
    """Scales rows to root-mean-square `target_rms`: x / sqrt(mean(x^2)) (NormalizeComponent)."""

    def __init__(self, target_rms: float = 1.0) -> None:
        super().__init__()
        self.target_rms = target_rms

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) -> (..., dim)."""
        mean_square = x.square().mean(-1, keepdim=True).clamp(min=SQUARED_NORM_FLOOR)
        return x * (self.target_rms * torch.rsqrt(mean_square))


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of rows (n, dim) without scale and shift (BatchNormComponent).

    epsilon 1e-3. In training mode it uses the minibatch's statistics and keeps a running average of
    them for evaluation; `combine` computes them afresh for the final model.
    """

    def __init__(self, dim: int, target_rms: float = 1.0, momentum: float = 0.1) -> None:
        super().__init__(dim, eps=1e-3, momentum=momentum, affine=False)
        self.target_rms = target_rms

    def forward(self, x: Tensor) -> Tensor:
        """(n, dim) -> (n, dim)."""
        y = super().forward(x)
        return y if self.target_rms == 1.0 else y * self.target_rms
