"""What training asks of a network besides being an `nn.Module`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from chainstitch.nnet.layers import HasProportion
from chainstitch.utils.errors import UsageError


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

    def tapped(self, taps: Sequence[str], *inputs: Any, **options: Any) -> tuple[Any, Any]:
        """What calling the network gives, and the outputs of the layers called `taps`, by name."""
        if not taps:
            return self(*inputs, **options), {}
        seen: dict[str, Tensor] = {}

        def keep(name: str) -> Any:
            # a copy: what reads the layer may work in place, as ReLUs do
            return lambda _layer, _inputs, output: seen.__setitem__(name, output.clone())

        hooks = [self.get_submodule(tap).register_forward_hook(keep(tap)) for tap in taps]
        try:
            return self(*inputs, **options), seen
        finally:
            for hook in hooks:
                hook.remove()

    def check_taps(self, taps: Sequence[str]) -> None:
        """Whether there are layers of these names.

        Raises:
            UsageError: there is none; names those that there are.
        """
        known = [name for name, _ in self.named_modules() if name]
        for tap in taps:
            if tap not in known:
                raise unknown_tap(tap, known)

    def dropouts(self) -> dict[str, HasProportion]:
        """The layers whose proportion a dropout schedule may set, by name."""
        return {}

    def constrain(self) -> None:
        """Called after every update: what keeps parameters within their constraints."""

    def num_parameters(self) -> int:
        """Trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def unknown_tap(tap: str, known: Sequence[str]) -> UsageError:
    """The error of a loss that wants a layer which there is not."""
    return UsageError(
        f"a loss wants the outputs of a layer called {tap!r}, which the network does not have; "
        f"its layers are {', '.join(known)}"
    )
