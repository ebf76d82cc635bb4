"""What training asks of a network besides being an `nn.Module`."""

from __future__ import annotations

from torch import nn

from chainstitch.nnet.layers import HasProportion


class Trainable(nn.Module):
    """A network that `train.Trainer` can train; this one has no dropout and no constraints."""

    def dropouts(self) -> dict[str, HasProportion]:
        """The layers whose proportion a dropout schedule may set, by name."""
        return {}

    def constrain(self) -> None:
        """Called after every update: what keeps parameters within their constraints."""

    def num_parameters(self) -> int:
        """Trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
