"""ReLU with Kaldi's self-repair: units that are nearly always on, or off, are pulled back.

A unit that is on in less than 5 % of the frames hardly learns, one that is on in more than 95 % is
linear. In half of the minibatches, at random, the derivative of the *objective* by the input of the
first kind gets + scale / (1/2) in every frame, that of the second kind - scale / (1/2). Our losses
are minimised, so here the signs are turned.

Source: Kaldi nnet-simple-component.cc, RectifiedLinearComponent::RepairGradients.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from chainstitch.nnet.parallel.all_reduce import sum_together

LOWEST, HIGHEST = 0.05, 0.95  # share of frames
PROBABILITY = 0.5


class RepairedReLU(nn.Module):
    """max(0, x) of rows (n, dim).

    Args:
        dim: units; scale: of self-repair, 1e-5 in Kaldi.

    Attributes:
        repaired: (2,) units that were repaired and units, summed over minibatches of training.
        minibatch_group: process group over which a minibatch's rows are spread, or None.
    """

    def __init__(self, dim: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.minibatch_group: Any = None
        self.active: Tensor
        self.count: Tensor
        self.repaired: Tensor
        self.register_buffer("active", torch.zeros(dim))
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("repaired", torch.zeros(2), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, dim) -> (n, dim)."""
        if not self.training:
            return x.relu()
        with torch.no_grad():
            active, count = (x > 0).sum(0).to(self.active), self.count.new_tensor(len(x))
            if self.minibatch_group is not None:
                active, count = sum_together([active, count], self.minibatch_group)
            self.active += active
            self.count += count
            push = torch.zeros_like(self.active)
            if torch.rand(()) < PROBABILITY:
                share = self.active / self.count
                push = (share > HIGHEST).to(push) - (share < LOWEST).to(push)
            self.repaired += torch.stack([push.abs().sum(), push.new_tensor(float(len(push)))])
        y: Tensor = _Pushed.apply(x, push * (self.scale / PROBABILITY))  # type: ignore[no-untyped-call]
        return y.relu()

    def forget_derivatives(self) -> None:
        """Starts the shares afresh."""
        self.active.zero_()
        self.count.zero_()


class _Pushed(torch.autograd.Function):
    """x, whose derivative is that of a loss with `push` added to every row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, push: Tensor) -> Tensor:
        ctx.save_for_backward(push)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, d_x: Tensor) -> tuple[Tensor, None]:
        (push,) = ctx.saved_tensors
        return d_x + push.to(d_x), None
