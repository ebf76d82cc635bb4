"""One step of Kaldi's LSTM nonlinearity, (2) of lstmp.py, and its derivatives by hand.

    i = sigma(i' + w_ic c-)    f = sigma(f' + w_fc c-)
    c = f s_f c- + i s_i tanh(g')                          s: dropout masks, or 1
    o = sigma(o' + w_oc c)     m = o s_o tanh(c)

**Self-repair.** A unit whose average derivative has fallen below a threshold hardly learns. Where
that is so, the derivative of the *objective* by the unit's input gets - scale (2 sigma - 1) added,
that by tanh(c) or tanh(g') gets - scale tanh: a pull to the middle, of a fixed size per frame. Our
losses are minimised, so here the signs are turned. `repair` holds the scale, or 0, of every unit.

Source: Kaldi cu-math.cc, CpuComputeLstmNonlinearity and CpuBackpropLstmNonlinearity (kaldi-facts
6.1, where the gold numbers of the tests stand).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def lstm_cell(
    gates: Tensor, c: Tensor, peepholes: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """c and m (rows, C) from gates (rows, 4C), c- (rows, C), peepholes (3, C).

    `mask` (rows, 3) or (rows, 3C) is what i, f and o are multiplied by.
    """
    i, f, g, o = gates.chunk(4, 1)
    s_i, s_f, s_o = _columns(mask)
    i = torch.addcmul(i, c, peepholes[0]).sigmoid_() * s_i
    f = torch.addcmul(f, c, peepholes[1]).sigmoid_() * s_f
    c = torch.addcmul(f * c, i, g.tanh())
    o = torch.addcmul(o, c, peepholes[2]).sigmoid_() * s_o
    return c, o * c.tanh()


def lstm_cell_backward(
    gates: Tensor, before: Tensor, c: Tensor, peepholes: Tensor, mask: Tensor | None,
    d_c: Tensor, d_m: Tensor, repair: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Derivatives of `lstm_cell`, c being its output and `before` its c-.

    Args:
        d_c, d_m: (rows, C) derivatives of a loss to be minimised by the outputs.
        repair: (5, C) or (5, rows, C) scale of self-repair of i, f, o, g and c; None for none.

    Returns:
        those of gates (rows, 4C), of c- (rows, C) and of the peepholes (3, C), added over rows.
    """
    i, f, g, o = squashed(gates, before, c, peepholes)
    s_i, s_f, s_o = _columns(mask)
    tanh_c = c.tanh()
    d_o = d_m * tanh_c * s_o * o * (1.0 - o)
    d_c = d_c + d_m * o * s_o * (1.0 - tanh_c * tanh_c)
    if repair is not None:
        d_o = torch.addcmul(d_o, repair[2], 2.0 * o - 1.0)
        d_c = torch.addcmul(d_c, repair[4], tanh_c)
    d_c.addcmul_(d_o, peepholes[2])
    d_i = d_c * g * s_i * i * (1.0 - i)
    d_f = d_c * before * s_f * f * (1.0 - f)
    d_g = d_c * i * s_i * (1.0 - g * g)
    if repair is not None:
        d_i = torch.addcmul(d_i, repair[0], 2.0 * i - 1.0)
        d_f = torch.addcmul(d_f, repair[1], 2.0 * f - 1.0)
        d_g = torch.addcmul(d_g, repair[3], g)
    d_before = d_c * f * s_f
    d_before.addcmul_(d_i, peepholes[0]).addcmul_(d_f, peepholes[1])
    d_peepholes = torch.stack([(d_i * before).sum(0), (d_f * before).sum(0), (d_o * c).sum(0)])
    return torch.cat([d_i, d_f, d_g, d_o], 1), d_before, d_peepholes


def squashed(
    gates: Tensor, before: Tensor, c: Tensor, peepholes: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """i, f, tanh(g') and o of (2), where c is known; without masks."""
    i, f, g, o = gates.chunk(4, 1)
    i = torch.addcmul(i, before, peepholes[0]).sigmoid_()
    f = torch.addcmul(f, before, peepholes[1]).sigmoid_()
    o = torch.addcmul(o, c, peepholes[2]).sigmoid_()
    return i, f, g.tanh(), o


def _columns(mask: Tensor | None) -> tuple[Any, ...]:
    return (1.0, 1.0, 1.0) if mask is None else mask.chunk(3, 1)
