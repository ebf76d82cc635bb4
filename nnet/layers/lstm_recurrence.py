"""The loop through time of an LSTM, backward, and the truncation of its derivatives.

What autograd sees of the layer, and why, stands in lstmp.py.

Source: Kaldi nnet-general-component.cc, BackpropTruncationComponent (kaldi-facts 6.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from chainstitch.nnet.layers.lstm_cell import lstm_cell_backward

if TYPE_CHECKING:
    from chainstitch.nnet.layers.lstmp import FastLSTMP

ZEROING_INTERVAL = 20  # frames


class Recurrence(torch.autograd.Function):
    """Hands r; p on; backward, runs through time (see lstmp.py)."""

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, rp: Tensor, peepholes: Tensor, c: Tensor, w_r: Tensor,
        w_rp: Tensor | None, masks: Tensor | None, times: Tensor, inside: Tensor,
        limited: bool, layer: FastLSTMP,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(gates, peepholes, c, w_r, w_rp, masks, times, inside)
        ctx.limited, ctx.layer = limited, layer
        return rp.view_as(rp)

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        gates, peepholes, c, w_r, w_rp, masks, times, inside = ctx.saved_tensors
        layer: FastLSTMP = ctx.layer
        d_rp, d_gates = d_out.clone(), torch.empty_like(gates)
        wanted = [True] * len(gates)
        if ctx.limited:  # what stands outside has no derivative
            d_rp *= inside[:, :, None]
            d_gates.zero_()
            wanted = inside.any(1).tolist()
        d_peepholes = torch.zeros_like(peepholes)
        d_c, repair = torch.zeros_like(c[0]), layer.repair()
        for t in reversed(range(len(gates))):
            if not wanted[t]:
                continue
            before = layer.decay * c[t - 1] if t else torch.zeros_like(c[0])
            mask = None if masks is None else masks[t]
            scales = None if repair is None else repair[:, None] * inside[t, :, None]
            d_gates[t], d_c, d_p = lstm_cell_backward(
                gates[t], before, c[t], peepholes, mask, d_c,
                d_rp[t] if w_rp is None else d_rp[t] @ w_rp, scales,
            )  # fmt: skip
            d_peepholes += d_p
            if t:
                d_c, d_r = truncated(d_c, d_gates[t] @ w_r, times[t - 1], times[t], layer)
                if ctx.limited:
                    d_c, d_r = (d * inside[t - 1, :, None] for d in (d_c, d_r))
                d_rp[t - 1, :, : layer.recurrent] += d_r
        return d_gates, d_rp, d_peepholes, None, None, None, None, None, None, None, None


def truncated(
    d_c: Tensor, d_r: Tensor, earlier: Tensor, later: Tensor, layer: FastLSTMP
) -> tuple[Tensor, Tensor]:
    """[dc; dr] times decay, cut to `clip`, dropped where too long across a multiple of 20 frames.

    `earlier` and `later` (rows,): the frames between which the derivative goes, plus the sequence's
    number.
    """
    length = layer.decay * (d_c.square().sum(1) + d_r.square().sum(1)).sqrt()
    factor = layer.decay * (layer.clip / length.clamp(min=layer.clip))
    crossed = earlier // ZEROING_INTERVAL != later // ZEROING_INTERVAL
    factor = torch.where(crossed & (length > layer.zero_above), 0.0, factor)[:, None]
    return d_c * factor, d_r * factor
