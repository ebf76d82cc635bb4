"""Numerator graphs: the paths of the denominator that a transcript or an alignment allows.

A deterministic acceptor over pdfs (pdf_acceptor.py) says which pdf strings are right. Composed with
the *normalisation* form of the denominator graph (start anywhere with probability initial(s), every
state final) the weights of numerator paths are exactly those of the same paths in the denominator;
the sum over a subset of paths cannot exceed the sum over all, so that the objective log Z_num -
log Z_den is <= 0. (Kaldi chain-supervision.cc, chain-generic-numerator.cc.)

A state of the composition is a pair (n, s) of a state of the acceptor and one of the denominator:

    (n, s) --pdf / p--> (n', s')     for n --pdf--> n' and s --pdf / p--> s'

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

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from chainstitch.nnet.chain.denominator import DenominatorGraph
from chainstitch.nnet.chain.forward_backward import check_arguments, differentiable, resolved
from chainstitch.nnet.chain.numerator_layout import Layout
from chainstitch.utils.hmm.pdf_acceptor import PdfAcceptor


@dataclass(frozen=True)
class NumeratorGraph:
    """One sequence's acceptor over pdfs, log-domain weights; state 0 is the start.

    Attributes:
        src, dst, pdf: (arcs,) int32; log_prob: (arcs,) float64.
        final: (states,) bool.
        frames: how long every path is, and then states are in the order of their time; 0 if that
            differs.
    """

    src: np.ndarray
    dst: np.ndarray
    pdf: np.ndarray
    log_prob: np.ndarray
    final: np.ndarray
    frames: int = 0

    @cached_property
    def min_frames(self) -> int:
        """Arcs on the shortest path: the least number of output frames that can carry it."""
        frames, reached = 0, np.zeros(len(self.final), bool)
        reached[0] = True
        while not self.final[reached].any():
            frames, after = frames + 1, np.zeros_like(reached)
            after[self.dst[reached[self.src]]] = True
            reached = after
        return frames

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
        of = (denominator.src, denominator.dst, denominator.pdf, denominator.prob)
        self.key = b"".join(a.numpy().tobytes() for a in (*of, denominator.initial))
        self._arcs: dict[int, dict[int, list[tuple[int, float]]]] = {}  # by pdf, then by state
        columns = (denominator.src, denominator.dst, denominator.pdf, denominator.prob.log())
        for s, d, pdf, weight in zip(*(c.tolist() for c in columns), strict=True):
            self._arcs.setdefault(pdf, {}).setdefault(s, []).append((d, weight))
        initial = denominator.initial.tolist()
        self._begin: dict[int, dict[int, float]] = {}  # by pdf: states after it, log probability
        for pdf, sources in self._arcs.items():
            landed: dict[int, float] = {}
            for s, arcs in sources.items():
                for d, weight in arcs:
                    landed[d] = landed.get(d, 0.0) + initial[s] * math.exp(weight)
            self._begin[pdf] = {d: math.log(mass) for d, mass in landed.items() if mass > 0}

    def compile(self, acceptor: PdfAcceptor) -> NumeratorGraph | None:
        """The composed graph; None if the denominator gives probability zero to all it accepts."""
        index: dict[tuple[int, int], int] = {}  # (n, s) -> state
        queue: list[tuple[int, int]] = []
        rows: list[tuple[int, int, int, float]] = []

        def state(n: int, s: int) -> int:
            if (n, s) not in index:
                queue.append((n, s))
                index[n, s] = len(queue)  # 0 is the start
            return index[n, s]

        for pdf, to in acceptor.arcs[0].items():
            for d, weight in self._begin.get(pdf, {}).items():
                rows.append((0, state(to, d), pdf, weight))
        done = 0
        while done < len(queue):
            n, s = queue[done]
            done += 1
            for pdf, to in acceptor.arcs[n].items():
                for d, weight in self._arcs.get(pdf, {}).get(s, ()):
                    rows.append((done, state(to, d), pdf, weight))
        final = [False, *(acceptor.final[n] for n, _ in queue)]
        return _trim(rows, final, acceptor.frames)


def _trim(
    rows: list[tuple[int, int, int, float]], final: list[bool], frames: int
) -> NumeratorGraph | None:
    """Keeps states from which a final one can be reached, in their order."""
    alive = list(final)
    into: dict[int, list[int]] = {}
    for src, dst, _, _ in rows:
        into.setdefault(dst, []).append(src)
    stack = [i for i, f in enumerate(final) if f]
    while stack:
        for src in into.get(stack.pop(), []):
            if not alive[src]:
                alive[src] = True
                stack.append(src)
    if not alive[0] or not rows:
        return None
    new = np.cumsum(alive) - 1
    columns: list[np.ndarray] = [np.array(column) for column in zip(*rows, strict=True)]
    sources, targets, pdfs, weight = columns
    keep = np.array(alive)[targets]  # then their sources are alive, too
    return NumeratorGraph(
        new[sources[keep]].astype(np.int32), new[targets[keep]].astype(np.int32),
        pdfs[keep].astype(np.int32), weight[keep], np.array(final)[alive], frames,
    )  # fmt: skip


def numerator_forward_backward(
    batch: NumeratorBatch, log_likes: Tensor, lengths: Tensor, backend: str = "auto"
) -> tuple[Tensor, Tensor]:
    """log Z (batch,) float64, -inf where a sequence is too short for its words, and posteriors.

    Shapes, derivative and back ends as of `forward_backward`, but that all but "gpu" run on the
    CPU; posteriors are float32, zero past each length.

    Raises:
        ValueError: shapes do not fit, or a graph of an alignment has another length.
    """
    check_arguments(log_likes, lengths, log_likes.shape[-1])
    if len(batch.graphs) != len(lengths):
        raise ValueError(f"{len(batch.graphs)} numerator graphs for {len(lengths)} sequences")
    wrong = [i for i, g in enumerate(batch.graphs) if g.frames not in (0, int(lengths[i]))]
    if wrong:
        first = wrong[0]
        raise ValueError(
            f"the numerators of {batch.called(wrong)} are of other lengths, the first of "
            f"{batch.graphs[first].frames} frames for {int(lengths[first])}"
        )
    likes = log_likes.detach().float()
    if resolved(backend, likes.device) == "gpu":
        from chainstitch.nnet.chain import gpu_numerator

        log_z, posteriors = gpu_numerator.numerator(batch.layout, likes, lengths)
    else:
        from chainstitch.nnet.chain import cpu  # late: imports Numba

        log_z, posteriors = cpu.numerator(batch.layout, likes.cpu().numpy(), lengths.cpu().numpy())
        log_z, posteriors = log_z.to(likes.device), posteriors.to(likes.device)
    return differentiable(log_likes, log_z, posteriors), posteriors
