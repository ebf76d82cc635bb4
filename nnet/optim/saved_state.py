"""Whether a saved state of optimiser and natural gradient is of the parameters at hand.

Optimisers and estimates take whatever they are given, and fall over it in the middle of training,
or do not fall and train on nonsense.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from chainstitch.nnet.optim.natural_gradient import NaturalGradient


def check_optimizer(state: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """That each tensor kept for a parameter is a number or of the parameter's shape.

    Raises:
        ValueError: it is not, or is of a parameter that there is not.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, kept in state["state"].items():
        if not isinstance(number, int) or not 0 <= number < len(parameters):
            raise ValueError(f"optimizer: parameter {number!r} is none of the {len(parameters)}")
        wanted = tuple(parameters[number].shape)
        for name, value in kept.items():
            if isinstance(value, Tensor) and value.dim() and tuple(value.shape) != wanted:
                raise ValueError(
                    f"optimizer: {name} of parameter {number} is {tuple(value.shape)}, the "
                    f"parameter {wanted}"
                )


def check_natural_gradient(
    state: Mapping[str, Any], natural_gradient: NaturalGradient | None
) -> None:
    """That the estimates of a layer have its dimensions.

    Raises:
        ValueError: they have not; names the layer.
    """
    if natural_gradient is None:
        return
    for name, layer in natural_gradient.layers.items():
        weight = layer.weight
        if not isinstance(weight, Tensor):
            continue
        dims = {weight.shape[0], weight[0].numel(), weight[0].numel() + 1}  # + 1 for a bias
        for side in state[name]:
            w, d = side["w"], side["d"]
            if w is None or not w.numel():
                continue
            if w.dim() != 2 or w.shape[1] not in dims or tuple(d.shape) != (w.shape[0],):
                raise ValueError(
                    f"natural gradient of layer {name!r}: found W {tuple(w.shape)} and d "
                    f"{tuple(d.shape)}, for a weight of {tuple(weight.shape)}"
                )
