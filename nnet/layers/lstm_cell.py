"""One step of Kaldi's LSTM nonlinearity, (2) of lstmp.py, and its derivatives by hand.

    i = sigma(i' + w_ic c-)    f = sigma(f' + w_fc c-)
    c = f s_f c- + i s_i tanh(g')                          s: dropout masks, or 1
    o = sigma(o' + w_oc c)     m = o s_o tanh(c)

**Backward**, all but two lines of it can be worked out for all frames at once, before the loop that
goes back through time. With A = tanh(c) s_o o (1 - o), and B = s_o o (1 - tanh(c)^2),

    d_o' = A d_m                    d_c += B d_m + w_oc d_o' = (B + w_oc A) d_m                  (4)
    d_i' = I d_c   d_f' = F d_c    d_g' = G d_c    d_c- = (s_f f + w_ic I + w_fc F) d_c          (5)

where I = tanh(g') s_i i (1 - i), F = c- s_f f (1 - f), G = i s_i (1 - tanh(g')^2).

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
    split = gates.unflatten(1, (4, -1))
    i_f = torch.addcmul(split[:, :2], c[:, None], peepholes[:2]).sigmoid_()
    s_o = None
    if mask is not None:
        scales = mask.unflatten(1, (3, -1))
        i_f *= scales[:, :2]
        s_o = scales[:, 2]
    c = torch.addcmul(i_f[:, 1] * c, i_f[:, 0], split[:, 2].tanh())
    o = torch.addcmul(split[:, 3], c, peepholes[2]).sigmoid_()
    return c, (o if s_o is None else o * s_o) * c.tanh()


class CellBackward:
    """Derivatives of `lstm_cell` for frames 0 to T - 1, of a loss to be minimised.

    Args:
        gates, before, c: (T, rows, 4C), c- (T, rows, C), c (T, rows, C) of all frames.
        peepholes: (3, C); mask: (T, rows, 3) or (T, rows, 3C).
        repair: (5, C) scale of self-repair of i, f, o, g and c; None for none.
        inside: (T, rows) which rows want it; the others have ended.
    """

    def __init__(
        self, gates: Tensor, before: Tensor, c: Tensor, peepholes: Tensor,
        mask: Tensor | None = None, repair: Tensor | None = None, inside: Tensor | None = None,
    ) -> None:  # fmt: skip
        self.before, self.c = before, c
        w_ic, w_fc, w_oc = peepholes
        i, f, g, o = squashed(gates, before, c, peepholes)
        s_i, s_f, s_o = (1.0, 1.0, 1.0) if mask is None else mask.chunk(3, -1)
        tanh_c = c.tanh()
        self.o_by_m = tanh_c * s_o * o * (1.0 - o)
        self.c_by_m = torch.addcmul(o * s_o * (1.0 - tanh_c * tanh_c), self.o_by_m, w_oc)
        i_by_c, f_by_c = g * s_i * i * (1.0 - i), before * s_f * f * (1.0 - f)
        self.ifg_by_c = torch.stack([i_by_c, f_by_c, i * s_i * (1.0 - g * g)], 2)
        self.before_by_c = (f * s_f).addcmul_(i_by_c, w_ic).addcmul_(f_by_c, w_fc)
        self.repair = None
        if repair is not None:
            r_i, r_f, r_o, r_g, r_c = _pulls(repair, inside, i, f, o, g, tanh_c)
            self.repair = (
                torch.stack([r_i, r_f, r_g, r_o], 2),
                torch.addcmul(r_c, r_o, w_oc),
                torch.addcmul(r_i * w_ic, r_f, w_fc),
            )

    def step(self, t: int, d_c: Tensor, d_m: Tensor, d_gates: Tensor) -> Tensor:
        """Writes those of frame t's gates to d_gates (rows, 4C); returns that of c- (rows, C).

        d_c, d_m (rows, C): those of frame t's c and m.
        """
        split = d_gates.unflatten(1, (4, -1))
        d_c = torch.addcmul(d_c, self.c_by_m[t], d_m)
        torch.mul(self.o_by_m[t], d_m, out=split[:, 3])
        if self.repair is None:
            torch.mul(self.ifg_by_c[t], d_c[:, None], out=split[:, :3])
            return d_c * self.before_by_c[t]
        of_gates, of_c, of_before = self.repair
        d_c += of_c[t]
        torch.mul(self.ifg_by_c[t], d_c[:, None], out=split[:, :3])
        split += of_gates[t]
        return torch.addcmul(of_before[t], d_c, self.before_by_c[t])

    def peepholes(self, d_gates: Tensor) -> Tensor:
        """(3, C): those of the peepholes, once all steps have written d_gates (T, rows, 4C)."""
        d_i, d_f, _, d_o = d_gates.chunk(4, -1)
        products = (d_i * self.before, d_f * self.before, d_o * self.c)
        return torch.stack([p.sum((0, 1)) for p in products])


def squashed(
    gates: Tensor, before: Tensor, c: Tensor, peepholes: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """i, f, tanh(g') and o of (2), where c is known; without masks. Any dimensions in front."""
    i, f, g, o = gates.chunk(4, -1)
    i = torch.addcmul(i, before, peepholes[0]).sigmoid_()
    f = torch.addcmul(f, before, peepholes[1]).sigmoid_()
    o = torch.addcmul(o, c, peepholes[2]).sigmoid_()
    return i, f, g.tanh(), o


def _pulls(
    repair: Tensor, inside: Tensor | None, i: Tensor, f: Tensor, o: Tensor, g: Tensor, c: Tensor
) -> tuple[Any, ...]:
    """What self-repair adds to the derivatives of i', f', o', g' and c; g and c are tanhs."""
    scales = repair[:, None, None] if inside is None else repair[:, None, None] * inside[..., None]
    sigmoids = [scales[k] * (2.0 * s - 1.0) for k, s in enumerate((i, f, o))]
    return *sigmoids, scales[3] * g, scales[4] * c
