"""The state that ordered streams carry from chunk to chunk: truncated back-propagation in time.

A recurrent network reads a stream chunk by chunk, each minibatch a chunk of every stream
(`StreamPlan`), and begins a chunk in the state in which it ended the one before. The state lives
with the examples, neither in the network nor in its buffers: a backstitched minibatch puts the same
data through the network twice, and both passes have to begin alike; and measuring an objective in
between must not disturb training.

- A batch takes its start state once, and keeps it for its second pass.
- What it leaves for the next chunk is the end state of its *first* pass, that of the parameters
  before the step, detached, so that derivatives end at the chunk's first word.
- A stream has a state only for the chunk that comes next. Any other, the first one of a pass say,
  begins with zeros.
- Training and evaluation have a store each.
- Of a state that is not finite nothing is left: its stream goes on with zeros.

Streams keep their states apart, so that a minibatch may come in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

State = list[Tensor]  # each (streams, ...)


class CarriedState:
    """What streams go on with.

    Args:
        rows: how many streams there are: after example n, of stream n % rows, comes n + rows
            (`StreamPlan`).
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._next: dict[bool, Tensor] = {}  # training? -> (rows,) the example that comes next
        self._state: dict[bool, State] = {}  # training? -> each (rows, ...)

    def take(self, examples: Sequence[int], training: bool, zeros: State) -> State:
        """The start states of examples.

        Args:
            zeros: of as many streams; gives shapes, type and device.

        Raises:
            ValueError: two examples of one stream.
        """
        if training not in self._next:
            return zeros
        streams = self._streams(examples)
        known = self._next[training][streams] == torch.tensor(examples)
        return [
            torch.where(_beside(known, zero), kept[streams.to(kept.device)].to(zero), zero)
            for kept, zero in zip(self._state[training], zeros, strict=True)
        ]

    @torch.no_grad()
    def leave(self, examples: Sequence[int], training: bool, end: State) -> None:
        """Keeps the states in which examples ended, for those that come next.

        Raises:
            ValueError: two examples of one stream.
        """
        streams = self._streams(examples)
        if training not in self._next:
            self._next[training] = torch.full((self.rows,), -1)
            self._state[training] = [each.new_zeros(self.rows, *each.shape[1:]) for each in end]
        self._next[training][streams] = torch.tensor(examples) + self.rows
        finite = torch.stack([torch.isfinite(each).flatten(1).all(1) for each in end]).all(0)
        for kept, each in zip(self._state[training], end, strict=True):
            kept[streams.to(kept.device)] = torch.where(_beside(finite, each), each, 0.0).to(kept)

    def _streams(self, examples: Sequence[int]) -> Tensor:
        streams = torch.tensor(examples) % self.rows
        if len(streams.unique()) < len(streams):
            raise ValueError(
                f"a batch has examples {list(examples)}, of {self.rows} streams; wanted at most "
                "one of each, as their states follow from one another"
            )
        return streams

    def state_dict(self) -> dict[str, Any]:
        """The training store; evaluation begins with zeros whenever it begins."""
        if True not in self._next:
            return {}
        return {"next": self._next[True], "state": self._state[True]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from `state_dict`."""
        self._next.clear()
        self._state.clear()
        if state:
            self._next[True] = state["next"].cpu().clone()
            self._state[True] = [each.clone() for each in state["state"]]


def _beside(flags: Tensor, each: Tensor) -> Tensor:
    """(streams,) flags in as many dimensions as `each` has, and on its device."""
    return flags.view(-1, *[1] * (each.dim() - 1)).to(each.device)
