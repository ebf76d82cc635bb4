"""What training asks of a network besides being an `nn.Module`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from chainstitch.nnet.layers import HasProportion


class Trainable(nn.Module):
    """A network that `train.Trainer` can train; this one has no dropout and no constraints.

    Attributes:
        bf16: whether it runs in bf16 where autocast has it so, matrix products above all;
            parameters, their gradients, Fisher estimates and updates are float32 all the same.
    """

    bf16 = False

    def autocast(self, x: Tensor) -> torch.autocast:
        """What a forward pass with the input x goes on in."""
        return torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16)

    def dropouts(self) -> dict[str, HasProportion]:
        """The layers whose proportion a dropout schedule may set, by name."""
        return {}

    def constrain(self) -> None:
        """Called after every update: what keeps parameters within their constraints."""

    def num_parameters(self) -> int:
        """Trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
