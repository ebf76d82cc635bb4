"""How far an iteration has come: what a run that stops in its middle has to keep of it.

A new iteration begins everything anew but the model and what the stepper keeps. Within one there
are also the sums of its figures. The place in backstitch's turn and the states of the random
generators are in the stepper's state.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class Progress:
    """How far an iteration has come.

    Attributes:
        saturation, shrink: for its row, as they were before it.
        done: minibatches; totals: figures added up (log.py); seconds: of earlier runs.
    """

    saturation: float
    shrink: float
    done: int = 0
    totals: dict[str, float | Tensor] = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.totals = defaultdict(float, self.totals)

    def numbers(self) -> dict[str, float]:
        """The totals on the host."""
        return {name: float(total) for name, total in self.totals.items()}

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint; `Progress(**state)` goes on from it."""
        return {**vars(self), "totals": self.numbers()}
