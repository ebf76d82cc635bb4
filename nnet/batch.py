"""A minibatch and a network's outputs for it: whole utterances, or chunks with their surroundings.

A chunk's features begin some frames before it and end some after it, so that the network's context,
and the memory of a recurrent one, are filled with what was really there. Outputs for those frames
are made and cut away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from chainstitch.nnet.nets.network import Network
from chainstitch.nnet.nets.xconfig import OUTPUTS
from chainstitch.utils.data.ivectors import IvectorReader


@dataclass(frozen=True)
class Batch:
    """Some examples.

    Attributes:
        features: (batch, frames, dim), padded; lengths: (batch,) valid frames.
        first, count: (batch,) the output frames that the targets are of, from the first of the
            features on.
        targets: what the loss wants: a `NumeratorBatch`, or a `FrameLabels`.
        ivectors: (batch, dim) one of each example, for networks that have such an input.
    """

    features: Tensor
    lengths: Tensor
    first: Tensor
    count: Tensor
    targets: Any
    ivectors: Tensor | None = None

    @property
    def frames(self) -> int:
        """Output frames with targets."""
        return int(self.count.sum())

    def outputs(self, network: nn.Module, device: str, shift: int = 0) -> tuple[Tensor, Tensor]:
        """(batch, frames, pdfs) of the frames with targets, padded, and (batch,) how many."""
        return self._cut(*network(*self._inputs(device, shift)))

    def loss(self, network: Network, loss: Loss, device: str, shift: int = 0) -> Tensor:
        """The loss of the network's outputs: of the main one, and of the xent branch if wanted."""
        if not loss.wants_xent:
            return loss(*self.outputs(network, device, shift), self.targets)
        outputs, lengths = network.outputs(*self._inputs(device, shift))
        (main, count), (xent, _) = (self._cut(outputs[name], lengths) for name in OUTPUTS)
        return loss(main, count, self.targets, xent=xent)

    def _inputs(self, device: str, shift: int) -> tuple[Any, ...]:
        ivectors = None if self.ivectors is None else self.ivectors.to(device)
        return self.features.to(device), self.lengths, shift, ivectors

    def _cut(self, outputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        if not bool(self.first.any()) and torch.equal(self.count, lengths):
            return outputs, lengths
        frame = self.first[:, None] + torch.arange(int(self.count.max()))
        frame = frame.clamp(max=outputs.shape[1] - 1).to(outputs.device)  # of padding
        rows = torch.arange(len(frame), device=outputs.device)[:, None]
        return outputs[rows, frame], self.count


class Examples(Protocol):
    """What a network is trained on.

    Attributes:
        frames: (examples,) input frames of each, context not counted.
        num_utterances: how many they come from.
        ivectors: of these, for a network that takes any.
    """

    frames: np.ndarray
    ivectors: IvectorReader | None

    @property
    def num_utterances(self) -> int: ...

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int]) -> Batch:
        """These examples, in this order."""

    def check_features(self) -> None:
        """Reads all features once, so that damaged ones are found before training."""


class Loss(Protocol):
    """What training minimises: a module called with outputs, lengths and a batch's targets.

    Attributes:
        objective: (batch,) of the last call, on the host, summed over frames; higher is better.
        wants_xent: whether it also wants the output of the xent branch, as `xent`.
    """

    objective: Tensor

    @property
    def wants_xent(self) -> bool: ...

    def __call__(self, outputs: Tensor, lengths: Tensor, targets: Any, **more: Tensor) -> Tensor:
        """The loss, a scalar to minimise."""

    def sums(self) -> dict[str, float]:
        """Figures of the last call that add up over minibatches; "objf" among them."""
