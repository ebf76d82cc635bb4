"""Forward-backward through k2, where it is installed: a second opinion on cpu.py, without the leak.

(1) to (3) of forward_backward.py by dense intersection: the graph, with a state in front, an arc
from there to each state that a path may begin in and one from every state to the end, is unrolled
over the frames into one acyclic graph a sequence, and k2 sums that one in float64. Nothing is
pruned. The arc into the first state takes a frame: k2 knows no arcs that take none, so each
sequence gets a frame in front in which only a column of its own is possible.

It is slow and large: some 90 bytes an arc and frame, where cpu.py stores 4 a group and frame.
k2 (1.23.4; intersect_dense.cu) answers a graph that is larger than `max_states` or `max_arcs` by
lowering the beam with no more than a line on stderr, until the rest fits, if ever; it numbers
states, labels, frames and sequences in 16 bits, unchecked; and sizes in 32. So the size of what
will be asked for is counted beforehand, and batches that are too large go through in pieces.

k2 adds log-probability and log-likelihood of an arc in float32. The best log-likelihood of each
frame, among the pdfs that the graph has, is taken out before and added to log Z in float64 again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from chainstitch.nnet.chain.denominator import DenominatorGraph
from chainstitch.utils.optional import UnusableError, load_k2

MAX_STATES = 15_000_000  # of what one call of k2 makes: k2's own default
MAX_ARCS = 25_000_000  # 2.3 GB; what k2 allows by default, 2^30, would be 97
NUMBERS = 2**16 - 1  # largest state, label, frame or sequence
BEAM = 1e30  # infinity never ends where a limit is hit


def denominator(
    graph: DenominatorGraph,
    log_likes: Tensor,
    lengths: Tensor,
    leaky: float = 0.0,
    max_states: int = MAX_STATES,
    max_arcs: int = MAX_ARCS,
) -> tuple[Tensor, Tensor]:
    """log Z (batch,) float64 and posteriors like log_likes, zero past each length.

    log Z is -inf where there is no path, NaN where log_likes has a NaN or +inf at a pdf of the
    graph.

    Args:
        max_states, max_arcs: of the unrolled graphs that k2 makes at a time.

    Raises:
        UnusableError: a ValueError; k2 does not import, or one sequence is over a limit.
        ValueError: leaky is not 0.
    """
    if leaky:
        raise ValueError(
            f"forward_backward: backend 'k2' has no leaky HMM, got leaky={leaky}; use leaky=0, or "
            "another back end"
        )
    k2 = load_k2()
    device = log_likes.device if k2.with_cuda else torch.device("cpu")
    used = graph.pdf.unique()
    decoding_graph = _fsa(k2, graph, used).to(device)
    y = log_likes.to(device)[..., used.to(device)].double()  # (batch, frames, used)
    frames = torch.arange(y.shape[1], device=device)
    inside = frames < lengths.to(device)[:, None]
    y = torch.where(inside[..., None], y, 0.0)  # padding may hold anything
    broken = (y.isnan() | (y == torch.inf)).flatten(1).any(1)
    best = y.amax(2, keepdim=True)
    best = torch.where(best.isfinite(), best, 0.0)
    x = torch.where(broken[:, None, None], 0.0, y - best).float()
    log_z = best.flatten(1).sum(1)
    posteriors = torch.zeros_like(x)
    with torch.no_grad():
        for rows in _pieces(graph, len(used), lengths.cpu(), max_states, max_arcs):
            found, gamma = _piece(
                k2, decoding_graph, x[rows], lengths.cpu()[rows], max_states, max_arcs
            )
            log_z[rows] += found
            posteriors[rows, : gamma.shape[1]] = gamma.float()
    log_z[broken] = torch.nan
    result = torch.zeros_like(log_likes)
    result[..., used.to(log_likes.device)] = posteriors.to(result)
    return log_z.to(log_likes.device), result


def _fsa(k2: Any, graph: DenominatorGraph, used: Tensor) -> Any:
    """State 0 in front, the graph's from 1, the end behind; label n is used[n], then the first."""
    entered = graph.initial.nonzero().flatten()
    states = torch.arange(1, graph.num_states + 1)
    zeros = torch.zeros_like(states)
    src = torch.cat([torch.zeros_like(entered), graph.src + 1, states])
    dst = torch.cat([entered + 1, graph.dst + 1, zeros + graph.num_states + 1])
    label = torch.cat(
        [torch.full_like(entered, len(used)), torch.searchsorted(used, graph.pdf), zeros - 1]
    )
    prob = torch.cat([graph.initial[entered], graph.prob, torch.ones(len(states)).double()])
    scores = prob.log().float().view(torch.int32)  # k2 wants their bits
    arcs = torch.stack([src, dst, label, scores], 1)[src.argsort()].int()
    return k2.arc_sort(k2.create_fsa_vec([k2.Fsa(arcs)]))


def _pieces(
    graph: DenominatorGraph, columns: int, lengths: Tensor, max_states: int, max_arcs: int
) -> list[Tensor]:
    """Numbers of sequences, longest first, in pieces that k2 can hold."""
    largest = max(graph.num_states + 2, columns + 2, *(lengths + 2).tolist())
    if largest > NUMBERS:
        raise UnusableError(
            f"forward_backward: backend 'k2' counts states, pdfs and frames to {NUMBERS}, this "
            f"graph has {graph.num_states} states and {columns} pdfs; use backend='cpu'"
        )
    order = lengths.argsort(descending=True)
    pieces: list[Tensor] = []
    while len(order):
        longest = int(lengths[order[0]])
        states = (longest + 3) * (graph.num_states + 2)
        arcs = graph.num_states + (longest + 1) * (len(graph.src) + graph.num_states)
        if states > max_states or arcs > max_arcs:
            raise UnusableError(
                f"forward_backward: backend 'k2' would make {states} states and {arcs} arcs of a "
                f"sequence of {longest} frames, which is over max_states {max_states} or max_arcs "
                f"{max_arcs}; use shorter sequences or backend='cpu', or raise MAX_STATES and "
                "MAX_ARCS in nnet/chain/via_k2.py (an arc takes 90 bytes)"
            )
        scores = (longest + 2) * (columns + 2)
        count = min(max_states // states, max_arcs // arcs, (2**31 - 1) // scores, NUMBERS)
        pieces.append(order[:count])
        order = order[count:]
    return pieces


def _piece(
    k2: Any, decoding_graph: Any, x: Tensor, lengths: Tensor, max_states: int, max_arcs: int
) -> tuple[Tensor, Tensor]:
    """log Z and posteriors of sequences in order of falling length; x (batch, frames, used)."""
    batch, longest, columns = len(lengths), int(lengths[0]), x.shape[2]
    scores = x.new_full((batch, longest + 1, columns + 1), -torch.inf)
    scores[:, 0, columns] = 0.0
    scores[:, 1:, :columns] = x[:, :longest]
    segments = torch.stack([torch.arange(batch), torch.zeros(batch).long(), lengths + 1], 1)
    dense = k2.DenseFsaVec(scores, segments.int())
    copies = k2.index_fsa(decoding_graph, torch.zeros(batch, dtype=torch.int32, device=x.device))
    unrolled = k2.intersect_dense(
        copies, dense, BEAM, max_states=max_states, max_arcs=max_arcs, seqframe_idx_name="row"
    )
    log_z = unrolled.get_tot_scores(use_double_scores=True, log_semiring=True)
    mass = unrolled.get_arc_post(use_double_scores=True, log_semiring=True).exp()
    # k2's rows: per sequence the frame in front, its own frames, the end; labels from -1
    cell = unrolled.row * (columns + 2) + (unrolled.labels + 1)
    rows = mass.new_zeros((int(lengths.sum()) + 2 * batch) * (columns + 2))
    rows = rows.index_add_(0, cell, mass).view(-1, columns + 2)[:, 1:-1]
    gamma = mass.new_zeros(batch, longest, columns)
    first = 1
    for i, length in enumerate(lengths.tolist()):
        gamma[i, :length] = rows[first : first + length]
        first += length + 2
    return log_z, gamma
