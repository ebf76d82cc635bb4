"""Minibatches of sequences: utterances, or chunks of them.

A minibatch has whole utterances, or chunks with their surroundings. A chunk's features begin some
frames before it and end some after it, so that the network's context, and the memory of a recurrent
one, are filled with what was really there. Outputs for those frames are made and cut away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from chainstitch.nnet.loss.outcome import Loss, Outcome, Outputs
from chainstitch.nnet.nets.trainable import Trainable

NUM_MEASURED, AT_ONCE = 300, 64  # see `Examples`; of utterances


@dataclass(frozen=True)
class SequenceBatch:
    """Some utterances or chunks.

    Attributes:
        features: (batch, frames, dim), padded; lengths: (batch,) valid frames.
        first, num_outputs: (batch,) the output frames that the targets are of, from the first of
            the features on.
        targets: what the loss wants: a `NumeratorBatch`, or a `FrameLabels`.
        ivectors: (batch, dim) one of each example, for networks that have such an input.
        derivs: (batch,) first and last frame of each that has derivatives; None: all have.
    """

    features: Tensor
    lengths: Tensor
    first: Tensor
    num_outputs: Tensor
    targets: Any
    ivectors: Tensor | None = None
    derivs: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def count(self) -> int:
        """Output frames with targets."""
        return int(self.num_outputs.sum())

    def outputs(self, network: nn.Module, device: str, shift: int = 0) -> tuple[Tensor, Tensor]:
        """(batch, frames, pdfs) of the frames with targets, padded, and (batch,) how many."""
        return self._cut(*network(*self._inputs(device, shift), **self._limits()))

    def outcome(self, network: Trainable, loss: Loss, device: str, shift: int = 0) -> Outcome:
        """The loss of the network's outputs."""
        inputs, limits = self._inputs(device, shift), self._limits()
        (outputs, lengths), taps = network.tapped(loss.taps, *inputs, **limits)
        main, num_outputs = self._cut(outputs, lengths)
        taps = {name: self._cut(tap, lengths)[0] for name, tap in taps.items()}
        return loss.outcome(Outputs(main, num_outputs, taps), self.targets)

    def _inputs(self, device: str, shift: int) -> tuple[Any, ...]:
        ivectors = None if self.ivectors is None else self.ivectors.to(device)
        return self.features.to(device), self.lengths, shift, ivectors

    def _limits(self) -> dict[str, Any]:
        return {} if self.derivs is None else {"derivs": self.derivs}

    def _cut(self, outputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        if not bool(self.first.any()) and torch.equal(self.num_outputs, lengths):
            return outputs, lengths
        frame = self.first[:, None] + torch.arange(int(self.num_outputs.max()))
        frame = frame.clamp(max=outputs.shape[1] - 1).to(outputs.device)  # of padding
        rows = torch.arange(len(frame), device=outputs.device)[:, None]
        return outputs[rows, frame], self.num_outputs
