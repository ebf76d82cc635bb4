"""What training is done on: examples, their minibatches, losses; and minibatches of sequences.

`Examples`, `Batch` and `Loss` are all that training, diagnostics and combination know of data; here
is the `Batch` of speech, images have theirs in images.py.

A minibatch of sequences has whole utterances, or chunks with their surroundings. A chunk's features
begin some frames before it and end some after it, so that the network's context, and the memory of
a recurrent one, are filled with what was really there. Outputs for those frames are made and cut
away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from chainstitch.nnet.nets.network import Network
from chainstitch.nnet.nets.trainable import Trainable
from chainstitch.nnet.nets.xconfig import OUTPUTS

NUM_MEASURED, AT_ONCE = 300, 64  # see `Examples`; of utterances


@dataclass(frozen=True)
class SequenceBatch:
    """Some utterances or chunks.

    Attributes:
        features: (batch, frames, dim), padded; lengths: (batch,) valid frames.
        first, count: (batch,) the output frames that the targets are of, from the first of the
            features on.
        targets: what the loss wants: a `NumeratorBatch`, or a `FrameLabels`.
        ivectors: (batch, dim) one of each example, for networks that have such an input.
        derivs: (batch,) first and last frame of each that has derivatives; None: all have.
    """

    features: Tensor
    lengths: Tensor
    first: Tensor
    count: Tensor
    targets: Any
    ivectors: Tensor | None = None
    derivs: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def frames(self) -> int:
        """Output frames with targets."""
        return int(self.count.sum())

    def outputs(self, network: nn.Module, device: str, shift: int = 0) -> tuple[Tensor, Tensor]:
        """(batch, frames, pdfs) of the frames with targets, padded, and (batch,) how many."""
        return self._cut(*network(*self._inputs(device, shift), **self._limits()))

    def loss(self, network: Trainable, loss: Loss, device: str, shift: int = 0) -> Tensor:
        """The loss of the network's outputs: of the main one, and of the xent branch if wanted."""
        if not loss.wants_xent:
            return loss(*self.outputs(network, device, shift), self.targets)
        assert isinstance(network, Network)  # others have no such branch
        outputs, lengths = network.outputs(*self._inputs(device, shift), **self._limits())
        (main, count), (xent, _) = (self._cut(outputs[name], lengths) for name in OUTPUTS)
        return loss(main, count, self.targets, xent=xent)

    def _inputs(self, device: str, shift: int) -> tuple[Any, ...]:
        ivectors = None if self.ivectors is None else self.ivectors.to(device)
        return self.features.to(device), self.lengths, shift, ivectors

    def _limits(self) -> dict[str, Any]:
        return {} if self.derivs is None else {"derivs": self.derivs}

    def _cut(self, outputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        if not bool(self.first.any()) and torch.equal(self.count, lengths):
            return outputs, lengths
        frame = self.first[:, None] + torch.arange(int(self.count.max()))
        frame = frame.clamp(max=outputs.shape[1] - 1).to(outputs.device)  # of padding
        rows = torch.arange(len(frame), device=outputs.device)[:, None]
        return outputs[rows, frame], self.count


class Batch(Protocol):
    """Some examples; its length is how many."""

    def __len__(self) -> int: ...

    @property
    def frames(self) -> int:
        """What objectives are divided by: output frames with targets; images."""

    def outputs(self, network: nn.Module, device: str) -> Any:
        """Runs the network on them."""

    def loss(self, network: Trainable, loss: Loss, device: str, shift: int = 0) -> Tensor:
        """The loss of the network's outputs, a scalar; `shift` is a `Minibatch`'s."""


class Examples(Protocol):
    """What a network is trained on.

    Attributes:
        frames: (examples,) how much of an iteration each takes: input frames, context not counted;
            1 for an image.
        unit: what objectives are of, "frame" or "image".
        num_measured: on how many of them an objective is measured; at_once: so many at a time.
    """

    frames: np.ndarray
    unit: str
    num_measured: int
    at_once: int

    def __len__(self) -> int: ...

    def __str__(self) -> str:
        """How many of what there are."""

    def batch(self, indices: Sequence[int]) -> Batch:
        """These examples, in this order."""


class Loss(Protocol):
    """What training minimises: a module called with outputs and a batch's targets.

    Attributes:
        objective: (batch,) of the last call, summed over frames; higher is better.
        wants_xent: whether it also wants the output of the xent branch, as `xent`.
    """

    objective: Tensor

    @property
    def wants_xent(self) -> bool: ...

    def __call__(self, outputs: Tensor, *targets: Any, **more: Tensor) -> Tensor:
        """The loss, a scalar to minimise; of sequences their lengths come before the targets."""

    def sums(self) -> Mapping[str, float | Tensor]:
        """Figures of the last call that add up over minibatches; "objf" among them.

        Scalar tensors stay on the device until an iteration ends.
        """
