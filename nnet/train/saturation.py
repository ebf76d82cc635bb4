"""How saturated the sigmoid and tanh units of a network are, for `schedule.shrinkage`.

A unit whose derivative is, on average over frames, small beside the largest it can be (0.25 of a
sigmoid, 1 of a tanh) passes nothing back. Shrinking the parameters gets it out of there.

Source: Kaldi steps/nnet3/get_saturation.pl; steps/libs/nnet3/train/common.py, should_do_shrinkage.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

THRESHOLD = 0.40  # above which a network counts as saturated


@runtime_checkable
class Averaging(Protocol):
    """A layer that keeps sums over the frames of training, as ReLU with self-repair does."""

    def forget_derivatives(self) -> None:
        """Starts the averages afresh."""


@runtime_checkable
class Saturating(Averaging, Protocol):
    """A layer with sigmoid or tanh units, which keeps sums of their derivatives in training."""

    def average_derivatives(self) -> Tensor:
        """Of each unit, over the largest that it can be."""


def saturation(network: nn.Module) -> float:
    """Mean over units of 1 - average derivative / largest; 0 where there are no such units."""
    shares = [
        layer.average_derivatives().flatten()
        for layer in network.modules()
        if isinstance(layer, Saturating)
    ]
    return float(1.0 - torch.cat(shares).mean()) if shares else 0.0


def forget(network: nn.Module) -> None:
    """Starts the averages of all layers afresh."""
    for layer in network.modules():
        if isinstance(layer, Averaging):
            layer.forget_derivatives()
