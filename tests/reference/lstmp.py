"""The dull twin of FastLSTMP: one frame, one sequence at a time, derivatives by autograd."""

from __future__ import annotations

import torch
from torch import Tensor


def simple_cell(gates, c, peepholes, mask, repair=None):
    """`repair` (5, cell): what self-repair pulls the inputs of i, f, o, g and tanh(c) by."""

    def pulled(x, row, push):
        """x, to whose derivative `push` is added, times its scale."""
        x = x + 0.0
        if repair is not None and x.requires_grad:
            x.register_hook(lambda d: d + repair[row] * push(x.detach()))
        return x

    def middle(x):
        return 2 * torch.sigmoid(x) - 1

    i, f, g, o = gates.chunk(4)
    s_i, s_f, s_o = mask.chunk(3)
    i = torch.sigmoid(pulled(i + peepholes[0] * c, 0, middle))
    f = torch.sigmoid(pulled(f + peepholes[1] * c, 1, middle))
    c = f * s_f * c + i * s_i * torch.tanh(pulled(g, 3, torch.tanh))
    o = torch.sigmoid(pulled(o + peepholes[2] * c, 2, middle))
    return c, o * s_o * torch.tanh(pulled(c, 4, torch.tanh))


def simple_lstmp(
    x: Tensor, w_all: Tensor, b_all: Tensor, w_rp: Tensor, b_rp: Tensor, peepholes: Tensor,
    delay: int, decay: float, masks: Tensor | None = None, repair: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """x (frames, dim) of one sequence; `delay` in rows of x. Returns (frames, R + P)."""
    frames = len(x)
    cell, recurrent = peepholes.shape[1], w_all.shape[1] - x.shape[1]
    c: list[Tensor] = [torch.empty(0)] * frames
    out: list[Tensor] = [torch.empty(0)] * frames
    for t in range(frames) if delay < 0 else reversed(range(frames)):
        there = 0 <= t + delay < frames
        r = decay * out[t + delay][:recurrent] if there else x.new_zeros(recurrent)
        before = decay * c[t + delay] if there else x.new_zeros(cell)
        mask = x.new_ones(3) if masks is None else masks[t]
        gates = w_all @ torch.cat([x[t], r]) + b_all
        c[t], m = simple_cell(gates, before, peepholes, mask, repair)
        out[t] = w_rp @ m + b_rp
    return torch.stack(out)
