"""Kaldi's normalisations: per frame (renorm), per dimension over the minibatch (batch-norm)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
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
    them for evaluation; `combine` computes them afresh for the final model. A minibatch of a single
    row, the last one of a pass perhaps, is normalised by that average, too.

    Attributes:
        minibatch_group: process group over which a minibatch's rows are spread, or None.
    """

    def __init__(self, dim: int, target_rms: float = 1.0, momentum: float = 0.1) -> None:
        super().__init__(dim, eps=1e-3, momentum=momentum, affine=False)
        self.target_rms = target_rms
        self.minibatch_group: Any = None

    def forward(self, x: Tensor) -> Tensor:
        """(n, dim) -> (n, dim)."""
        if self.training and self.minibatch_group is not None:
            y = over_processes(self, x, self.minibatch_group)
        elif alone(self, x):
            y = by_running_average(self, x)
        else:
            y = super().forward(x)
        return y if self.target_rms == 1.0 else y * self.target_rms


class BatchNorm2d(nn.BatchNorm2d):
    """The same of images (n, dim, rows, columns), whose places all count as rows.

    Attributes:
        minibatch_group: process group over which a minibatch's images are spread, or None.
    """

    def __init__(self, dim: int, momentum: float = 0.1) -> None:
        super().__init__(dim, eps=1e-3, momentum=momentum, affine=False)
        self.minibatch_group: Any = None

    def forward(self, x: Tensor) -> Tensor:
        """(n, dim, rows, columns), and out the same."""
        if self.training and self.minibatch_group is not None:
            return over_processes(self, x, self.minibatch_group)
        if alone(self, x):
            return by_running_average(self, x)
        return super().forward(x)


def alone(norm: nn.modules.batchnorm._BatchNorm, x: Tensor) -> bool:
    """Whether x (n, dim, ...) is in training a single row, which has no variance."""
    return norm.training and x.numel() == x.shape[1]


def by_running_average(norm: nn.modules.batchnorm._BatchNorm, x: Tensor) -> Tensor:
    """What `norm` makes of x in evaluation."""
    return F.batch_norm(x, norm.running_mean, norm.running_var, eps=norm.eps)


def over_processes(norm: nn.modules.batchnorm._BatchNorm, x: Tensor, group: Any) -> Tensor:
    """What `norm` makes of x (n, dim, ...) in training, by the moments of all processes' rows.

    Sums are in float32 where x is in half precision; the result is of x's type.
    """
    wide = widened(x)
    rows, shape = [0, *range(2, x.dim())], (-1, *[1] * (x.dim() - 2))
    number = wide.new_tensor([x.numel() // x.shape[1]])
    ours = torch.cat([wide.sum(rows), wide.square().sum(rows), number])
    sums: Tensor = SumOver.apply(ours, group)  # type: ignore[no-untyped-call]
    count = sums[-1]
    mean, square = (sums[:-1] / count).chunk(2)
    var = (square - mean.square()).clamp(min=0.0)
    assert norm.running_mean is not None and norm.running_var is not None
    assert norm.momentum is not None and norm.num_batches_tracked is not None
    with torch.no_grad():
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(var * (count / (count - 1)), norm.momentum)
        norm.num_batches_tracked += 1
    y = (wide - mean.view(shape)) * torch.rsqrt(var + norm.eps).view(shape)
    return y.to(x.dtype)
