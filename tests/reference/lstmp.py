"""The dull twin of FastLSTMP: one frame, one sequence at a time, derivatives by autograd."""

from __future__ import annotations

import torch
from torch import Tensor


def simple_cell(gates, c, peepholes, mask):
    i, f, g, o = gates.chunk(4)
    i = torch.sigmoid(i + peepholes[0] * c)
    f = torch.sigmoid(f + peepholes[1] * c)
    c = f * mask[1] * c + i * mask[0] * torch.tanh(g)
    o = torch.sigmoid(o + peepholes[2] * c)
    return c, o * mask[2] * torch.tanh(c)


def simple_lstmp(
    x: Tensor, w_all: Tensor, b_all: Tensor, w_rp: Tensor, b_rp: Tensor, peepholes: Tensor,
    delay: int, decay: float, masks: Tensor | None = None,
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
        c[t], m = simple_cell(gates, before, peepholes, mask)
        out[t] = w_rp @ m + b_rp
    return torch.stack(out)
