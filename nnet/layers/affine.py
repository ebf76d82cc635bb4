"""Affine layers with Kaldi's initialisation and the attributes the optimiser looks for."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Affine(nn.Linear):
    """y = W x + b; W ~ N(0, 1/in), b ~ N(0, 1), or all zero for an output layer.

    Args:
        in_features, out_features: sizes.
        max_change: limit of this layer's change per minibatch (Euclidean norm); 0 for none.
        learning_rate_factor: multiplies the learning rate.
        l2_regularize: of the parameters, per sequence; see optim/sgd.py.
        rank_in, rank_out: ranks of the natural gradient; None: min(20, (in+1)/2),
            min(80, (out+1)/2).
        zero: start from zero, as Kaldi's output layers do.

    Source: Kaldi nnet-simple-component.cc, NaturalGradientAffineComponent.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        max_change: float = 0.75,
        learning_rate_factor: float = 1.0,
        rank_in: int | None = None,
        rank_out: int | None = None,
        zero: bool = False,
        l2_regularize: float = 0.0,
    ) -> None:
        self._zero = zero
        super().__init__(in_features, out_features)
        self.max_change = max_change
        self.learning_rate_factor = learning_rate_factor
        self.l2_regularize = l2_regularize
        self.rank_in = rank_in
        self.rank_out = rank_out

    def forward(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """(..., in) -> (..., out).

        `known` is the result, for who has it already: then nothing is computed, and autograd
        treats it as W x + b.
        """
        if known is None:
            return F.linear(x, self.weight, self.bias)
        arguments = (x, self.weight, self.bias, known)
        value: Tensor = _Known.apply(*arguments)  # type: ignore[no-untyped-call]
        return value

    def reset_parameters(self) -> None:
        """Draws new parameters."""
        if self._zero:
            nn.init.zeros_(self.weight)
            nn.init.zeros_(self.bias)
        else:
            nn.init.normal_(self.weight, std=1.0 / math.sqrt(self.in_features))
            nn.init.normal_(self.bias)


class _Known(torch.autograd.Function):
    """W x + b whose value is given."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, known: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return known.view_as(known)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dx = dy @ weight if ctx.needs_input_grad[0] else None
        rows = dy.reshape(-1, dy.shape[-1])
        return dx, rows.t() @ x.reshape(-1, x.shape[-1]), rows.sum(0), None
