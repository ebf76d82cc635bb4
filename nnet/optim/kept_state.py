"""What a torch optimiser keeps from step to step: lent for one step, or put back after an error.

All of it is in `state` and in the parameter groups. Both stay the same dicts, as others may hold
them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


@contextmanager
def state_kept(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Lends the optimiser a copy of its state; afterwards it has its own tensors back, untouched.

    So do the parameter groups, where some optimisers count their steps.
    """
    own = [(values, dict(values)) for values in _dicts(optimizer)]
    for values, copied in _copies(optimizer):
        values.update(copied)
    try:
        yield
    finally:
        for values, before in own:
            _replace(values, before)


def snapshot(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """What puts the optimiser's state and groups back as they are now, in copies."""
    copies = _copies(optimizer)

    def put_back() -> None:
        for values, copied in copies:
            _replace(values, copied)

    return put_back


def _dicts(optimizer: torch.optim.Optimizer) -> list[dict[Any, Any]]:
    return [optimizer.state, *optimizer.param_groups]


def _copies(optimizer: torch.optim.Optimizer) -> list[tuple[dict[Any, Any], dict[Any, Any]]]:
    """State and groups, each with a copy; parameters and what torch cannot change are no copies."""
    state = {key: _copied(value) for key, value in optimizer.state.items()}
    groups = [
        {
            key: _copied(value)
            if key != "params" and isinstance(value, Tensor | dict | list)
            else value
            for key, value in group.items()
        }
        for group in optimizer.param_groups
    ]
    return list(zip(_dicts(optimizer), [state, *groups], strict=True))


def _replace(values: dict[Any, Any], by: dict[Any, Any]) -> None:
    values.clear()
    values.update(by)


def put_back_values(pairs: list[tuple[Tensor, Tensor]]) -> None:
    """Gives each tensor the value that goes with it."""
    with torch.no_grad():
        for tensor, value in pairs:
            tensor.copy_(value)


def _copied(value: Any) -> Any:
    """A copy of tensors; their keys, which may be Parameters, are not copied."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return copy.deepcopy(value)


@contextmanager
def scaled_groups(optimizer: torch.optim.Optimizer, scale: float) -> Iterator[None]:
    """lr times `scale`; weight decay off in the negative step, over `scale` in the positive one."""
    saved = [(group, group["lr"], group.get("weight_decay")) for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * scale
        if group.get("weight_decay"):
            group["weight_decay"] = 0.0 if scale < 0 else group["weight_decay"] / scale
    try:
        yield
    finally:
        for group, lr, weight_decay in saved:
            group["lr"] = lr
            if weight_decay is not None:
                group["weight_decay"] = weight_decay
