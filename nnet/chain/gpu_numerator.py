"""The numerators of a minibatch on the GPU: one Triton program a sequence, log domain, float64.

The graphs are small (tens to some hundreds of states), and those of one minibatch run side by side;
so a program walks its own graph's rows of arcs as numerator_layout.py has them, BLOCK states at a
time, and no arc is padded. Two passes over the arcs into a state make its log-sum, first the
maximum and then the sum. float64, as sums of thousands are compared: it is a thousandth of the
denominator's work. Posteriors are added up by atomics, so that their last digit may differ from run
to run.

Under TRITON_INTERPRET=1 it runs on the CPU, for tests.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from chainstitch.nnet.chain.numerator_layout import Layout

BLOCK = 64
WARPS = 2


def numerator(layout: Layout, log_likes: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """`numerator_forward_backward` on tensors of a GPU."""
    device = log_likes.device
    batch, frames, pdfs = log_likes.shape
    size = layout.states.diff()
    # alpha and beta of a graph: one row where its states have times, else one for each frame
    rows = torch.where(layout.timed > 0, 1, lengths.cpu() + 1)
    ends = (size * rows).cumsum(0)
    arrays = [t.to(device, non_blocking=True) for t in vars(layout).values()]
    total = int(ends[-1])
    alpha = torch.full((total,), -torch.inf, dtype=torch.float64, device=device)
    beta = torch.full_like(alpha, -torch.inf)
    log_z = torch.empty(batch, dtype=torch.float64, device=device)
    posteriors = torch.zeros_like(log_likes)
    _kernel[(batch,)](
        *arrays, (ends - size * rows).to(device), log_likes.contiguous(),
        lengths.to(device, torch.int32), alpha, beta, log_z, posteriors, frames, pdfs,
        BLOCK=BLOCK, num_warps=WARPS,
    )  # fmt: skip
    return log_z, posteriors


@triton.jit
def _score(arc, there, values, state, log_prob, pdf, y):  # type: ignore[no-untyped-def]
    """values[state] + log_prob + y[pdf] of some arcs; -inf where there is none."""
    value = tl.load(values + tl.load(state + arc, mask=there, other=0), mask=there, other=0.0)
    emission = tl.load(y + tl.load(pdf + arc, mask=there, other=0), mask=there, other=0.0)
    score = value + tl.load(log_prob + arc, mask=there, other=0.0) + emission.to(tl.float64)
    return tl.where(there, score, float("-inf"))


@triton.jit
def _log_sums(at, rows, start, values, state, log_prob, pdf, y):  # type: ignore[no-untyped-def]
    """Of each state in `at` (where `rows`), the log-sum over its arcs; -inf without any."""
    begin = tl.load(start + at, mask=rows, other=0)
    count = tl.load(start + at + 1, mask=rows, other=0) - begin
    most = tl.max(count, 0)
    top = tl.full(at.shape, float("-inf"), tl.float64)
    for k in range(most):
        top = tl.maximum(top, _score(begin + k, k < count, values, state, log_prob, pdf, y))
    safe = tl.where(top > float("-inf"), top, 0.0)
    mass = tl.zeros(at.shape, tl.float64)
    for k in range(most):
        mass += tl.exp(_score(begin + k, k < count, values, state, log_prob, pdf, y) - safe)
    return tl.where(mass > 0, safe + tl.log(tl.where(mass > 0, mass, 1.0)), float("-inf"))


@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    states_at, timed, first_at, first, final,
    in_start, in_state, in_pdf, in_log_prob, out_start, out_state, out_pdf, out_log_prob,
    rows_at, y, lengths, alpha, beta, log_z, gamma, frames, pdfs,
    BLOCK: tl.constexpr,
):  # fmt: skip
    b = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, BLOCK)
    base = tl.load(states_at + b)
    states = tl.load(states_at + b + 1) - base
    length = tl.load(lengths + b)
    has_time = tl.load(timed + b)
    stride = states * (1 - has_time)  # from one frame's alpha to the next
    first += tl.load(first_at + b)
    alpha += tl.load(rows_at + b)
    beta += tl.load(rows_at + b)
    y += b * frames * pdfs
    gamma += b * frames * pdfs
    in_start += base
    out_start += base

    tl.store(alpha, tl.full((), 0.0, tl.float64))
    tl.debug_barrier()
    for t in range(length):
        low = tl.load(first + (t + 1) * has_time)
        high = tl.load(first + (t + 1) * has_time + 1)
        for begin in range(low, high, BLOCK):
            j = begin + lane
            sums = _log_sums(
                j, j < high, in_start, alpha + t * stride, in_state, in_log_prob, in_pdf,
                y + t * pdfs,
            )  # fmt: skip
            tl.store(alpha + (t + 1) * stride + j, sums, mask=j < high)
        tl.debug_barrier()

    low = tl.load(first + length * has_time)
    high = tl.load(first + length * has_time + 1)
    top = tl.full((), float("-inf"), tl.float64)
    for begin in range(low, high, BLOCK):
        j = begin + lane
        ends = tl.load(final + base + j, mask=j < high, other=0) > 0
        value = tl.load(alpha + length * stride + j, mask=ends, other=float("-inf"))
        top = tl.maximum(top, tl.max(value, 0))
        tl.store(beta + length * stride + j, tl.zeros((BLOCK,), tl.float64), mask=ends)
    safe = tl.where(top > float("-inf"), top, 0.0)
    mass = tl.full((), 0.0, tl.float64)
    for begin in range(low, high, BLOCK):
        j = begin + lane
        ends = tl.load(final + base + j, mask=j < high, other=0) > 0
        value = tl.load(alpha + length * stride + j, mask=ends, other=float("-inf"))
        mass += tl.sum(tl.exp(value - safe), 0)
    total = tl.where(mass > 0, safe + tl.log(tl.where(mass > 0, mass, 1.0)), float("-inf"))
    tl.store(log_z + b, total)
    tl.debug_barrier()

    if mass > 0:
        for step in range(length):
            t = length - 1 - step
            low = tl.load(first + t * has_time)
            high = tl.load(first + t * has_time + 1)
            for begin in range(low, high, BLOCK):
                i = begin + lane
                reached = tl.load(alpha + t * stride + i, mask=i < high, other=float("-inf"))
                alive = reached > float("-inf")
                ahead = beta + (t + 1) * stride
                sums = _log_sums(
                    i, alive, out_start, ahead, out_state, out_log_prob, out_pdf, y + t * pdfs
                )
                tl.store(beta + t * stride + i, sums, mask=i < high)
                at = tl.load(out_start + i, mask=alive, other=0)
                count = tl.load(out_start + i + 1, mask=alive, other=0) - at
                for k in range(tl.max(count, 0)):
                    there = k < count
                    score = _score(
                        at + k, there, ahead, out_state, out_log_prob, out_pdf, y + t * pdfs
                    )
                    share = tl.exp(tl.where(there, reached + score - total, float("-inf")))
                    pdf = tl.load(out_pdf + at + k, mask=there, other=0)
                    tl.atomic_add(gamma + t * pdfs + pdf, share.to(tl.float32), mask=there)
            tl.debug_barrier()
