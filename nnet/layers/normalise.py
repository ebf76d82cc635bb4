"""Kaldi's normalisations: per frame (renorm), per dimension over the minibatch (batch-norm)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from chainstitch.nnet.layers.precision import widened
from chainstitch.nnet.parallel.all_reduce import SumOver

SQUARED_NORM_FLOOR = 2.0**-66


class Renorm(nn.Module):
    """Scales rows to root-mean-square `target_rms`: x / sqrt(mean(x^2)) (NormalizeComponent)."""

    def __init__(self, target_rms: float = 1.0) -> None:
        super().__init__()
        self.target_rms = target_rms

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) -> (..., dim)."""
        mean_square = widened(x).square().mean(-1, keepdim=True).clamp(min=SQUARED_NORM_FLOOR)
        return x * (self.target_rms * torch.rsqrt(mean_square)).to(x.dtype)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of rows (n, dim) without scale and shift (BatchNormComponent).

    epsilon 1e-3. In training mode it uses the minibatch's statistics and keeps a running average of
    them for evaluation; `combine` computes them afresh for the final model.

    Attributes:
        group: process group over whose processes a minibatch's rows are spread, or None.
    """

    def __init__(self, dim: int, target_rms: float = 1.0, momentum: float = 0.1) -> None:
        super().__init__(dim, eps=1e-3, momentum=momentum, affine=False)
        self.target_rms = target_rms
        self.group: Any = None

    def forward(self, x: Tensor) -> Tensor:
        """(n, dim) -> (n, dim)."""
        spread = self.training and self.group is not None
        y = self._over_processes(x) if spread else super().forward(x)
        return y if self.target_rms == 1.0 else y * self.target_rms

    def _over_processes(self, x: Tensor) -> Tensor:
        x = widened(x)
        ours = torch.cat([x.sum(0), x.square().sum(0), x.new_tensor([len(x)])])
        sums: Tensor = SumOver.apply(ours, self.group)  # type: ignore[no-untyped-call]
        count = sums[-1]
        mean, square = (sums[:-1] / count).chunk(2)
        var = (square - mean.square()).clamp(min=0.0)
        assert self.running_mean is not None and self.running_var is not None
        assert self.momentum is not None and self.num_batches_tracked is not None
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * (count / (count - 1)), self.momentum)
            self.num_batches_tracked += 1
        return (x - mean) * torch.rsqrt(var + self.eps)
