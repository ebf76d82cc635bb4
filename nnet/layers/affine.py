"""Affine layers with Kaldi's initialisation and the attributes the optimiser looks for."""

from __future__ import annotations

import math

from torch import nn


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

    def reset_parameters(self) -> None:
        """Draws new parameters."""
        if self._zero:
            nn.init.zeros_(self.weight)
            nn.init.zeros_(self.bias)
        else:
            nn.init.normal_(self.weight, std=1.0 / math.sqrt(self.in_features))
            nn.init.normal_(self.bias)
