"""How far an iteration has come, and what else a run that stops in its middle has to keep.

Checkpoints after iterations hold the model and the estimates; everything else begins anew with an
iteration. Within one there are also the sums of its figures, the place in backstitch's turn and the
states of the random generators.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, fields
from typing import Any

from torch import Tensor

from chainstitch.nnet.optim import SGD, Backstitch, generators


@dataclass
class Within:
    """How far an iteration has come.

    Attributes:
        saturation, shrink: for its row, as they were before it.
        done: minibatches; totals: figures of the loss, added up; seconds: of earlier runs.
    """

    saturation: float
    shrink: float
    done: int = 0
    totals: dict[str, float | Tensor] = field(default_factory=lambda: defaultdict(float))
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.totals = defaultdict(float, self.totals)

    def numbers(self) -> dict[str, float]:
        """The totals on the host."""
        return {name: float(total) for name, total in self.totals.items()}

    def saved(self, optimizer: Backstitch, sgd: SGD) -> dict[str, Any]:
        """For a checkpoint."""
        random, random_cuda = generators.states()
        return {
            **vars(self), "totals": self.numbers(), "phase": optimizer.phase,
            "count": optimizer.count, "max_change": vars(sgd.statistics),
            "random": random, "random_cuda": random_cuda,
        }  # fmt: skip


def reenter(saved: dict[str, Any], optimizer: Backstitch, sgd: SGD) -> Within:
    """Sets all of it to what `Within.saved` gave."""
    optimizer.phase, optimizer.count = saved["phase"], saved["count"]
    vars(sgd.statistics).update(saved["max_change"])
    generators.rewind((saved["random"], saved["random_cuda"]))
    return Within(**{each.name: saved[each.name] for each in fields(Within)})
