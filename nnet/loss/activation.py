"""A penalty on the outputs of a hidden layer: half the sum of their squares.

It keeps activations small where l2 on the parameters does not reach them, behind a layer without
normalisation, say. (Merity et al., "Revisiting activation regularization for language RNNs", 2017,
have the same on the outputs of an LSTM.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from chainstitch.nnet.loss.outcome import Outcome, Outputs
from chainstitch.utils.bounds import check_fields


@dataclass
class ActivationPenalty:
    """1/2 sum over valid frames of ||h_t||^2, h the output of the layer called `layer`."""

    weight: float = field(
        default=0.0, metadata={"help": "in the loss; 0 leaves it out", "bounds": "[0, inf)"}
    )
    layer: str = field(default="", metadata={"help": "the name of the layer"})

    def __post_init__(self) -> None:
        check_fields(self)
        if self.weight and not self.layer:
            raise ValueError(
                "losses.activation: wanted the name of a layer with a weight, found "
                f"weight = {self.weight} and layer = {self.layer!r}"
            )

    @property
    def taps(self) -> tuple[str, ...]:
        """The layer."""
        return (self.layer,)

    def outcome(self, outputs: Outputs, targets: Any) -> Outcome:
        """The penalty; frames past a sequence's end do not count."""
        h = outputs.taps[self.layer].float()
        count = len(h)
        if outputs.lengths is not None:
            inside = torch.arange(h.shape[1])[None, :] < outputs.lengths[:, None]
            h = h * inside[:, :, None].to(h)
            count = int(outputs.lengths.sum())
        each = 0.5 * h.square().flatten(1).sum(1)
        return Outcome(each.sum(), -each.detach(), count)
