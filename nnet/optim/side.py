"""One side of a layer's Fisher estimate, as the code sees it that works on many sides at once.

`OnlineNaturalGradient` is one; the letters are those of online_natural_gradient.py.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Side(Protocol):
    """An estimate (w, d, rho), a minibatch's sums (rows, trace, l, j) and what is counted."""

    w: Tensor | None
    d: Tensor
    rho: Tensor
    rows: int
    trace: Tensor
    l: Tensor  # noqa: E741
    j: Tensor
    alpha: float
    frozen: bool
    num_updates: int
    num_skipped: int
    num_floored: int
    num_reorthogonalised: int
    num_nonfinite: int

    def will_update(self) -> bool: ...
    def eta(self, rows: int) -> float: ...
    def clear(self) -> None: ...
