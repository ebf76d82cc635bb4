"""The loop through time of an LSTM, backward, and the truncation of its derivatives.

What autograd sees of the layer, and why, stands in lstmp.py.

Source: Kaldi nnet-general-component.cc, BackpropTruncationComponent (kaldi-facts 6.1).
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from chainstitch.nnet.layers.lstm_cell import CellBackward

ZEROING_INTERVAL = 20  # frames


class Layer(Protocol):
    """What the loop asks of its layer, `FastLSTMP`; see there."""

    recurrent: int
    decay: float
    clip: float
    zero_above: float

    def repair(self) -> Tensor | None: ...


class Recurrence(torch.autograd.Function):
    """Hands r; p on; backward, runs through time (see lstmp.py)."""

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, rp: Tensor, peepholes: Tensor, c: Tensor, w_r: Tensor,
        w_rp: Tensor | None, masks: Tensor | None, times: Tensor, inside: Tensor,
        limited: bool, layer: Layer,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(gates, peepholes, c, w_r, w_rp, masks, times, inside)
        ctx.limited, ctx.layer = limited, layer
        return rp.view_as(rp)

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        gates, peepholes, c, w_r, w_rp, masks, times, inside = ctx.saved_tensors
        layer: Layer = ctx.layer
        before = torch.zeros_like(c)
        torch.mul(c[:-1], layer.decay, out=before[1:])
        cell = CellBackward(gates, before, c, peepholes, masks, layer.repair(), inside)
        crossed = crossings(times)
        d_rp, d_gates, d_c = d_out.clone(), torch.empty_like(gates), torch.zeros_like(c[0])
        wanted = [True] * len(gates)
        if ctx.limited:  # what stands outside has no derivative
            d_rp *= inside[:, :, None]
            d_gates.zero_()
            wanted = inside.any(1).tolist()
        for t in reversed(range(len(gates))):
            if not wanted[t]:
                continue
            d_m = d_rp[t] if w_rp is None else d_rp[t] @ w_rp
            d_c = cell.step(t, d_c, d_m, d_gates[t])
            if t:
                d_c, d_r = truncated(d_c, d_gates[t] @ w_r, crossed[t - 1], layer)
                if ctx.limited:
                    d_c, d_r = (d * inside[t - 1, :, None] for d in (d_c, d_r))
                d_rp[t - 1, :, : layer.recurrent] += d_r
        d_peepholes = cell.peepholes(d_gates)
        return d_gates, d_rp, d_peepholes, None, None, None, None, None, None, None, None


def crossings(times: Tensor) -> Tensor:
    """(T - 1, rows): whether a multiple of 20 frames lies between a step and the next.

    `times` (T, rows): the steps' frames, plus the sequence's number.
    """
    intervals = times // ZEROING_INTERVAL
    return intervals[1:] != intervals[:-1]


def truncated(d_c: Tensor, d_r: Tensor, crossed: Tensor, layer: Layer) -> tuple[Tensor, Tensor]:
    """[dc; dr] times decay, cut to `clip`, dropped where too long and `crossed` (rows,)."""
    # all lengths are before decay; written so as to need few operations, of which there are T
    length = torch.hypot(d_c.norm(dim=1), d_r.norm(dim=1))
    factor = layer.clip / length.clamp(min=layer.clip / layer.decay)
    factor.masked_fill_(crossed & (length > layer.zero_above / layer.decay), 0.0)
    return d_c * factor[:, None], d_r * factor[:, None]
