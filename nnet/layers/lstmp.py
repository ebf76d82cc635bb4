"""Kaldi's fast LSTM with projection and peepholes, one GEMM for all frames wherever there can be.

(2) below is in lstm_cell.py, the loop backward through time in lstm_recurrence.py.

**What it computes**, for frame t, with r and c of frame t + delay (delay < 0: the past), both
multiplied by `decay` = 1 - |delay| / decay_time, and zero before the first frame:

    i', f', g', o' = W_all [x; r-] + b                              one matrix, four gates       (1)
    i = sigma(i' + w_ic c-)    f = sigma(f' + w_fc c-)
    c = f s_f c- + i s_i tanh(g')                                   s: dropout masks, or 1       (2)
    o = sigma(o' + w_oc c)     m = o s_o tanh(c)
    r; p = W_rp m + b          the output; r, its first part, is what recurs                     (3)

**How.** The frames' own part of (1), W_x x + b, is one GEMM over all frames; W_r r- is one for each
step. Forward runs the steps without autograd. Autograd then sees the computation as if all r- and m
had been known beforehand: two ordinary affine layers over all frames, whose values are known
already, and one function that closes the loop:

    W_all on rows [x; r-]  --gates-->  \\
                                        Recurrence   -->  r; p
    W_rp on rows m         --r, p-->   /

Backward, `Recurrence` gets the derivatives of the output, runs through time, and hands to each of
the two layers the *whole* derivative of its output, recurrent part included. r- and m are constants
there, so each layer then makes its weight's gradient with one GEMM over all frames (not one per
step), and natural gradient, which watches affine layers, sees each row once, as Kaldi does after it
has merged the steps. Gates before the squashing and c are kept; all else is computed again.

**Truncation.** The derivative that goes back from frame t to its recurrence, [dc; dr], is
multiplied by `decay`, then each row that is longer than `clip` is cut to that length, and one
longer than `zero_above` is dropped where the step crosses a multiple of 20 frames (counted from the
sequence's number, so that not all sequences are cut at the same frame).

**Without projection** (`FastLSTM`) r is m, there is no p, and (3) falls away.

**Self-repair** (lstm_cell.py): units whose average derivative, over the frames of training so far
in this iteration, is below REPAIR_BELOW are pulled to the middle, and counted.

Source: Kaldi libs/nnet3/xconfig/lstm.py (fast-lstm-layer, fast-lstmp-layer), cu-math.cc,
nnet-general-component.cc (BackpropTruncationComponent); kaldi-facts 6.1.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chainstitch.nnet.layers.affine import Affine
from chainstitch.nnet.layers.lstm_cell import lstm_cell, squashed
from chainstitch.nnet.layers.lstm_recurrence import Recurrence
from chainstitch.nnet.parallel.all_reduce import sum_together

# average derivatives of i, f, o (of at most 0.25), tanh(g) and tanh(c) (1) that want repair
REPAIR_BELOW = (0.05, 0.05, 0.05, 0.2, 0.2)
LARGEST = (0.25, 0.25, 0.25, 1.0, 1.0)


class Peepholes(nn.Module):
    """w_ic, w_fc, w_oc as the rows of `weight` (3, cell), drawn from N(0, 1); or `rows` of them."""

    def __init__(self, cell: int, max_change: float = 0.75, rows: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(rows, cell))
        self.max_change = max_change
        self.learning_rate_factor = 1.0
        self.l2_regularize = 0.0


class FastLSTMP(nn.Module):
    """The layer; one direction of it.

    Args:
        dim: of the input; cell: C; recurrent, nonrecurrent: dimensions of r and p (default C / 4).
        delay: frames from a frame to the one whose c and r it takes; > 0 looks ahead.
        step: frames from one row of the input to the next; `delay` is a multiple of it.
        decay_time: in frames; 0 for no decay.
        clip, zero_above: lengths of derivatives, see the module's text.
        self_repair: scale of it; 0 for none.

    Attributes:
        repaired: (2,) units that were repaired and units, summed over minibatches of training.
        minibatch_group: process group over which a minibatch's sequences are spread, or None.

    Raises:
        ValueError: delay is 0 or no multiple of step, or decay_time not above |delay|.

    >>> layer = FastLSTMP(40, cell=16, delay=-3, step=3)
    >>> layer(torch.randn(50, 2, 40)).shape
    torch.Size([50, 2, 8])
    """

    def __init__(
        self,
        dim: int,
        cell: int,
        recurrent: int | None = None,
        nonrecurrent: int | None = None,
        delay: int = -1,
        step: int = 1,
        decay_time: float = 0.0,
        clip: float = 30.0,
        zero_above: float = 15.0,
        self_repair: float = 1e-5,
    ) -> None:
        super().__init__()
        if delay == 0 or step < 1 or delay % step:
            raise ValueError(f"delay wants a multiple of step = {step} other than 0, found {delay}")
        if decay_time and decay_time <= abs(delay):
            raise ValueError(f"decay_time wants more than |delay| = {abs(delay)}, got {decay_time}")
        self.dim, self.cell = dim, cell
        self.recurrent = cell // 4 if recurrent is None else recurrent
        self.nonrecurrent = cell // 4 if nonrecurrent is None else nonrecurrent
        self.delay, self.step = delay, step
        self.decay = 1.0 - abs(delay) / decay_time if decay_time else 1.0
        self.clip, self.zero_above = clip, zero_above
        self.self_repair = self_repair
        self.minibatch_group: Any = None
        self._add_parameters()
        # of i, f, o (sigmoid), g and c (tanh), summed over frames: see train/saturation.py
        self.derivative_sums: Tensor
        self.derivative_count: Tensor
        self.register_buffer("derivative_sums", torch.zeros(5, cell))
        self.register_buffer("derivative_count", torch.zeros(()))
        self.repaired: Tensor
        self.register_buffer("repaired", torch.zeros(2), persistent=False)

    def _add_parameters(self) -> None:
        out = self.recurrent + self.nonrecurrent
        # Any: slow_lstmp.py has others that look like them
        self.w_all: Any = Affine(self.dim + self.recurrent, 4 * self.cell, max_change=1.5)
        self.w_rp: Any = Affine(self.cell, out, max_change=1.5)
        self.peepholes: Any = Peepholes(self.cell)

    def forward(
        self, x: Tensor, masks: Tensor | None = None, lengths: Tensor | None = None,
        derivs: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Outputs r; p of whole sequences.

        Args:
            x: (frames, batch, dim).
            masks: (frames, batch, 3) what i, f and o are multiplied by (per-frame dropout), or
                (frames, batch, 3 cell).
            lengths: (batch,) frames of each sequence, if they differ; what stands past them
                touches nothing, natural gradient's statistics included.
            derivs: (frames, batch) bool, the frames that have derivatives, see deriv_range.py.

        Returns:
            (frames, batch, recurrent + nonrecurrent), undefined past a length.
        """
        if torch.is_autocast_enabled(x.device.type):  # what recurs adds up over hundreds of steps
            with torch.autocast(x.device.type, enabled=False):
                return self.forward(x.float(), masks, lengths, derivs)
        if x.dim() != 3 or x.shape[2] != self.dim:
            raise ValueError(f"LSTMP: x must be (frames, batch, {self.dim}), got {tuple(x.shape)}")
        frames, batch = x.shape[:2]
        shapes = [(frames, batch, n) for n in (3, 3 * self.cell)]
        if masks is not None and tuple(masks.shape) not in shapes:
            raise ValueError(f"LSTMP: masks must be {(frames, batch, 3)}, got {tuple(masks.shape)}")
        ends = torch.full((batch,), frames) if lengths is None else lengths
        ends = ends.to(x.device)
        # frames t, t + k, t + 2k ... are a chain of their own: k chains side by side, as a wider
        # batch; looking ahead is looking back with time reversed
        chains = abs(self.delay) // self.step
        x = self._to_chains(x, ends, chains)
        masks = None if masks is None else self._to_chains(masks, ends, chains)
        gates, c, m, rp = self._run(x, masks)
        frame = torch.arange(len(x) * chains, device=x.device)[:, None]
        inside = (frame < ends).view(len(x), -1)
        if self.training:
            self._count_derivatives(gates, c, inside)
        if derivs is not None:  # from here on it says which rows autograd sees
            inside = (
                inside & self._to_chains(derivs[:, :, None].to(x), ends, chains)[:, :, 0].bool()
            )
        before = torch.zeros_like(rp[:, :, : self.recurrent])
        before[1:] = self.decay * rp[:-1, :, : self.recurrent]
        rows = torch.cat([x, before], 2)
        gates = gates.index_put((inside,), self.w_all(rows[inside], gates[inside]))
        if self.w_rp is not None:
            rp = rp.index_put((inside,), self.w_rp(m[inside], rp[inside]))
        times = (self.step * frame + torch.arange(batch, device=x.device)).view_as(inside)
        rp = Recurrence.apply(  # type: ignore[no-untyped-call]
            gates, rp, self.peepholes.weight, c, self.w_all.weight[:, self.dim :],
            None if self.w_rp is None else self.w_rp.weight, masks, times, inside,
            derivs is not None, self,
        )  # fmt: skip
        return self._from_chains(rp, ends, frames)

    @torch.no_grad()
    def _run(self, x: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gates before squashing (T, N, 4C), c and m (T, N, C), r and p (T, N, R + P)."""
        w_x, w_r = self.w_all.weight.split([self.dim, self.recurrent], 1)
        gates = F.linear(x, w_x, self.w_all.bias)
        frames, batch = x.shape[:2]
        c, m = gates.new_empty(2, frames, batch, self.cell)
        rp = gates.new_empty(frames, batch, self.recurrent + self.nonrecurrent)
        previous, peepholes = gates.new_zeros(batch, self.cell), self.peepholes.weight
        for t in range(frames):
            if t:
                previous = self.decay * c[t - 1]
                gates[t].addmm_(rp[t - 1, :, : self.recurrent], w_r.t(), alpha=self.decay)
            mask = None if masks is None else masks[t]
            c[t], m[t] = lstm_cell(gates[t], previous, peepholes, mask)
            if self.w_rp is None:
                rp[t] = m[t]
            else:
                torch.addmm(self.w_rp.bias, m[t], self.w_rp.weight.t(), out=rp[t])
        return gates, c, m, rp

    @torch.no_grad()
    def _count_derivatives(self, gates: Tensor, c: Tensor, inside: Tensor) -> None:
        """Adds those of every fourth step, which is enough for an average."""
        before = torch.zeros_like(c[::4])
        torch.mul(c[3:-1:4], self.decay, out=before[1:])
        tanh_c = c[::4].tanh()
        i, f, g, o = squashed(gates[::4], before, c[::4], self.peepholes.weight)
        counted = inside[::4].flatten().to(c.dtype)
        sums = [counted @ (s - s * s).flatten(0, 1) for s in (i, f, o)]
        sums += [counted @ (1.0 - s * s).flatten(0, 1) for s in (g, tanh_c)]
        total, count = torch.stack(sums), counted.sum()
        if self.minibatch_group is not None:
            total, count = sum_together([total, count], self.minibatch_group)
        self.derivative_sums += total
        self.derivative_count += count

    def average_derivatives(self) -> Tensor:
        """(5, cell): of i, f, o, g and c, over the largest that each can be; 1 before any frame."""
        if not self.derivative_count:
            return torch.ones_like(self.derivative_sums)
        largest = self.derivative_sums.new_tensor(LARGEST)[:, None]
        return self.derivative_sums / (self.derivative_count * largest)

    def forget_derivatives(self) -> None:
        """Starts the averages afresh."""
        self.derivative_sums.zero_()
        self.derivative_count.zero_()

    @torch.no_grad()
    def repair(self) -> Tensor | None:
        """(5, cell) scale of self-repair for i, f, o, g and c; None where no unit wants any.

        Counts in `repaired`.
        """
        if not (self.training and self.self_repair):
            return None
        limits = self.derivative_sums.new_tensor(REPAIR_BELOW) / self.derivative_sums.new_tensor(
            LARGEST
        )
        low = self.average_derivatives() < limits[:, None]
        self.repaired += torch.stack([low.sum(), low.new_full((), low.numel(), dtype=torch.long)])
        return self.self_repair * low.to(self.derivative_sums) if low.any() else None

    def _to_chains(self, x: Tensor, ends: Tensor, chains: int) -> Tensor:
        if self.delay > 0:
            x = _reversed(x, ends)
        frames, batch, dim = x.shape
        x = F.pad(x, (0, 0, 0, 0, 0, -frames % chains))
        return x.reshape(-1, chains * batch, dim)

    def _from_chains(self, y: Tensor, ends: Tensor, frames: int) -> Tensor:
        y = y.reshape(-1, len(ends), y.shape[2])[:frames]
        return _reversed(y, ends) if self.delay > 0 else y


def _reversed(x: Tensor, ends: Tensor) -> Tensor:
    """x (frames, batch, dim) with each sequence backwards; what stands past its end stays there."""
    frame = torch.arange(len(x), device=x.device)[:, None]
    source = torch.where(frame < ends, ends - 1 - frame, frame)
    return x.gather(0, source[:, :, None].expand_as(x))


class FastLSTM(FastLSTMP):
    """The same without projection: the output is m, of dimension cell, all of which recurs.

    >>> FastLSTM(40, cell=16, delay=-3, step=3)(torch.randn(50, 2, 40)).shape
    torch.Size([50, 2, 16])
    """

    def __init__(self, dim: int, cell: int, **options: Any) -> None:
        super().__init__(dim, cell, cell, 0, **options)

    def _add_parameters(self) -> None:
        self.w_all = Affine(self.dim + self.cell, 4 * self.cell, max_change=1.5)
        self.w_rp = None
        self.peepholes = Peepholes(self.cell)
