"""The losses that a config may add to a task's own: section [losses], a row for each.

    [losses.activation]
    weight = 1e-4
    layer = "tdnn3"

A new one is a file with a dataclass, whose fields are its options, `weight` among them, and which
has `taps` and `outcome` (outcome.py); and a row here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from chainstitch.nnet.loss.activation import ActivationPenalty
from chainstitch.nnet.loss.outcome import Loss, LossSum


@dataclass
class AddedLosses:
    """[losses]: by name; those of weight 0 are left out."""

    activation: ActivationPenalty = field(default_factory=ActivationPenalty)

    def to(self, loss: Loss) -> Loss:
        """`loss` with those that have a weight added."""
        named = {each.name: getattr(self, each.name) for each in fields(self)}
        added = {name: (each.weight, each) for name, each in named.items() if each.weight}
        return LossSum(loss, added) if added else loss
