"""Natural gradient on every affine layer of a module, through hooks.

The method, its equations and its cost are in online_natural_gradient.py; here two of its sides are
put on each layer and fed while autograd runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from chainstitch.nnet.optim.online_natural_gradient import OnlineNaturalGradient


class NaturalGradient:
    """Puts natural gradient on every `nn.Linear` (and subclass) of a module, through hooks.

    Call `precondition_gradients()` after `backward()` and before the optimiser's step: it replaces
    `weight.grad` and `bias.grad` by the natural gradient. Loss must be *summed* over rows, not
    averaged. Forward and `state_dict` of the module stay as they are. A layer's attributes
    `rank_in`, `rank_out` override the defaults min(20, (in+1)/2) and min(80, (out+1)/2).

    Args:
        module: the network; layers whose weights do not require grad are left alone.
        update_period, num_samples_history, alpha: as in `OnlineNaturalGradient`.

    >>> model = nn.Linear(4, 3)
    >>> natural_gradient = NaturalGradient(model)
    >>> model(torch.randn(8, 4)).square().sum().backward()
    >>> natural_gradient.precondition_gradients()
    """

    def __init__(
        self,
        module: nn.Module,
        update_period: int = 4,
        num_samples_history: float = 2000.0,
        alpha: float = 4.0,
    ) -> None:
        self._options = (update_period, num_samples_history, alpha)
        self.layers: dict[str, nn.Linear] = {}
        self.sides: dict[str, tuple[OnlineNaturalGradient, OnlineNaturalGradient]] = {}
        self._handles: list[Any] = []
        for name, layer in module.named_modules():
            if isinstance(layer, nn.Linear) and layer.weight.requires_grad:
                self.layers[name] = layer
                self._handles.append(layer.register_forward_hook(self._watch(name)))
        if not self.layers:
            raise ValueError("natural gradient: the module has no trainable nn.Linear layer")
        self.reset()

    def reset(self) -> None:
        """Forgets all estimates, as Kaldi does between iterations."""
        period, history, alpha = self._options
        for name, layer in self.layers.items():
            rank_in = getattr(layer, "rank_in", None) or min(20, (layer.in_features + 1) // 2)
            rank_out = getattr(layer, "rank_out", None) or min(80, (layer.out_features + 1) // 2)
            self.sides[name] = (
                OnlineNaturalGradient(max(1, rank_in), period, history, None, alpha),
                OnlineNaturalGradient(max(1, rank_out), period, history, None, alpha),
            )

    def remove(self) -> None:
        """Takes the hooks off the module."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _watch(self, name: str) -> Any:
        def after_forward(layer: nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if not (torch.is_grad_enabled() and output.requires_grad):
                return
            x = inputs[0].detach()

            def on_gradient(dy: Tensor) -> None:
                with torch.no_grad():
                    side_in, side_out = self.sides[name]
                    side_in.observe(x.reshape(-1, x.shape[-1]), ones=layer.bias is not None)
                    side_out.observe(dy.reshape(-1, dy.shape[-1]))

            output.register_hook(on_gradient)

        return after_forward

    @torch.no_grad()
    def precondition_gradients(self) -> None:
        """Replaces the gradients G of all watched layers by gamma_in gamma_out P_out G P_in."""
        for name, layer in self.layers.items():
            side_in, side_out = self.sides[name]
            weight, bias = layer.weight, layer.bias
            if weight.grad is not None:
                g = weight.grad
                if bias is not None and bias.grad is not None:
                    g = torch.cat([g, bias.grad[:, None]], 1)  # (out, in + 1)
                g = side_out.apply(side_in.apply(g).t()).t()
                weight.grad.copy_(g[:, : weight.shape[1]])
                if bias is not None and bias.grad is not None:
                    bias.grad.copy_(g[:, -1])
            side_in.finish()
            side_out.finish()

    @contextmanager
    def freeze(self) -> Iterator[None]:
        """Within the block estimates are used, not updated (in backstitch's first step)."""
        for pair in self.sides.values():
            for side in pair:
                side.frozen = True
        try:
            yield
        finally:
            for pair in self.sides.values():
                for side in pair:
                    side.frozen = False

    def statistics(self) -> dict[str, int]:
        """How often estimates were updated, floored, orthogonalised again, summed over layers."""
        all_sides = [side for pair in self.sides.values() for side in pair]
        return {
            "updates": sum(side.num_updates for side in all_sides),
            "floored": sum(side.num_floored for side in all_sides),
            "reorthogonalised": sum(side.num_reorthogonalised for side in all_sides),
        }

    def state_dict(self) -> dict[str, Any]:
        """Estimates of every layer, by name."""
        return {name: [side.state_dict() for side in pair] for name, pair in self.sides.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` gave for a module of the same layer names."""
        if set(state) != set(self.sides):
            raise ValueError(
                f"natural gradient state is for layers {sorted(state)}, "
                f"the module has {sorted(self.sides)}"
            )
        for name, pair in self.sides.items():
            for side, values in zip(pair, state[name], strict=True):
                side.load_state_dict(values)
