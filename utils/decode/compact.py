r"""Compact lattices: one arc for each word, with the pdfs of its frames; paths of them, and the best.

States are numbered in the order of time, the start is 0, and arcs stand in the order of the states
that they leave. What Kaldi calls a final weight is an arc without a word (word 0) to one more
state, the end, so that a path is a list of arcs from 0 to the end and nothing else. No two paths
have the same words (determinise.py), if the lattice is ours.

The cost of an arc at a point of the sweep is that of lattice.py,

    cost = graph + (10 / lmwt) acoustic + wip [it has a word].                              (1)

With the arcs in that order the least cost of all paths is one pass: alpha(0) = 0, and

    alpha(d) = min over arcs s -> d of alpha(s) + cost,     the same backwards for beta.    (2)

The N best paths come off a queue, cheapest first: a path that has come as far as s is put at its
cost so far plus beta(s), which is what the whole of it will cost. So it never looks at a path that
is not among them, nor twice at one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from chainstitch.utils.compiled import njit

SEARCH_LMWT = 10.0
Costs = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CompactLattice:
    """The lattice of one utterance.

    Attributes:
        end: the number of the end, one more than that of the last other state.
        src, dst, word: (arcs,) states, and ids of words.
        graph, acoustic: (arcs,) costs, unscaled.
        pdfs: (pdfs,) of the frames of all arcs, one behind the other.
        first: (arcs + 1,) where an arc's pdfs begin.
    """

    end: int
    src: NDArray[np.int32]
    dst: NDArray[np.int32]
    word: NDArray[np.int32]
    graph: Costs
    acoustic: Costs
    pdfs: NDArray[np.int32]
    first: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.src)

    def costs(self, lmwt: float = SEARCH_LMWT, wip: float = 0.0) -> Costs:
        """(1) of each arc."""
        return self.graph + SEARCH_LMWT / lmwt * self.acoustic + wip * (self.word > 0)

    def pdfs_of(self, arc: int) -> NDArray[np.int32]:
        """The pdfs of an arc's frames."""
        return self.pdfs[self.first[arc] : self.first[arc + 1]]

    def words_of(self, path: list[int]) -> list[int]:
        """The ids of a path's words."""
        return [word for word in self.word[path].tolist() if word]

    def frames_of(self, path: list[int]) -> list[int]:
        """The pdf of each frame of a path."""
        return [pdf for arc in path for pdf in self.pdfs_of(arc).tolist()]


def best_path(lattice: CompactLattice, costs: Costs) -> list[int]:
    """The arcs of the cheapest path."""
    return next(cheapest(lattice, costs), [])


def n_best(lattice: CompactLattice, costs: Costs, count: int) -> list[list[int]]:
    """The arcs of the `count` cheapest paths, or of all there are, cheapest first."""
    return list(islice(cheapest(lattice, costs), count))


def cheapest(lattice: CompactLattice, costs: Costs) -> Iterator[list[int]]:
    """The arcs of all paths, cheapest first."""
    if not len(lattice):
        return
    beta = _to_end(lattice, costs).tolist()
    leaving = np.searchsorted(lattice.src, np.arange(lattice.end + 2)).tolist()
    dst, cost = lattice.dst.tolist(), costs.tolist()
    # (cost of the whole, number as it came, cost so far, state, the arcs before, last first)
    queue: list[tuple[float, int, float, int, tuple[int, object]]] = []
    start: tuple[int, object] = (-1, None)
    heapq.heappush(queue, (beta[0], 0, 0.0, 0, start))
    came = 0
    while queue:
        _, _, so_far, state, before = heapq.heappop(queue)
        if state == lattice.end:
            yield _unrolled(before)
            continue
        for arc in range(leaving[state], leaving[state + 1]):
            spent, came = so_far + cost[arc], came + 1
            item = (spent + beta[dst[arc]], came, spent, dst[arc], (arc, before))
            heapq.heappush(queue, item)


def _unrolled(last: tuple[int, object]) -> list[int]:
    path, node = [], last
    while node[0] >= 0:
        path.append(node[0])
        node = node[1]  # type: ignore[assignment]
    return path[::-1]


def prune(lattice: CompactLattice, costs: Costs, beam: float) -> NDArray[np.int64]:
    """The arcs that lie on a path that costs at most `beam` more than the best."""
    if not len(lattice):
        return np.zeros(0, np.int64)
    alpha = _least(lattice.src, lattice.dst, costs, 0, lattice.end, False)
    beta = _to_end(lattice, costs)
    through = alpha[lattice.src] + costs + beta[lattice.dst]
    return np.flatnonzero(through <= beta[0] + beam + 1e-9)


def excess(lattice: CompactLattice, costs: Costs) -> Costs:
    """What each arc costs more than the best way from where it leaves: 0 along the best path."""
    beta = _to_end(lattice, costs)
    return costs + beta[lattice.dst] - beta[lattice.src]


def _to_end(lattice: CompactLattice, costs: Costs) -> Costs:
    """beta of (2)."""
    return _least(lattice.dst, lattice.src, costs, lattice.end, lattice.end, True)


@njit()
def _least(
    source: NDArray[np.int32], target: NDArray[np.int32], costs: Costs, start: int, end: int,
    backwards: bool,
) -> Costs:  # fmt: skip
    """(2): the least cost from `start` to each state."""
    best = np.full(end + 1, np.inf)
    best[start] = 0.0
    for n in range(len(source)):
        arc = len(source) - 1 - n if backwards else n
        best[target[arc]] = min(best[target[arc]], best[source[arc]] + costs[arc])
    return best


def in_order(
    end: int, rows: list[tuple[int, int, int, float, float]], pdfs: list[list[int]]
) -> CompactLattice:
    """A lattice of arcs (source, target, word, graph, acoustic) in any order, whose states are
    numbered in any way but for the start, 0, and the end; what cannot be reached is left out.

    Raises:
        ValueError: it has a cycle.
    """
    leaving: dict[int, list[int]] = {}
    waiting: dict[int, int] = {}
    seen, todo = {0}, [0]
    for arc, row in enumerate(rows):
        leaving.setdefault(row[0], []).append(arc)
    while todo:  # how many arcs lead to what can be reached
        for arc in leaving.get(todo.pop(), []):
            target = rows[arc][1]
            waiting[target] = waiting.get(target, 0) + 1
            if target not in seen:
                seen.add(target)
                todo.append(target)
    number, order, todo = {}, [], [] if 0 in waiting else [0]
    while todo:
        state = todo.pop()
        if state != end:
            number[state] = len(number)
        for arc in leaving.get(state, []):
            order.append(arc)
            waiting[rows[arc][1]] -= 1
            if not waiting[rows[arc][1]]:
                todo.append(rows[arc][1])
    if any(waiting.values()) or 0 in waiting:
        raise ValueError("it has a cycle")
    number[end] = len(number)
    return from_rows(
        number[end],
        [(number[rows[a][0]], number[rows[a][1]], *rows[a][2:]) for a in order],
        [pdfs[a] for a in order],
    )


def from_rows(
    end: int, rows: list[tuple[int, int, int, float, float]], pdfs: list[list[int]]
) -> CompactLattice:
    """A lattice of arcs that are in order already."""
    src, dst, word, graph, acoustic = zip(*rows, strict=True) if rows else ((),) * 5
    lengths = np.array([0, *(len(some) for some in pdfs)], np.int64)
    return CompactLattice(
        end,
        np.array(src, np.int32), np.array(dst, np.int32), np.array(word, np.int32),
        np.array(graph, np.float64), np.array(acoustic, np.float64),
        np.array([pdf for some in pdfs for pdf in some], np.int32), np.cumsum(lengths),
    )  # fmt: skip
