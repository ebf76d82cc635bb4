r"""The ways to say a transcript that are nearly as good as the best one: a phone lattice.

Symbols, the alignment graph and (2) are of best_path.py. A transcript's phone graph has a path for
each choice of pronunciations and silences; what is wanted is every phone string whose best
alignment loses no more than a beam B against the best string's, once, with that alignment (Kaldi:
`align_fmllr_lats.sh`, lattices that are determinised over phones and not over words).

**Naive.** Best path (2) of the alignment graph of each string by itself, and those within B of the
best. There are as many strings as 2 to the number of words and more.

**What strings share.** Let a *node* (t, i) be the moment t at which the phone of state i is over,
delta(t, i) the score (2) of the best way there. Strings that end alike are searched from the end:
the phone of node (t, i), entered by arc a = (j --k--> i), began at

    b_a = argmax over b < t of delta(b, j) + w(a) + c y(b, k) + sum over b < u < t of c y(u, l) (5)

l being the loop of i, the latest b of equals; so the arc of the lattice from node (b_a, j) to node
(t, i) has the score s = (the maximum) - delta(b_a, j), and the search goes on at (b_a, j). As the
graph is deterministic over phones, each string has one path from the end backwards. With

    beta(t, i) = 0 at the end, else max over arcs from (t, i) of s + beta(where it leads)       (6)

an arc is kept if delta(b_a, j) + s + beta(t, i) >= delta(best) - B: exactly the best path through
it. (So each arc is on a path within B; paths that lose here and there are in the lattice, too.)
Nodes are taken by falling t, so that beta is known before it is asked for.

**What is approximate.** (5) takes the best way to j, whatever the string before j is. The states
tell apart the phone and the one before it, so a boundary between two phones depends on both, on
the phone before them and on all that follows, but not on what lies further back; there the time is
that of the best string. A string that wants other times has a lower score than its best, and is
lost if its phones find no room. The best path, and each string's being there once, are exact.
(Lattices of decoders have done so since the word-pair approximation of Ney and Aubert, 1994.)

States of one time that are followed by the same are one in the result (phone_lattice.py).

Work: (2), and for each node T additions for each arc into its state, of which there are few.
Memory: 8 T S bytes for delta of T output frames and S states. On one core of an AMD EPYC, with B =
10: 1 ms for an utterance of 75 output frames and 38 states, of which the best path has 0.1 ms; 2 s
and 410 MB for five minutes in one utterance, T = 10,480, S = 4,982.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainstitch.nnet.infer.best_path import AlignmentGraph, check_log_likes
from chainstitch.utils.compiled import njit
from chainstitch.utils.data.phone_lattice import Arc, PhoneLattice, minimised

TIE = 1e-9  # nats: what is nearer is equal
ROUNDING = 1e-6  # of the score of a path

Node = tuple[int, int]


def lattice_search(
    graph: AlignmentGraph, log_likes: np.ndarray, acoustic_scale: float, beam: float
) -> list[Arc]:
    """The arcs of the lattice, in output frames; none if no path fits.

    Args:
        graph: of a transcript.
        log_likes: (T, K) the network's outputs.
        acoustic_scale: c, above 0.
        beam: B, in nats.

    Raises:
        ValueError: an output that is not finite or of fewer pdfs than the graph has.
    """
    y = check_log_likes(log_likes, graph.arcs.num_pdfs)
    rows, frames = graph.arcs.rows, len(y)
    names = ("in_start", "in_state", "in_pdf", "in_log_prob")
    into = tuple(rows[name] for name in names)
    kernels: tuple[Any, Any] = (_forward, _begins)
    delta = kernels[0](*into, y, float(acoustic_scale))
    ends = np.flatnonzero(graph.arcs.final & np.isfinite(delta[frames]))
    if not len(ends):
        return []
    least = float(delta[frames, ends].max()) - beam - ROUNDING
    # node -> beta; those that still have to be searched, by their time
    beta: dict[Node, float] = {(frames, int(i)): 0.0 for i in ends if delta[frames, i] >= least}
    waiting: list[set[int]] = [set() for _ in range(frames + 1)]
    waiting[frames] = {i for _, i in beta}
    found: list[tuple[Node, Node]] = []
    for t in range(frames, 0, -1):
        for i in sorted(waiting[t]):
            first = int(into[0][i])
            begin, score = kernels[1](*into, y, float(acoustic_scale), delta, t, i)
            totals = score + beta[t, i]
            enough = min(least, totals.max())  # that of the best way to here is above but for TIE
            for a in np.flatnonzero(totals >= enough).tolist():
                total, b, j = float(totals[a]), int(begin[a]), int(into[1][first + a])
                found.append(((b, j), (t, i)))
                beta[b, j] = max(beta.get((b, j), -np.inf), total - delta[b, j])
                if b:
                    waiting[b].add(j)
    return _lattice(found, graph, frames)


def _lattice(found: list[tuple[Node, Node]], graph: AlignmentGraph, frames: int) -> list[Arc]:
    """Its arcs, in the form of phone_lattice.py."""
    # all ends are one: what was said last stands on the arc
    number: dict[Node, int] = {}
    times: list[int] = []
    arcs = []
    for (b, j), (t, i) in found:
        nodes = (b, j), ((t, i) if t < frames else (t, -1))
        for node in nodes:
            if node not in number:
                number[node] = len(times)
                times.append(node[0])
        arcs.append((number[nodes[0]], number[nodes[1]], int(graph.phones[i])))
    return minimised(arcs, times)


def input_lattice(
    arcs: Sequence[Arc], frames: int, subsampling: int = 3, shift: int = 0
) -> PhoneLattice:
    """A lattice in output frames to one in input frames, as `input_durations` does with a path.

    Args:
        frames: of the utterance's input.
        shift: input frames by which every boundary is moved, as far as each phone of each path
            keeps one frame.

    Raises:
        ValueError: no lattice, or of another number of frames.
    """
    lattice = PhoneLattice(arcs)
    if lattice.frames != -(-frames // subsampling):
        raise ValueError(
            f"lattice: {lattice.frames} output frames for {frames} input frames, one in "
            f"{subsampling}"
        )
    times, end = lattice.times, len(lattice.times) - 1
    before, after = [0] * (end + 1), [0] * (end + 1)  # the most phones that must find room there
    in_order = sorted(arcs)
    for source, target, _, _ in in_order:
        before[target] = max(before[target], before[source] + 1)
    for source, target, _, _ in reversed(in_order):
        after[source] = max(after[source], after[target] + 1)
    moved = [
        min(max(time * subsampling + shift, early), frames - late)
        for time, early, late in zip(times, before, after, strict=True)
    ]
    moved[0], moved[end] = 0, frames
    return PhoneLattice([(a, b, phone, moved[b] - moved[a]) for a, b, phone, _ in arcs])


@njit(nogil=True, boundscheck=False)
def _forward(in_start, in_state, in_pdf, in_log_prob, y, scale):  # type: ignore[no-untyped-def]
    """delta of (2), (T + 1, S)."""
    frames, states = y.shape[0], len(in_start) - 1
    delta = np.full((frames + 1, states), -np.inf)
    delta[0, 0] = 0.0
    for t in range(frames):
        for i in range(states):
            best = -np.inf
            for a in range(in_start[i], in_start[i + 1]):
                score = delta[t, in_state[a]] + in_log_prob[a] + scale * y[t, in_pdf[a]]
                if score > best:
                    best = score
            delta[t + 1, i] = best
    return delta


@njit(nogil=True, boundscheck=False)
def _begins(in_start, in_state, in_pdf, in_log_prob, y, scale, delta, t, i):  # type: ignore[no-untyped-def]
    """(5) of node (t, i), for each arc into i: the argument of the maximum, and the maximum."""
    first, last = in_start[i], in_start[i + 1]
    begin, best = np.zeros(last - first, np.int64), np.full(last - first, -np.inf)
    loop = -1
    for a in range(first, last):
        if in_state[a] == i:
            loop = in_pdf[a]
    rest = 0.0
    for b in range(t - 1, -1, -1):
        for a in range(first, last):
            if in_state[a] == i:
                continue
            score = delta[b, in_state[a]] + in_log_prob[a] + scale * y[b, in_pdf[a]] + rest
            if score > best[a - first] + TIE:
                best[a - first] = score
                begin[a - first] = b
        rest += scale * y[b, loop] if loop >= 0 else -np.inf
    return begin, best
