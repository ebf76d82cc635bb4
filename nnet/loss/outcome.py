"""What a loss is to training: what it is given, and what it says.

A loss is called with the network's `Outputs` and a batch's targets, and answers with an `Outcome`.
A loss that wants more than the main output, a hidden layer or a second output layer, names it in
its `taps`. Losses add up: `LossSum` is a task's own loss and others with weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

Figures = Mapping[str, float | Tensor]


@dataclass(frozen=True)
class Outputs:
    """What a network puts out for a batch.

    Attributes:
        main: (batch, frames, dim) of sequences, padded; (batch, dim) of images.
        lengths: (batch,) valid frames of sequences, on the host; None of what has none.
        taps: other layers' outputs by name, in the shape of `main` but for their own dim.
    """

    main: Tensor
    lengths: Tensor | None = None
    taps: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a loss says of a batch.

    Attributes:
        value: the loss, a scalar to minimise, summed over the batch.
        objective: (examples,) of each example, summed over its frames; higher is better. Detached,
            without weights and penalties.
        count: what `objective` and `figures` are divided by: frames, images, words.
        figures: sums over the batch by name, which are reported divided by `count`.
        counts: sums over the batch by name, which are reported as they are.

    Scalar tensors may stay on the device; they are fetched when an iteration ends.
    """

    value: Tensor
    objective: Tensor
    count: float
    figures: Figures = field(default_factory=dict)
    counts: Figures = field(default_factory=dict)


class Loss(Protocol):
    """What training minimises.

    Attributes:
        taps: names of the layers, besides the main output, that it wants to see.
    """

    @property
    def taps(self) -> Sequence[str]: ...

    def outcome(self, outputs: Outputs, targets: Any) -> Outcome:
        """The loss of a batch.

        Raises:
            NonFiniteError: the outputs are not finite. A loss that does not want to wait for the
                device leaves that to the optimiser, which skips such an update.
        """


class LossSum:
    """A task's own loss, and others added to it.

    The objective is that of the first. Of an added loss called NAME the figures are NAME, its value
    before the weight, and NAME_x for each of its own figures x.

    Args:
        first: the task's loss.
        added: name -> (weight, loss).
    """

    def __init__(self, first: Loss, added: Mapping[str, tuple[float, Loss]]) -> None:
        self.first, self.added = first, dict(added)
        wanted = [*first.taps, *(tap for _, loss in self.added.values() for tap in loss.taps)]
        self.taps = tuple(dict.fromkeys(wanted))

    def outcome(self, outputs: Outputs, targets: Any) -> Outcome:
        """The weighted sum."""
        found = self.first.outcome(outputs, targets)
        value, figures, counts = found.value, dict(found.figures), dict(found.counts)
        for name, (weight, loss) in self.added.items():
            more = loss.outcome(outputs, targets)
            value = value + weight * more.value.to(value.device)
            figures[name] = more.value.detach()
            figures |= {f"{name}_{figure}": each for figure, each in more.figures.items()}
            counts |= {f"{name}_{figure}": each for figure, each in more.counts.items()}
        return Outcome(value, found.objective, found.count, figures, counts)
