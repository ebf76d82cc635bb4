"""SGD as Kaldi's nnet3 does it: summed gradients, max-change, per-layer learning rates.

    delta  <-  momentum delta - lr_c (grad + 2 l2_c N theta)     lr_c = lr * learning_rate_factor
    theta  <-  theta + f_c g (1 - momentum) delta                f_c, g: max_change.py

A layer ("component") is a module that owns parameters directly; weight and bias count together for
its limit. N is the number of sequences in the minibatch, as gradients are sums over it. Without
max-change, factors and l2 this is plain SGD.

Backstitch calls `step` with scale -alpha and 1 + alpha; l2 is left out of the first and divided by
1 + alpha in the second, so that it acts once.

Source: Kaldi nnet-utils.cc, UpdateNnetWithMaxChange, ApplyL2Regularization (2018 and later; the
paper's own systems shrink the parameters between iterations instead).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from chainstitch.nnet.optim.max_change import MaxChangeStatistics, dense, limit_change
from chainstitch.utils.arguments import check_numbers

BOUNDS = {
    "lr": "[0, inf)", "momentum": "[0, 1)", "max_change_per_layer": "[0, inf)",
    "max_change": "[0, inf)", "l2_regularize": "[0, inf)", "learning_rate_factor": "[0, inf)",
    "scale": "any", "max_change_scale": "[0, inf)",
}  # fmt: skip


class SGD(torch.optim.Optimizer):
    """Stochastic gradient descent with maximum change per layer and in all.

    Attributes `max_change` (0 = no limit), `learning_rate_factor` and `l2_regularize` of a layer
    override the defaults. Every layer is one parameter group, so a torch lr scheduler works on it.

    Args:
        module: the network; parameters that do not require grad are left out.
        lr: learning rate for *summed* gradients.
        momentum: 0 <= momentum < 1.
        max_change_per_layer, max_change: limits in Euclidean norm; 0 for none.
        l2_regularize: l2_c, per sequence.

    Attributes:
        num_sequences: N of the minibatch to come, which the caller sets where there is l2.
        statistics: how often the limits acted.

    Raises:
        TypeError: a hyper-parameter is no number.
        ValueError: one is not finite or out of range, or nothing is trainable.

    >>> model = nn.Linear(4, 2)
    >>> optimizer = SGD(model, lr=1e-3)
    >>> model(torch.ones(1, 4)).sum().backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        module: nn.Module,
        lr: float,
        momentum: float = 0.0,
        max_change_per_layer: float = 0.75,
        max_change: float = 2.0,
        l2_regularize: float = 0.0,
    ) -> None:
        check_numbers(
            "SGD", BOUNDS, lr=lr, momentum=momentum, max_change_per_layer=max_change_per_layer,
            max_change=max_change, l2_regularize=l2_regularize,
        )  # fmt: skip
        groups = [
            {
                "params": parameters,
                "name": name,
                "max_change": getattr(layer, "max_change", max_change_per_layer),
                "learning_rate_factor": getattr(layer, "learning_rate_factor", 1.0),
                "l2_regularize": getattr(layer, "l2_regularize", l2_regularize),
            }
            for name, layer, parameters in _layers(module)
        ]
        if not groups:
            raise ValueError("SGD: the module has no trainable parameter")
        self.max_change = max_change
        self.num_sequences = 1
        self.statistics = MaxChangeStatistics()
        super().__init__(
            groups,
            {
                "lr": lr,
                "momentum": momentum,
                "max_change": max_change_per_layer,
                "learning_rate_factor": 1.0,
                "l2_regularize": l2_regularize,
            },
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a layer's parameters; `statistics` begin anew.

        Raises:
            TypeError, ValueError: as from the constructor; the layer is named.
        """
        param_group.setdefault("name", f"added_{len(self.param_groups)}")
        numbers = {k: v for k, v in param_group.items() if k in BOUNDS}
        check_numbers(f"SGD, layer {param_group['name']!r}", BOUNDS, **numbers)
        super().add_param_group(param_group)
        self.statistics.reset()

    @property
    def names(self) -> list[str]:
        """Layer names in the order of the parameter groups."""
        return [group["name"] for group in self.param_groups]

    def set_lr(self, lr: float) -> None:
        """Sets the learning rate of all layers (factors stay).

        Raises:
            TypeError, ValueError: it is no finite number >= 0.
        """
        check_numbers("SGD", BOUNDS, lr=lr)
        for group in self.param_groups:
            group["lr"] = lr

    @torch.no_grad()
    def step(  # type: ignore[override]
        self,
        scale: float = 1.0,
        max_change_scale: float = 1.0,
        closure: Callable[[], Tensor] | None = None,
    ) -> Tensor | None:
        """Moves the parameters by `scale` times the learning rate, limits times `max_change_scale`.

        If the proposed change is not finite the whole update is skipped and counted.

        Raises:
            TypeError: a gradient is sparse (the layer is named), or a scale no number.
            ValueError: a scale is not finite, or a limit's negative.
        """
        check_numbers("SGD.step", BOUNDS, scale=scale, max_change_scale=max_change_scale)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        parameters, changes, scales, limits = [], [], [], []
        moving: list[int] = []  # groups that have a gradient
        for n, group in enumerate(self.param_groups):
            members = [p for p in group["params"] if p.grad is not None]
            if members:
                dense([p.grad for p in members], f"SGD, layer {group['name']!r}")
                moving.append(n)
                parameters.append(members)
                change, factor = self._proposal(members, group, scale)
                changes.append(change)
                scales.append(factor)
                limits.append(group["max_change"])
        if not parameters:
            return loss
        factors, layer_factors, global_factor = limit_change(
            changes, limits, self.max_change, scales, max_change_scale
        )
        if len(moving) < len(self.param_groups):  # no limit acted on the others
            every = layer_factors.new_ones(len(self.param_groups))
            index = torch.tensor(moving, device=every.device)
            layer_factors = every.index_copy_(0, index, layer_factors)
        self.statistics.add(layer_factors, global_factor)
        finite = torch.isfinite(global_factor)
        for factor, members, change in zip(factors, parameters, changes, strict=True):
            for p, direction in zip(members, change, strict=True):
                _move(p, direction, factor, finite)
        momentum = self.param_groups[0]["momentum"]
        if momentum:
            for buffer in (buffer for change in changes for buffer in change):
                buffer.copy_(torch.where(finite, buffer * momentum, 0.0))
        return loss

    def _proposal(
        self, members: list[Tensor], group: dict[str, Any], scale: float
    ) -> tuple[list[Tensor], float]:
        """A layer's change, of each parameter, as tensors and what they are to be multiplied by.

        Without momentum and l2 the tensors are the gradients themselves.
        """
        lr = group["lr"] * group["learning_rate_factor"]
        gradients = [p.grad for p in members if p.grad is not None]
        l2 = 2.0 * group["l2_regularize"] * self.num_sequences
        if l2 and scale > 0:
            gradients = list(torch._foreach_add(gradients, members, alpha=l2 / scale))
        if not group["momentum"]:
            return gradients, -lr * scale
        buffers = []
        for p, gradient in zip(members, gradients, strict=True):
            state = self.state[p]
            if "delta" not in state:
                state["delta"] = torch.zeros_like(p)
            buffers.append(state["delta"].add_(gradient, alpha=-lr))
        return buffers, scale * (1.0 - group["momentum"])


def _move(p: Tensor, direction: Tensor, factor: Tensor, finite: Tensor) -> None:
    """p + factor direction, or p as it is: factor is 0 then, but 0 * inf would be nan."""
    if p.device.type == "cpu":  # where a look at `finite` is free
        if finite:
            p.addcmul_(direction, factor)
    else:
        p.copy_(torch.where(finite, torch.addcmul(p, direction, factor), p))


def _layers(module: nn.Module) -> Iterator[tuple[str, nn.Module, list[Tensor]]]:
    seen: set[int] = set()
    for name, layer in module.named_modules():
        parameters = []
        for p in layer.parameters(recurse=False):
            if p.requires_grad and id(p) not in seen:
                seen.add(id(p))
                parameters.append(p)
        if parameters:
            yield name, layer, parameters
