"""Numerator graphs for flat-start ("end-to-end") LF-MMI: all ways to say one transcript.

The transcript through the lexicon gives an acceptor over phones (`PhoneGraph`): alternative
pronunciations, and optional silence between words and at the edges, made deterministic so that a
phone string has one path. Composed with the *normalisation* form of the denominator graph (start
anywhere with probability initial(s), every state final) the weights of numerator paths are exactly
those of the same paths in the denominator; the sum over a subset of paths cannot exceed the sum
over all, so the objective log Z_num - log Z_den is <= 0. (Kaldi chain-generic-numerator.cc,
chain-supervision.cc.)

Composition: both sides are deterministic, so a numerator state is a pair (position n in the phone
graph, denominator state s) reached by a phone's entry arc, with the loop arc of s on it:

    (n, s) --entry(q)--> (n', s')     for n --q--> n' and s --entry(q)--> s'
    (n, s) --loop--> (n, s)           the loop arc of s

Pairs from which no final n can be reached are cut off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from chainstitch.nnet.chain import cpu
from chainstitch.nnet.chain.denominator import DenominatorGraph
from chainstitch.nnet.chain.forward_backward import check_arguments
from chainstitch.nnet.chain.topology import entry_pdf, loop_pdf


@dataclass(frozen=True)
class PhoneGraph:
    """A deterministic acyclic acceptor over phones; state 0 is the start.

    Attributes:
        arcs: per state, {phone: next state}.
        final: per state, whether a transcript may end there.
    """

    arcs: list[dict[int, int]]
    final: list[bool]

    @cached_property
    def min_frames(self) -> int:
        """Phones on the shortest path: the least number of output frames that can carry it."""
        best = {0: 0}
        queue = [0]
        for state in queue:
            if self.final[state]:
                return best[state]
            for to in self.arcs[state].values():
                if to not in best:
                    best[to] = best[state] + 1
                    queue.append(to)
        return 0


def phone_graph(
    words: Sequence[str], pronunciations: dict[str, list[tuple[int, ...]]], silence: int | None
) -> PhoneGraph:
    """All pronunciations of `words`, with optional `silence` before, between and after them.

    A subset construction over (word index, pronunciation, position), which also shares equal
    prefixes.

    Raises:
        KeyError: a word without pronunciation.
    """
    # an item (i, pron, k): within word i's pronunciation, k phones said; (i, None, s): before
    # word i with s = whether a silence was just said (no two in a row)
    Item = tuple[int, "tuple[int, ...] | None", int]

    def successors(item: Item) -> list[tuple[int, Item]]:
        i, pron, k = item
        if pron is not None:
            after: Item = (i, pron, k + 1) if k + 1 < len(pron) else (i + 1, None, 0)
            return [(pron[k], after)]
        result: list[tuple[int, Item]] = []
        if silence is not None and not k:
            result.append((silence, (i, None, 1)))
        if i < len(words):
            for p in pronunciations[words[i]]:
                result.append((p[0], (i, p, 1) if len(p) > 1 else (i + 1, None, 0)))
        return result

    def is_final(subset: frozenset[Item]) -> bool:
        return any(i == len(words) and pron is None for i, pron, _ in subset)

    start: frozenset[Item] = frozenset([(0, None, 0)])
    index, queue = {start: 0}, [start]
    arcs: list[dict[int, int]] = []
    for subset in queue:
        targets: dict[int, set[Item]] = {}
        for item in subset:
            for phone, to in successors(item):
                targets.setdefault(phone, set()).add(to)
        row = {}
        for phone in sorted(targets):
            key = frozenset(targets[phone])
            if key not in index:
                index[key] = len(queue)
                queue.append(key)
            row[phone] = index[key]
        arcs.append(row)
    return PhoneGraph(arcs, [is_final(subset) for subset in queue])


@dataclass(frozen=True)
class NumeratorGraph:
    """One transcript's acceptor over pdfs, log-domain weights.

    src, dst, pdf: (arcs,) int32; log_prob: (arcs,) float64; log_initial, log_final: (states,)
    float64.
    """

    src: np.ndarray
    dst: np.ndarray
    pdf: np.ndarray
    log_prob: np.ndarray
    log_initial: np.ndarray
    log_final: np.ndarray

    @cached_property
    def min_frames(self) -> int:
        """Arcs on the shortest path: the least number of output frames that can carry it."""
        frames, reached = 0, np.isfinite(self.log_initial)
        while not np.isfinite(self.log_final[reached]).any():
            frames, after = frames + 1, np.zeros_like(reached)
            after[self.dst[reached[self.src]]] = True
            reached = after
        return frames


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


class NumeratorCompiler:
    """Composes phone graphs with one denominator (whose arcs it indexes once).

    Args:
        denominator: the graph whose weights the numerators take over.
    """

    def __init__(self, denominator: DenominatorGraph) -> None:
        self._initial = denominator.initial.numpy()
        self._by_pdf: dict[int, dict[int, tuple[int, float]]] = {}
        columns = (denominator.src, denominator.dst, denominator.pdf, denominator.prob.log())
        for s, d, pdf, weight in zip(*(c.tolist() for c in columns), strict=True):
            self._by_pdf.setdefault(pdf, {})[s] = (d, weight)

    def compile(self, phones: PhoneGraph) -> NumeratorGraph | None:
        """The composed graph; None if the denominator gives the transcript probability zero."""
        # before the first phone: any denominator state, weight initial(s)
        queue: list[tuple[int, int, int]] = []  # (position, denominator state, phone just entered)
        index: dict[tuple[int, int, int], int] = {}
        arcs: list[tuple[int, int, int, float]] = []

        def state(key: tuple[int, int, int]) -> int:
            if key not in index:
                index[key] = len(queue)
                queue.append(key)
            return index[key]

        origin = -1
        for q, to in phones.arcs[0].items():
            landed: dict[int, float] = {}  # several origins meet in one state: add them up
            for s, (d, weight) in self._by_pdf.get(entry_pdf(q), {}).items():
                if self._initial[s] > 0:
                    mass = self._initial[s] * math.exp(weight)
                    landed[d] = landed.get(d, 0.0) + mass
            for d, mass in landed.items():
                arcs.append((origin, state((to, d, q)), entry_pdf(q), math.log(mass)))
        done = 0
        while done < len(queue):
            n, s, p = queue[done]
            loop = self._by_pdf.get(loop_pdf(p), {}).get(s)
            if loop is not None and loop[0] == s:
                arcs.append((done, done, loop_pdf(p), loop[1]))
            for q, to in phones.arcs[n].items():
                move = self._by_pdf.get(entry_pdf(q), {}).get(s)
                if move is not None:
                    arcs.append((done, state((to, move[0], q)), entry_pdf(q), move[1]))
            done += 1
        final = [phones.final[n] for n, _, _ in queue]
        return _trim(arcs, final)


def _trim(arcs: list[tuple[int, int, int, float]], final: list[bool]) -> NumeratorGraph | None:
    """Keeps states from which a final one can be reached; state 0 of the result is the origin."""
    alive = list(final)
    into: dict[int, list[int]] = {}
    for src, dst, _, _ in arcs:
        into.setdefault(dst, []).append(src)
    stack = [i for i, f in enumerate(final) if f]
    while stack:
        for src in into.get(stack.pop(), []):
            if src >= 0 and not alive[src]:
                alive[src] = True
                stack.append(src)
    new = {-1: 0}
    for i, keep in enumerate(alive):
        if keep:
            new[i] = len(new)
    kept = [(new[s], new[d], pdf, w) for s, d, pdf, w in arcs if s in new and d in new]
    if not any(s == 0 for s, _, _, _ in kept):
        return None
    sources, targets, pdfs, weights = zip(*kept, strict=True)
    log_initial = np.full(len(new), -np.inf)
    log_initial[0] = 0.0
    log_final = np.full(len(new), -np.inf)
    log_final[[new[i] for i, f in enumerate(final) if f]] = 0.0
    return NumeratorGraph(
        np.array(sources, np.int32), np.array(targets, np.int32), np.array(pdfs, np.int32),
        np.array(weights), log_initial, log_final,
    )  # fmt: skip


def numerator_forward_backward(
    batch: NumeratorBatch, log_likes: Tensor, lengths: Tensor
) -> tuple[Tensor, Tensor]:
    """log Z (batch,) float64, -inf where a sequence is too short for its words, and posteriors.

    Shapes as in `forward_backward`; posteriors are zero past each length.
    """
    check_arguments(log_likes, lengths, log_likes.shape[-1])
    if len(batch.graphs) != len(lengths):
        raise ValueError(f"{len(batch.graphs)} numerator graphs for {len(lengths)} sequences")
    log_z, posteriors = cpu.numerator(
        batch, log_likes.detach().float().cpu().numpy(), lengths.cpu().numpy()
    )
    return log_z.to(log_likes.device), posteriors.to(log_likes.device)
