"""The state that ordered streams carry from chunk to chunk: truncated back-propagation in time.

A recurrent network reads a stream chunk by chunk, each minibatch a chunk of every stream
(`StreamPlan`), and begins a chunk in the state in which it ended the one before. The state lives
with the examples, neither in the network nor in its buffers: a backstitched minibatch puts the same
data through the network twice, and both passes have to begin alike; and measuring an objective in
between must not disturb training.

- A batch takes its start state once, and keeps it for its second pass.
- What it leaves for the next chunk is the end state of its *first* pass, that of the parameters
  before the step, detached, so that derivatives end at the chunk's first word.
- A stream has a state only for the chunk that comes next. Any other, the first one of an epoch say,
  begins with zeros.
- Training and evaluation have a store each.
- A state that is not finite is left as zeros.
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
        rows: how many streams there are: after example n comes n + rows (`StreamPlan`).
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._next: dict[bool, Tensor] = {}  # training? -> (streams,) the examples that come next
        self._state: dict[bool, State] = {}

    def take(self, examples: Sequence[int], training: bool, zeros: State) -> State:
        """The start states of examples.

        Args:
            zeros: of as many streams; gives shapes, type and device.
        """
        if training not in self._next:
            return zeros
        place = {n: row for row, n in enumerate(self._next[training].tolist())}
        rows = [place.get(n, -1) for n in examples]
        known = torch.tensor([row >= 0 for row in rows])
        if not bool(known.any()):
            return zeros
        index = torch.tensor([max(row, 0) for row in rows])
        return [
            torch.where(
                known.view(-1, *[1] * (zero.dim() - 1)).to(zero.device),
                kept.to(zero)[index.to(zero.device)],
                zero,
            )
            for kept, zero in zip(self._state[training], zeros, strict=True)
        ]

    def leave(self, examples: Sequence[int], training: bool, end: State) -> None:
        """Keeps the states in which examples ended, for those that come next."""
        self._next[training] = torch.tensor(examples) + self.rows
        self._state[training] = [
            torch.where(torch.isfinite(each), each, 0.0).detach() for each in end
        ]

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
            self._next[True], self._state[True] = state["next"], list(state["state"])
