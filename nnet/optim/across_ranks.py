"""The sums of the natural gradient, added up over the processes of data-parallel training.

Each process sees its own rows; (5) to (9) and (4) of online_natural_gradient.py want the sums over
all of them, and everything else follows from those. So all processes hold the same estimates to
the last bit, and the same as one process that sees all the rows but for the order of additions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from chainstitch.nnet.optim.side import Side
from chainstitch.nnet.parallel.all_reduce import sum_together


def add_up(sides: Sequence[Side], group: Any, with_j: bool = False) -> None:
    """Replaces rows, trace, L and J of `sides` by their sums over the processes of `group`.

    One all-reduce for all of them; the host waits for the numbers of rows. J where the estimate is
    about to be updated, or `with_j`.
    """
    sides = [side for side in sides if side.w is not None and side.w.numel()]
    if not sides:
        return
    parts: list[Tensor] = []
    for side in sides:
        assert side.w is not None
        rank, dim = side.w.shape
        shapes = [(), (), (rank, rank), (rank, dim) if with_j or side.will_update() else (0,)]
        values = [side.w.new_tensor(float(side.rows)), side.trace, side.l, side.j]
        # a process without rows for this layer adds zeros
        parts += [
            v if v.shape == s else side.w.new_zeros(s) for v, s in zip(values, shapes, strict=True)
        ]
    summed = sum_together(parts, group)
    rows = torch.stack(summed[0::4]).tolist()
    for n, side in enumerate(sides):
        side.rows = round(rows[n])
        side.trace, side.l, side.j = summed[4 * n + 1 : 4 * n + 4]
