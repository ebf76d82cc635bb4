"""Forward-backward on the GPU: one Triton program carries one sequence through all of its frames.

A program walks all frames forward and then backward, so that nothing waits for the host and the
programs need not meet. Within a frame it goes over the graph in tiles of BLOCK rows, and between
the passes below its threads meet at a barrier. Equation numbers: forward_backward.py.

**The leak without a pass of its own.** With a = alpha / A, (4) says alpha' = a + lambda pi, so (6)
is

    G(g) = 1 / A sum over arcs of alpha(i) p + lambda C(g),    C(g) = sum over arcs of pi(i) p  (6')

where C is known beforehand; and (5) in (8) is H = x (beta' + lambda L) / A with the one number
L = sum_i pi_i beta'(i). A frame then has two passes forward (groups, states) and two backward
(groups; states and pdfs).

**Sums of unequal length.** Which arcs enter a group, which groups a state or a pdf has, which arcs
leave a state: each is a list of items for every row. `_Tiles` sorts rows by length, cuts them into
tiles, and stores a tile's items column by column, padded to its longest row; so threads read side
by side, and a short row waits only for rows about as long.

Per frame and sequence: the arcs are read once each way (8 bytes, from the L2 cache, all programs
the same), alpha and H are gathered (4 bytes an arc), G is written and read once (4 bytes a group,
from memory). x is computed again from y where it is wanted. float32 throughout, log Z in float64.

Under TRITON_INTERPRET=1 it runs on the CPU, for tests.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from chainstitch.nnet.chain.cpu import LEAST_MASS, TOLERANCE
from chainstitch.nnet.chain.denominator import DenominatorGraph

BLOCK = 512
WARPS = 8


@dataclass
class _Tiles:
    """Rows with their items: `order` (tiles * BLOCK,) row numbers, -1 for padding; of each tile how
    many columns of items and where they begin; `item` and `weight`, column by column, weight 0 for
    padding."""

    order: Tensor
    columns: Tensor
    begin: Tensor
    item: Tensor
    weight: Tensor

    @classmethod
    def build(
        cls, rows: np.ndarray, items: np.ndarray, weights: np.ndarray, size: int, device: str
    ) -> _Tiles:
        """Item n belongs to row rows[n] of 0..size-1."""
        by_row = np.argsort(rows, kind="stable")
        count = np.bincount(rows, minlength=size)
        first = np.cumsum(count) - count
        order = np.argsort(-count, kind="stable")
        order = np.append(order, np.full(-size % BLOCK, -1))
        tiles = order.reshape(-1, BLOCK)
        item, weight, columns = [], [], []
        for tile in tiles:
            length = np.where(tile >= 0, count[tile], 0)
            columns.append(max(1, int(length.max())))
            k = np.arange(columns[-1])[:, None]
            there = k < length
            at = by_row[np.where(there, first[tile] + k, 0)]
            item.append(np.where(there, items[at], 0).ravel())
            weight.append(np.where(there, weights[at], 0.0).ravel())
        begin = BLOCK * (np.cumsum(columns) - columns)

        def tensor(x: np.ndarray, kind: type) -> Tensor:
            return torch.from_numpy(np.asarray(x).astype(kind)).to(device)

        return cls(
            tensor(order, np.int32), tensor(np.array(columns), np.int32),
            tensor(begin, np.int32), tensor(np.concatenate(item), np.int32),
            tensor(np.concatenate(weight), np.float32),
        )  # fmt: skip

    def arguments(self) -> tuple[Tensor | int, ...]:
        return (len(self.columns), self.order, self.columns, self.begin, self.item, self.weight)


@dataclass
class _Graph:
    """A denominator as the kernel reads it."""

    entering: _Tiles  # groups: source states and probabilities
    of_state: _Tiles  # states: groups
    leaving: _Tiles  # states: groups and probabilities
    of_pdf: _Tiles  # pdfs: groups
    leak: Tensor  # C of (6')
    group_pdf: Tensor
    group_dst: Tensor
    initial: Tensor


_graphs: weakref.WeakKeyDictionary[DenominatorGraph, dict[str, _Graph]] = (
    weakref.WeakKeyDictionary()
)


def denominator(
    graph: DenominatorGraph, log_likes: Tensor, lengths: Tensor, leaky: float
) -> tuple[Tensor, Tensor]:
    """log Z (batch,) float64 and posteriors (batch, frames, pdfs) float32 on the input's device.

    log Z is -inf where float32 was not enough, as from `cpu.denominator`.
    """
    device = log_likes.device
    g = _prepare(graph, str(device))
    batch, frames, pdfs = log_likes.shape
    states, groups = graph.num_states, len(g.group_pdf)
    log_z = torch.zeros(batch, dtype=torch.float64, device=device)
    posteriors = torch.zeros(batch, frames, pdfs, device=device)
    stored = torch.empty(batch, frames, groups, device=device)
    alpha = g.initial.repeat(batch, 1)
    onward = torch.empty(batch, groups, device=device)
    norms, tops = torch.empty(2, batch, frames, device=device)
    _kernel[(batch,)](
        log_likes.float().contiguous(), lengths.to(device, torch.int32), log_z, posteriors,
        stored, alpha, onward, norms, tops, g.leak, g.group_pdf, g.group_dst, g.initial,
        frames, states, groups, pdfs, leaky,
        *g.entering.arguments(), *g.of_state.arguments(), *g.leaving.arguments(),
        *g.of_pdf.arguments(),
        LEAST_MASS=LEAST_MASS, TOLERANCE=TOLERANCE, BLOCK=BLOCK, num_warps=WARPS,
    )  # fmt: skip
    return log_z, posteriors


def _prepare(graph: DenominatorGraph, device: str) -> _Graph:
    places = _graphs.setdefault(graph, {})
    if device not in places:
        a = graph.groups
        groups = len(a["group_pdf"])
        group = np.repeat(np.arange(groups), np.diff(a["arc_start"]))
        number, one = np.arange(groups), np.ones(groups)
        prob = graph.prob.numpy()
        initial = graph.initial.numpy()
        leak = np.bincount(group, initial[a["src"]] * prob, groups)
        states, pdfs = graph.num_states, graph.num_pdfs
        places[device] = _Graph(
            entering=_Tiles.build(group, a["src"], prob, groups, device),
            of_state=_Tiles.build(a["group_dst"], number, one, states, device),
            leaving=_Tiles.build(a["src"], group, prob, states, device),
            of_pdf=_Tiles.build(a["group_pdf"], number, one, pdfs, device),
            leak=torch.from_numpy(leak.astype(np.float32)).to(device),
            group_pdf=torch.from_numpy(a["group_pdf"]).to(device),
            group_dst=torch.from_numpy(a["group_dst"]).to(device),
            initial=torch.from_numpy(initial.astype(np.float32)).to(device),
        )
    return places[device]


@triton.jit  # type: ignore[untyped-decorator]
def _sums(values, tile, columns, begin, item, weight, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Of each row of a tile, the sum over its items of values[item] times weight."""
    items = tl.load(begin + tile) + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for k in range(tl.load(columns + tile)):
        value = tl.load(values + tl.load(item + items + k * BLOCK))
        total += value * tl.load(weight + items + k * BLOCK)
    return total


@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    y, lengths, log_z, gamma, stored, alpha, onward, norms, tops, leak, group_pdf, group_dst,
    initial, frames, states, groups, pdfs, leaky,
    in_tiles, in_order, in_columns, in_begin, in_item, in_weight,
    of_tiles, of_order, of_columns, of_begin, of_item, of_weight,
    out_tiles, out_order, out_columns, out_begin, out_item, out_weight,
    pdf_tiles, pdf_order, pdf_columns, pdf_begin, pdf_item, pdf_weight,
    LEAST_MASS: tl.constexpr, TOLERANCE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    b = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, BLOCK)
    length = tl.load(lengths + b)
    y += b * frames * pdfs
    gamma += b * frames * pdfs
    stored += b * frames * groups
    alpha += b * states
    onward += b * groups
    norms += b * frames
    tops += b * frames

    total = tl.full((), 1.0, tl.float32)
    value = tl.full((), 0.0, tl.float64)
    good = tl.full((), 1, tl.int32)
    for t in range(length):
        top = tl.full((), float("-inf"), tl.float32)
        for k in range(0, pdfs, BLOCK):
            at = k + lane
            top = tl.maximum(
                top, tl.max(tl.load(y + t * pdfs + at, mask=at < pdfs, other=float("-inf")), 0)
            )
        inverse = 1.0 / total
        for tile in range(in_tiles):
            g = tl.load(in_order + tile * BLOCK + lane)
            into = _sums(alpha, tile, in_columns, in_begin, in_item, in_weight, BLOCK)
            there = g >= 0
            into = into * inverse + leaky * tl.load(leak + g, mask=there, other=0.0)  # (6')
            tl.store(stored + t * groups + g, into, mask=there)
        tl.debug_barrier()
        total = tl.full((), 0.0, tl.float32)
        for tile in range(of_tiles):
            j = tl.load(of_order + tile * BLOCK + lane)
            items = tl.load(of_begin + tile) + lane
            mass = tl.zeros((BLOCK,), tl.float32)
            for k in range(tl.load(of_columns + tile)):
                g = tl.load(of_item + items + k * BLOCK)
                weight = tl.load(of_weight + items + k * BLOCK)
                x = tl.exp(tl.load(y + t * pdfs + tl.load(group_pdf + g)) - top)
                mass += tl.load(stored + t * groups + g) * x * weight  # (7)
            tl.store(alpha + j, mass, mask=j >= 0)
            total += tl.sum(mass, 0)
        good = tl.where(total > LEAST_MASS, good, 0)
        value += tl.log(total).to(tl.float64) + top.to(tl.float64)
        tl.store(norms + t, total)
        tl.store(tops + t, top)
        tl.debug_barrier()
    value += tl.log(1.0 + leaky).to(tl.float64)

    # beta'_T = 1 / (1 + leaky) for all states makes gamma sum to one; beta' lives where alpha was
    for k in range(0, states, BLOCK):
        tl.store(alpha + k + lane, 1.0 / (1.0 + leaky) + lane * 0.0, mask=k + lane < states)
    sum_back = 1.0 / (1.0 + leaky)  # L
    tl.debug_barrier()
    for step in range(length):
        t = length - 1 - step
        inverse = 1.0 / tl.load(norms + t)
        top = tl.load(tops + t)
        for k in range(0, groups, BLOCK):
            g = k + lane
            there = g < groups
            x = tl.exp(tl.load(y + t * pdfs + tl.load(group_pdf + g, mask=there, other=0)) - top)
            ahead = tl.load(alpha + tl.load(group_dst + g, mask=there, other=0))
            tl.store(onward + g, x * (ahead + leaky * sum_back) * inverse, mask=there)  # (8)
        tl.debug_barrier()
        sum_back = tl.full((), 0.0, tl.float32)
        for tile in range(out_tiles):
            i = tl.load(out_order + tile * BLOCK + lane)
            back = _sums(onward, tile, out_columns, out_begin, out_item, out_weight, BLOCK)  # (9)
            tl.store(alpha + i, back, mask=i >= 0)
            sum_back += tl.sum(back * tl.load(initial + i, mask=i >= 0, other=0.0), 0)
        seen = tl.full((), 0.0, tl.float32)
        for tile in range(pdf_tiles):
            n = tl.load(pdf_order + tile * BLOCK + lane)
            items = tl.load(pdf_begin + tile) + lane
            part = tl.zeros((BLOCK,), tl.float32)
            for k in range(tl.load(pdf_columns + tile)):
                g = tl.load(pdf_item + items + k * BLOCK)
                weight = tl.load(pdf_weight + items + k * BLOCK)
                part += tl.load(stored + t * groups + g) * tl.load(onward + g) * weight  # (10)
            tl.store(gamma + t * pdfs + n, part, mask=n >= 0)
            seen += tl.sum(part, 0)
        good = tl.where(tl.abs(seen - 1.0) < TOLERANCE, good, 0)
        tl.debug_barrier()
    tl.store(log_z + b, tl.where(good > 0, value, float("-inf")))
