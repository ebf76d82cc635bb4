"""Maximum parameter change per minibatch: per layer, then global (paper, section 4.4).

`limit_change(deltas, limits, global_limit, scale, limit_scale)` is equivalent to the following,
although it is done with fewer kernel launches and without waiting for the device:

    for each layer c with proposed change delta_c (a list of tensors) and limit m_c (0: none):
        f_c = min(1, m_c limit_scale / (|scale_c| ||delta_c||))      if m_c else 1
    Delta = ( sum over c of (f_c scale_c ||delta_c||)^2 )^1/2
    g = min(1, global_limit limit_scale / Delta)                      if global_limit else 1
    the change to apply to layer c is  scale_c g f_c delta_c;  none at all if Delta is not finite

The norm is measured after learning rate and natural gradient. Backstitch calls it with
scale = -alpha, limit_scale = alpha and then scale = limit_scale = 1 + alpha, so that both steps
compare the same ||delta|| with the same threshold. Source: Kaldi nnet-utils.cc,
UpdateNnetWithMaxChange.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from chainstitch.utils.arguments import check_numbers

BOUNDS = {
    "limits": "[0, inf)", "global_limit": "[0, inf)", "scale": "any", "limit_scale": "[0, inf)"
}  # fmt: skip


def limit_change(
    deltas: Sequence[Sequence[Tensor]],
    limits: Sequence[float],
    global_limit: float,
    scale: float | Sequence[float] = 1.0,
    limit_scale: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """The factor for every layer's change, per-layer and global limits included.

    Args:
        deltas: per layer, the proposed change of each of its parameters; not modified.
        limits: per layer, the largest Euclidean norm of its change; 0 for none.
        global_limit: the same for all layers together; 0 for none.
        scale: what the deltas are multiplied by, one number or one for every layer.
        limit_scale: what the limits are multiplied by.

    Raises:
        TypeError: a number that is none, or a sparse tensor.
        ValueError: a number that is not finite or out of bounds, or not one limit a layer.

    Returns:
        factors: (layers,) what to multiply each delta by; includes `scale`; 0 when not finite.
        layer_factors: (layers,) f_c alone, and global_factor: scalar g (nan when not finite).
    """
    check_numbers("limit_change", BOUNDS, global_limit=global_limit, limit_scale=limit_scale)
    for limit in limits:
        check_numbers("limit_change", BOUNDS, limits=limit)
    every = [scale] if isinstance(scale, int | float) else scale
    for each in every:
        check_numbers("limit_change", BOUNDS, scale=each)
    if not len(deltas) == len(limits) or len(every) not in (1, len(deltas)):
        raise ValueError(
            f"limit_change: {len(limits)} limits and {len(every)} scales for {len(deltas)} layers"
        )
    flat = [tensor for layer in deltas for tensor in layer]
    dense(flat, "limit_change")
    norms = torch.stack(torch._foreach_norm(flat)).square()
    owner = torch.tensor([i for i, layer in enumerate(deltas) for _ in layer], device=norms.device)
    squares = norms.new_zeros(len(deltas)).index_add_(0, owner, norms)
    bounds = norms.new_tensor(list(limits)) * limit_scale
    scales = norms.new_tensor([scale] * len(deltas) if isinstance(scale, int | float) else scale)
    lengths = squares.sqrt() * scales.abs()
    unlimited = bounds == 0
    layer_factors = torch.where(unlimited | (lengths <= bounds), 1.0, bounds / lengths)
    total = (layer_factors * lengths).square().sum().sqrt()
    finite = torch.isfinite(total)
    bound = global_limit * limit_scale
    one = torch.ones_like(total)
    global_factor = torch.where(total > bound, bound / total, one) if global_limit else one
    factors = torch.where(finite, scales * global_factor * layer_factors, 0.0)
    return factors, layer_factors, torch.where(finite, global_factor, torch.nan)


def dense(tensors: Sequence[Tensor | None], owner: str) -> None:
    """Raises TypeError for a sparse tensor."""
    for tensor in tensors:
        if tensor is not None and tensor.layout != torch.strided:
            raise TypeError(
                f"{owner}: a gradient is sparse ({tensor.layout}), wanted dense ones, as a limit "
                "is on the change of a whole layer; make the embedding with sparse=False"
            )


class MaxChangeStatistics:
    """Counts how often the limits acted, without waiting for the device until asked."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Starts counting from zero."""
        self._steps = 0
        self._layers: Tensor | None = None
        self._global = self._skipped = self._smallest = torch.zeros(())

    def add(self, layer_factors: Tensor, global_factor: Tensor) -> None:
        """Takes in what one call of `limit_change` returned."""
        if self._layers is None:
            self._layers = torch.zeros_like(layer_factors)
            self._smallest = torch.ones_like(global_factor)
        finite = torch.isfinite(global_factor)
        self._steps += 1
        self._layers = self._layers + (layer_factors < 1).to(layer_factors.dtype) * finite
        self._global = self._global + (global_factor < 1)
        self._skipped = self._skipped + ~finite
        smallest = (layer_factors.min() * global_factor).nan_to_num(nan=1.0)
        self._smallest = torch.minimum(self._smallest, smallest)

    def merge(self, other: dict[str, Any]) -> None:
        """Takes in what another one counted: its `vars`."""
        if other["_layers"] is None:
            return
        if self._layers is None:
            vars(self).update(other)
            return
        self._steps += other["_steps"]
        self._layers = self._layers + other["_layers"]
        self._global = self._global + other["_global"]
        self._skipped = self._skipped + other["_skipped"]
        self._smallest = torch.minimum(self._smallest, other["_smallest"])

    def summary(self, names: Sequence[str]) -> dict[str, object]:
        """Shares of steps on which limits acted, the smallest factor and the skipped updates."""
        if self._layers is None:
            return {"per_layer": 0.0, "global": 0.0, "smallest": 1.0, "skipped": 0, "layers": {}}
        shares = (self._layers / self._steps).tolist()
        return {
            "per_layer": sum(shares) / len(shares),
            "global": float(self._global) / self._steps,
            "smallest": float(self._smallest),
            "skipped": int(self._skipped),
            "layers": {n: round(s, 4) for n, s in zip(names, shares, strict=True) if s > 0},
        }
