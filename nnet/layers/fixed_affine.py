"""An affine layer that is not trained: Kaldi's fixed-affine-layer, the LDA-like first layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FixedAffine(nn.Module):
    """y = M x + b of buffers M (dim, dim) and b (dim,): the identity until `set` is called.

    Both are in the `state_dict`, as is whether they were set (`estimated`, 0 or 1). lda.py
    estimates them from data.

    Source: Kaldi nnet-simple-component.cc, FixedAffineComponent; kaldi-facts 4.8.

    >>> layer = FixedAffine(2)
    >>> layer.set(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0.0, 1.0]))
    >>> layer(torch.ones(1, 2))
    tensor([[2., 2.]])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight: Tensor
        self.bias: Tensor
        self.estimated: Tensor
        self.register_buffer("weight", torch.eye(dim))
        self.register_buffer("bias", torch.zeros(dim))
        self.register_buffer("estimated", torch.zeros((), dtype=torch.uint8))

    def set(self, weight: Tensor, bias: Tensor) -> None:
        """Takes M (dim, dim) and b (dim,).

        Raises:
            ValueError: other shapes, or values that are not finite.
        """
        if weight.shape != self.weight.shape or bias.shape != self.bias.shape:
            raise ValueError(
                f"fixed affine: wanted M {tuple(self.weight.shape)} and b "
                f"{tuple(self.bias.shape)}, got {tuple(weight.shape)} and {tuple(bias.shape)}"
            )
        if not (torch.isfinite(weight).all() and torch.isfinite(bias).all()):
            raise ValueError("fixed affine: M or b is not finite")
        self.weight.copy_(weight)
        self.bias.copy_(bias)
        self.estimated.fill_(1)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, dim) -> (rows, dim)."""
        return F.linear(x, self.weight, self.bias)
