"""What training knows of its data: examples, and batches of them.

The loss is in loss/outcome.py, the plan, which says which examples when, in plan.py. What the
examples and batches of speech or images are is in tasks/.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from torch import nn

from chainstitch.nnet.loss.outcome import Loss, Outcome
from chainstitch.nnet.nets.trainable import Trainable


class Batch(Protocol):
    """Some examples; its length is how many."""

    def __len__(self) -> int: ...

    @property
    def count(self) -> int:
        """What objectives are divided by: output frames with targets; images; words."""

    def outputs(self, network: nn.Module, device: str) -> Any:
        """Runs the network on them, whose layers may look at what passes."""

    def outcome(self, network: Trainable, loss: Loss, device: str, shift: int = 0) -> Outcome:
        """Runs the network, with the taps that the loss wants, and then the loss.

        Args:
            shift: of the minibatch, see plan.py.

        Raises:
            NonFiniteError: from the loss.
        """


class Examples(Protocol):
    """What a network is trained on.

    Attributes:
        frames: (examples,) how much of an iteration each takes: input frames, context not counted;
            1 for an image.
        unit: what objectives are of: "frame", "image", "word".
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
        """These examples, in this order. Draws nothing at random: it may be called ahead of time.

        Raises:
            UserError: they cannot be read; named.
        """

    def state_dict(self) -> dict[str, Any]:
        """What examples carry from minibatch to minibatch (carried_state.py); else empty."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from `state_dict`."""


class Stateless:
    """Examples that carry nothing from minibatch to minibatch."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing."""
