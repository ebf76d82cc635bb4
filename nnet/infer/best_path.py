r"""The best path of an utterance through its transcript: which phone was said in which frame.

Symbols: T output frames, K pdfs, y(t, k) the network's outputs (T x K, log-likelihoods up to a
constant of the frame), c the acoustic scale. The transcript's phone graph (phone_graph.py: every
pronunciation, silence where it may be) meets the chain topology (topology.py) in an *alignment
graph*. Its state i = (n, q, p, R) says: the frame before belongs to phone q, which was said after
phone p, leads to node n of the phone graph and will be followed by one of R (one set for each pair
of pdfs that q has by what follows; 0 is the end). State 0 is the start. Two kinds of arcs,

    (n, q, p, R) --loop(p, q, R)-->  (n, q, p, R)    the phone goes on
    (n, q, p, R) --entry(q, r, S)--> (m, r, q, S)    for every arc n --r--> m, r in R, of the
                                                     phone graph, and every set S of r there  (1)

whose weights w are those of the phone graph: 0 at loops.

**Naive.** Among all phone strings of the graph and all ways to give each phone of a string d >= 1
of the T frames, the one with the largest sum of c y(t, k_t), k_t the pdfs that (1) gives.

**Viterbi.** Let delta(t, i) be the largest such sum over paths of t frames that end in i. Then
delta(0, 0) = 0, all others -inf, and

    delta(t + 1, i) = max over arcs a = (j --k--> i) of  delta(t, j) + w(a) + c y(t, k)         (2)
    psi(t + 1, i)   = the first arc, in the order of the arcs into i, that attains it           (3)

The best final state at T, the first of equals, and psi from there backwards give the path. T S
additions for S states, T S bytes for psi; scores in float64. States are numbered breadth first,
and arcs into a state stand in the order of the states that they leave: equal paths are always
settled in the same way. Nothing is pruned.

The states keep the phones, so that a context tree may give one leaf to several phones.

**Weights.** w says how likely the lexicon finds this way to say the words, relative to the best one
(phone_graph.py); without probabilities of its own all are equal, and w = 0. The topology's 1/2 a
frame is the same for all paths. What is left out against training is the phone LM. With
`numerator`, the transcript's numerator graph (numerator.py), (2) runs over that one first, whose
weights are the denominator's; its best path is a string of pdfs, and (2) over (1) with

    y'(t, k) = 0 if k = k_t, else -inf                                                          (4)

finds the phones that it stands for.

**Times.** Output frame t looks at input frame f t (f = 3), and is taken to stand for input frames
f t .. f t + f - 1, the last one for what is left, so that durations add up to the utterance and
frames 0, f, 2 f, ... have the phone that the model gave them (a tree's statistics want no other).
The true boundary between output frames t - 1 and t lies before f t, half of f - 1 frames on the
average, and a model may have its own idea of where a phone begins: `shift` moves all boundaries.

(Kaldi: `nnet3-align-compiled`, on a decoding graph.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainstitch.nnet.chain.numerator import NumeratorGraph
from chainstitch.utils.arguments import check_numbers
from chainstitch.utils.compiled import njit
from chainstitch.utils.hmm.determinise import Row, ends_apart
from chainstitch.utils.hmm.pdf_acceptor import Place, end_weight, first_place, next_places
from chainstitch.utils.hmm.phone_graph import PhoneGraph
from chainstitch.utils.hmm.topology import Leaves

BOUNDS = {"acoustic_scale": "(0, inf)"}


@dataclass(frozen=True)
class AlignmentGraph:
    """The graph (1), as arcs between states, and the phone of each state (0: the start)."""

    arcs: NumeratorGraph
    phones: np.ndarray

    def __post_init__(self) -> None:
        if len(self.phones) != len(self.arcs.final):
            raise ValueError(
                f"alignment graph: phones of {len(self.phones)} states, arcs of "
                f"{len(self.arcs.final)}"
            )


@dataclass(frozen=True)
class BestPath:
    """A path.

    Attributes:
        score: its sum (2), in nats.
        phones: (phone, output frames) in their order.
    """

    score: float
    phones: list[tuple[int, int]]


def alignment_graph(graph: PhoneGraph, leaves: Leaves) -> AlignmentGraph:
    """The graph (1) of a transcript."""
    queue: list[Place] = [first_place(graph)]
    index = {queue[0]: 0}
    rows: list[Row] = []
    for place in queue:
        rows.append([])
        for label, weight, to in next_places(graph, leaves, place):
            if to not in index:
                index[to] = len(queue)
                queue.append(to)
            rows[-1].append((label, weight, index[to]))
    rows, final, copied = ends_apart(rows, [end_weight(graph, place) for place in queue])
    arcs = [(src, *arc) for src, row in enumerate(rows) for arc in row]
    src, pdf, dst = (np.array([arc[k] for arc in arcs], np.int32) for k in (0, 1, 3))
    return AlignmentGraph(
        NumeratorGraph(src, dst, pdf, np.array([arc[2] for arc in arcs], float), np.array(final)),
        np.array([queue[n][1] for n in copied], np.int32),
    )


def best_path(
    graph: AlignmentGraph,
    log_likes: np.ndarray,
    acoustic_scale: float = 1.0,
    numerator: NumeratorGraph | None = None,
) -> BestPath | None:
    """The best path of an utterance; None if none fits: too few frames.

    Args:
        graph: of its transcript.
        log_likes: (T, K) the network's outputs.
        acoustic_scale: c, above 0.
        numerator: the transcript's, to count the denominator's weights.

    Raises:
        TypeError: acoustic_scale is no number.
        ValueError: an output that is not finite or of fewer pdfs than the graph has; or
            acoustic_scale is not above 0 and finite.
    """
    check_numbers("best path", BOUNDS, acoustic_scale=acoustic_scale)
    arcs = graph.arcs if numerator is None else numerator
    log_likes = check_log_likes(log_likes, max(arcs.num_pdfs, graph.arcs.num_pdfs))
    score, path = _search(arcs, log_likes, acoustic_scale)
    if numerator is not None and len(path):  # (4)
        only = np.full(log_likes.shape, -np.inf, np.float32)
        only[np.arange(len(path)), numerator.rows["in_pdf"][path]] = 0.0
        _, path = _search(graph.arcs, only, 1.0)
    if not len(path):
        return None
    rows = graph.arcs.rows
    states = np.repeat(np.arange(len(graph.phones)), np.diff(rows["in_start"]))[path]
    begins = np.flatnonzero(np.diff(states, prepend=-1))  # no state is entered twice
    durations = np.diff(begins, append=len(states))
    return BestPath(
        score, list(zip(graph.phones[states[begins]].tolist(), durations.tolist(), strict=True))
    )


def check_log_likes(log_likes: np.ndarray, pdfs: int) -> np.ndarray:
    """A network's outputs (T, K) in float32.

    Raises:
        ValueError: they are no such array, of fewer than `pdfs` columns, or not finite.
    """
    if log_likes.ndim != 2 or log_likes.shape[1] < pdfs or log_likes.dtype.kind != "f":
        raise ValueError(
            f"outputs are {log_likes.shape} of {log_likes.dtype}, wanted floats (frames, {pdfs} or "
            "more)"
        )
    with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite
        log_likes = np.asarray(log_likes, np.float32)
    if not np.isfinite(log_likes).all():
        raise ValueError(f"{np.sum(~np.isfinite(log_likes))} of the outputs are not finite")
    return log_likes


def input_durations(
    phones: Sequence[tuple[int, int]], frames: int, subsampling: int = 3, shift: int = 0
) -> list[tuple[int, int]]:
    """(phone, output frames) to (phone, input frames), which add up to `frames`.

    Args:
        frames: of the utterance's input; output frames are frames / subsampling, rounded up.
        shift: input frames by which every boundary inside the utterance is moved (later, if
            positive), as far as each phone keeps one frame.

    Raises:
        ValueError: the phones do not have that many output frames, or are more than `frames`.
    """
    ends = np.cumsum([duration for _, duration in phones])
    if not len(ends) or ends[-1] != -(-frames // subsampling) or len(ends) > frames:
        raise ValueError(
            f"alignment: {len(phones)} phones with {int(ends[-1]) if len(ends) else 0} output "
            f"frames for {frames} input frames, one in {subsampling}"
        )
    count = np.arange(1, len(ends) + 1)
    bounds = np.clip(ends * subsampling + shift, count, frames - len(ends) + count)
    bounds[-1] = frames
    durations = np.diff(bounds, prepend=0).tolist()
    return [(phone, int(d)) for (phone, _), d in zip(phones, durations, strict=True)]


def _search(arcs: NumeratorGraph, log_likes: np.ndarray, scale: float) -> tuple[float, np.ndarray]:
    """The best score and, frame by frame, the arc (an index into in_*); no arcs if none fits."""
    rows = arcs.rows
    most = int(np.diff(rows["in_start"]).max(initial=0))
    kind = np.uint8 if most <= 1 << 8 else np.uint16 if most <= 1 << 16 else np.uint32
    psi = np.zeros((len(log_likes), len(arcs.final)), kind)
    names = ("in_start", "in_state", "in_pdf", "in_log_prob")
    likes = np.ascontiguousarray(log_likes, np.float32)
    kernel: Any = _viterbi
    score, path = kernel(*(rows[n] for n in names), arcs.final, likes, float(scale), psi)
    return float(score), path


@njit(nogil=True, boundscheck=False)
def _viterbi(in_start, in_state, in_pdf, in_log_prob, final, y, scale, psi):  # type: ignore[no-untyped-def]
    """(2) and (3) into psi, and the way back."""
    frames, states = y.shape[0], len(final)
    delta = np.full(states, -np.inf)
    fresh = np.full(states, -np.inf)
    delta[0] = 0.0
    for t in range(frames):
        for i in range(states):
            best, chosen = -np.inf, 0
            for a in range(in_start[i], in_start[i + 1]):
                score = delta[in_state[a]] + in_log_prob[a] + scale * y[t, in_pdf[a]]
                if score > best:
                    best, chosen = score, a - in_start[i]
            fresh[i] = best
            psi[t, i] = chosen
        delta, fresh = fresh, delta
    end, best = -1, -np.inf
    for i in range(states):
        if final[i] and delta[i] > best:
            end, best = i, delta[i]
    if end < 0:
        return best, np.empty(0, np.int64)
    path = np.empty(frames, np.int64)
    for t in range(frames - 1, -1, -1):
        path[t] = in_start[end] + psi[t, end]
        end = in_state[path[t]]
    return best, path
