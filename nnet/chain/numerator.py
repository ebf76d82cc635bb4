"""Numerator graphs: the paths of the denominator that a transcript or an alignment allows.

A deterministic acceptor over pdfs (pdf_acceptor.py) says which pdf strings are right. Composed with
the *normalisation* form of the denominator graph (start anywhere with probability initial(s), every
state final) the weights of numerator paths are exactly those of the same paths in the denominator;
the sum over a subset of paths cannot exceed the sum over all, so that the objective log Z_num -
log Z_den is <= 0. (Kaldi chain-supervision.cc, chain-generic-numerator.cc.)

A state of the composition is a pair (n, s) of a state of the acceptor and one of the denominator:

    (n, s) --pdf / w p--> (n', s')     for n --pdf / w--> n' and s --pdf / p--> s'

Where the lexicon has probabilities, w <= 1 is what it says of this way to say the transcript,
relative to the best one (phone_graph.py); else all w are 1.

State 0 stands for all pairs (start, s) at once: the arcs out of it carry sum over s initial(s) p.
Pairs from which no final n can be reached are cut off.

**The sum over paths.** States of a numerator reach a few pdfs only, which lie far below the best
ones while the network is wrong, so it runs in the log domain and in float64: (1) to (3) of
forward_backward.py, with log-sums. The graphs of a minibatch stand behind one another in one set of
arrays (numerator_layout.py), arcs once by the state that they enter and once by the state that they
leave; `cpu.py` and `gpu_numerator.py` read the same. Where all paths have one length (alignments)
every state has its time, and only states and arcs of frame t are touched at frame t: the work is
that of the arcs, not of arcs times frames.
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from chainstitch.nnet.chain.denominator import DenominatorGraph
from chainstitch.nnet.chain.forward_backward import (
    LARGEST,
    check_arguments,
    differentiable,
    resolved,
)
from chainstitch.nnet.chain.graph_check import check_numerator
from chainstitch.nnet.chain.numerator_layout import Layout
from chainstitch.nnet.loss.nonfinite import NonFiniteError
from chainstitch.utils.hmm.determinise import ends_apart
from chainstitch.utils.hmm.pdf_acceptor import PdfAcceptor


@dataclass(frozen=True)
class NumeratorGraph:
    """One sequence's acceptor over pdfs, log-domain weights; state 0 is the start.

    Attributes:
        src, dst, pdf: (arcs,) int32; log_prob: (arcs,) float64.
        final: (states,) bool.
        frames: how long every path is, and then states are in the order of their time; 0 if that
            differs.

    Raises:
        ValueError: a state, pdf or weight that cannot be, or lengths that do not fit.
    """

    src: np.ndarray
    dst: np.ndarray
    pdf: np.ndarray
    log_prob: np.ndarray
    final: np.ndarray
    frames: int = 0

    def __post_init__(self) -> None:
        check_numerator(self.src, self.dst, self.pdf, self.log_prob, self.final, self.frames)

    @cached_property
    def num_pdfs(self) -> int:
        """How many pdfs the outputs must have at least."""
        return int(self.pdf.max(initial=-1)) + 1

    @cached_property
    def min_frames(self) -> int:
        """Arcs on the shortest path: the least number of output frames that can carry it."""
        from chainstitch.nnet.chain.composition import shortest

        return int(shortest(self.src, self.dst, self.final))

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """The arrays of `Layout` of this graph alone."""
        states = np.arange(len(self.final) + 1)
        arrays = {"final": self.final}
        for way, by, other in (("in", self.dst, self.src), ("out", self.src, self.dst)):
            order = np.argsort(by, kind="stable")
            arrays |= {
                f"{way}_start": np.searchsorted(by[order], states).astype(np.int32),
                f"{way}_state": other[order],
                f"{way}_pdf": self.pdf[order],
                f"{way}_log_prob": self.log_prob[order],
            }
        return arrays

    @cached_property
    def first(self) -> np.ndarray:
        """(frames + 2,) the first state of each time and, last, how many there are."""
        if not self.frames:
            return np.array([0, len(self.final)], np.int32)
        time = np.zeros(len(self.final), np.int32)
        for s, d in zip(self.src.tolist(), self.dst.tolist(), strict=True):  # in order of time
            time[d] = time[s] + 1
        if (np.diff(time) < 0).any() or (time[self.dst] != time[self.src] + 1).any():
            raise ValueError(
                f"numerator graph of {self.frames} frames: its states are not in the order of time"
            )
        return np.searchsorted(time, np.arange(self.frames + 2)).astype(np.int32)


@dataclass(frozen=True)
class NumeratorBatch:
    """The numerators of a minibatch, in its order; `names`, if known, are for messages."""

    graphs: list[NumeratorGraph]
    names: Sequence[str] = ()

    def called(self, sequences: Sequence[int]) -> str:
        """How messages call some of the sequences."""
        if not self.names:
            return f"sequences {list(sequences)} of the batch"
        shown = ", ".join(self.names[i] for i in sequences[:5])
        return shown + (f" and {len(sequences) - 5} more" if len(sequences) > 5 else "")

    @cached_property
    def layout(self) -> Layout:
        """The graphs in the form that the kernels read."""
        sizes = [len(g.final) for g in self.graphs]
        arcs = np.cumsum([0, *(len(g.src) for g in self.graphs)])
        joined: dict[str, np.ndarray] = {
            "states": np.cumsum([0, *sizes]),
            "timed": np.array([g.frames > 0 for g in self.graphs]),
            "first_at": np.cumsum([0, *(len(g.first) for g in self.graphs)])[:-1],
            "first": np.concatenate([g.first for g in self.graphs]),
        }
        for name in self.graphs[0].rows:
            parts = [g.rows[name] for g in self.graphs]
            if name.endswith("_start"):
                parts = [part[:-1] + at for part, at in zip(parts, arcs, strict=False)]
                parts.append(arcs[-1:])
            joined[name] = np.concatenate(parts)
        return Layout(
            **{
                name: torch.from_numpy(a if a.dtype == np.float64 else a.astype(np.int32))
                for name, a in joined.items()
            }
        )


class NumeratorCompiler:
    """Composes acceptors with one denominator (whose arcs it indexes once).

    Args:
        denominator: the graph whose weights the numerators take over.

    Attributes:
        key: bytes that tell it from compilers of other denominators.
    """

    def __init__(self, denominator: DenominatorGraph) -> None:
        self._denominator = denominator

    @cached_property
    def key(self) -> bytes:
        graph = self._denominator
        of = (graph.src, graph.dst, graph.pdf, graph.prob, graph.initial)
        return b"".join(a.numpy().tobytes() for a in of)

    def compile(self, acceptor: PdfAcceptor) -> NumeratorGraph | None:
        """The composed graph; None if the denominator gives probability zero to all it accepts."""
        from chainstitch.nnet.chain.composition import compose

        labels = [pdf for row in acceptor.arcs for pdf in row]
        targets = [to for row in acceptor.arcs for to in row.values()]
        states = len(acceptor.final)
        if not 0 < len(acceptor.arcs) == states or (
            labels and not (min(labels) >= 0 <= min(targets) <= max(targets) < states)
        ):
            raise ValueError(
                f"pdf acceptor: wanted arcs to states 0..{states - 1}, of pdfs from 0, for each of "
                f"its {states} states"
            )
        tables: list[np.ndarray] = [*self._out, *self._begin, *_tables(acceptor)]
        src, dst, pdf, log_prob, final = compose(self._denominator.num_states, *tables)
        if not len(src):
            return None
        return NumeratorGraph(src, dst, pdf, log_prob, final, acceptor.frames)

    @cached_property
    def _out(self) -> tuple[np.ndarray, ...]:
        """Where the arcs out of each state begin; their pdfs, which ascend, targets and weights."""
        graph = self._denominator
        src, dst, pdf = (a.numpy() for a in (graph.src, graph.dst, graph.pdf))
        order = np.lexsort((pdf, src))
        start = np.searchsorted(src[order], np.arange(graph.num_states + 1))
        return start, pdf[order], dst[order], graph.prob.log().numpy()[order]

    @cached_property
    def _begin(self) -> tuple[np.ndarray, ...]:
        """Where each pdf's entries begin; the states after it, and their log probabilities."""
        graph, initial = self._denominator, self._denominator.initial.tolist()
        order = np.lexsort((graph.pdf.numpy(),))
        sources: dict[int, dict[int, list[tuple[int, float]]]] = {}  # by pdf, then by state
        columns = (graph.src, graph.dst, graph.pdf, graph.prob.log())
        for s, d, pdf, weight in zip(*(c[order].tolist() for c in columns), strict=True):
            sources.setdefault(pdf, {}).setdefault(s, []).append((d, weight))
        counts, states, weights = np.zeros(graph.num_pdfs, np.int64), array("q"), array("d")
        for pdf, by_source in sources.items():
            landed: dict[int, float] = {}
            for s, arcs in by_source.items():
                for d, weight in arcs:
                    landed[d] = landed.get(d, 0.0) + initial[s] * math.exp(weight)
            for d, mass in landed.items():
                if mass > 0:
                    counts[pdf] += 1
                    states.append(d)
                    weights.append(math.log(mass))
        return np.cumsum([0, *counts]), np.array(states), np.array(weights)


def _tables(acceptor: PdfAcceptor) -> list[np.ndarray]:
    """The arrays of an acceptor that composition.py wants."""
    final = acceptor.final
    pdfs = [[*row] for row in acceptor.arcs]
    targets = [[*row.values()] for row in acceptor.arcs]
    weights = acceptor.weights
    if acceptor.ending is not None:
        given = weights or [[0.0] * len(row) for row in pdfs]
        columns = zip(pdfs, given, targets, strict=True)
        rows, final, _ = ends_apart([list(zip(*c, strict=True)) for c in columns], acceptor.ending)
        pdfs = [[pdf for pdf, _, _ in row] for row in rows]
        weights = [[weight for _, weight, _ in row] for row in rows]
        targets = [[to for _, _, to in row] for row in rows]
    starts = np.array([0, *itertools.accumulate(map(len, pdfs))], np.int64)
    labels, to = (np.array([*itertools.chain(*rows)], np.int64) for rows in (pdfs, targets))
    none = np.zeros(len(labels))
    return [
        starts, labels, to,
        none if weights is None else np.array([*itertools.chain(*weights)], np.float64),
        np.array(final),
    ]  # fmt: skip


def numerator_forward_backward(
    batch: NumeratorBatch, log_likes: Tensor, lengths: Tensor, backend: str = "auto"
) -> tuple[Tensor, Tensor]:
    """log Z (batch,) float64, -inf where a sequence is too short for its words, and posteriors.

    Shapes, derivative and back ends as of `forward_backward`, but that all but "gpu" run on the
    CPU; posteriors are float32, zero past each length.

    Raises:
        ValueError: shapes do not fit, a graph of an alignment has another length, or a graph has
            more pdfs than log_likes.
        NonFiniteError: numbers so far apart that float64 cannot hold the sum of a path.
    """
    ends = check_arguments(log_likes, lengths)
    if len(batch.graphs) != len(ends) or not ends:
        raise ValueError(f"{len(batch.graphs)} numerator graphs for {len(ends)} sequences")
    wrong = [i for i, g in enumerate(batch.graphs) if g.frames not in (0, ends[i])]
    if wrong:
        first = wrong[0]
        raise ValueError(
            f"the numerators of {batch.called(wrong)} are of other lengths, the first of "
            f"{batch.graphs[first].frames} frames for {ends[first]}"
        )
    pdfs = log_likes.shape[2]
    wrong = [i for i, g in enumerate(batch.graphs) if g.num_pdfs > pdfs]
    if wrong:
        raise ValueError(
            f"the numerators of {batch.called(wrong)} are of more pdfs than log_likes, which has "
            f"{pdfs}, the first of {batch.graphs[wrong[0]].num_pdfs}"
        )
    likes = log_likes.detach().float()
    log_z, posteriors = _path_sums(batch, likes, lengths, backend)
    for i in (log_z.isfinite() & (log_z.abs() > LARGEST)).nonzero().flatten().tolist():
        # as forward_backward.py has it: the best of each frame is taken out
        one, length = likes[i : i + 1, : ends[i]], lengths[i : i + 1]
        used = torch.from_numpy(np.unique(batch.graphs[i].pdf)).long().to(likes.device)
        best = one[..., used].amax(2, keepdim=True).nan_to_num(0.0, 0.0, 0.0)
        alone = NumeratorBatch([batch.graphs[i]])
        rest, exact = _path_sums(alone, one - best, length, backend)
        if not float(rest.abs()) <= LARGEST:
            raise NonFiniteError(
                f"the numerator of {batch.called([i])} has no path sum that float64 can hold: the "
                f"network's outputs are more than {LARGEST:g} nats apart",
                [i],
            )
        log_z[i] = rest[0] + best.double().sum()
        posteriors[i, : ends[i]] = exact[0]
    return differentiable(log_likes, log_z, posteriors), posteriors


def _path_sums(
    batch: NumeratorBatch, likes: Tensor, lengths: Tensor, backend: str
) -> tuple[Tensor, Tensor]:
    if resolved(backend, likes.device) == "gpu":
        from chainstitch.nnet.chain import gpu_numerator

        return gpu_numerator.numerator(batch.layout, likes, lengths)
    from chainstitch.nnet.chain import cpu  # late: imports Numba

    log_z, posteriors = cpu.numerator(batch.layout, likes.cpu().numpy(), lengths.cpu().numpy())
    return log_z.to(likes.device), posteriors.to(likes.device)
