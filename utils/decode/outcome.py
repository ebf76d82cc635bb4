"""What is made of the lattice of one utterance: words at each point of the sweep, their times and
confidences, the N best, and the lattice as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chainstitch.utils.decode.compact import (
    SEARCH_LMWT,
    CompactLattice,
    Costs,
    best_path,
    n_best,
)
from chainstitch.utils.decode.graph import Graph
from chainstitch.utils.decode.mbr import closest_path, consensus
from chainstitch.utils.decode.times import word_times
from chainstitch.utils.lm.automaton import Model, sentence_cost

Point = tuple[float, float]  # lmwt, wip
Timed = tuple[int, int, str, float | None]  # first frame, last frame + 1, word, confidence


@dataclass(frozen=True)
class Wanted:
    """What to make.

    Attributes:
        points: of the sweep.
        mbr: words of the least expected error (mbr.py), not those of the best path.
        n_best: how many paths to list; 0: none.
        lattices: whether the lattice is kept, as text.
        all_times: of the words at every point, not at one only.
    """

    points: list[Point]
    mbr: bool = False
    n_best: int = 0
    lattices: bool = False
    all_times: bool = False

    @property
    def compact(self) -> bool:
        """Whether it takes a compact lattice."""
        return self.mbr or self.n_best > 0 or self.lattices

    @property
    def timed_points(self) -> list[Point]:
        """The points whose words get times."""
        return self.points if self.all_times else [ctm_point(self.points)]


@dataclass(frozen=True)
class Utterance:
    """What came out for one utterance.

    Attributes:
        words: at each point.
        timed: at each point that wants times.
        listed: of the N best at that point, in their order: graph cost, acoustic cost, the part of
            the graph cost that is the LM's, words.
        lattice: as text, or empty.
    """

    name: str
    frames: int
    complete: bool
    words: dict[Point, list[str]]
    timed: dict[Point, list[Timed]]
    listed: Sequence[tuple[float, float, float, list[str]]] = ()
    lattice: str = ""


def ctm_point(points: list[Point]) -> Point:
    """The point that the ctm is made for: lmwt 10 and wip 0, or the nearest there is."""
    return min(points, key=lambda p: (abs(p[0] - SEARCH_LMWT), abs(p[1]), p))


def outcome(
    name: str, lattice: CompactLattice, graph: Graph, lm: Model[Any] | None, wanted: Wanted
) -> Utterance:
    """All of it but the lattice.

    Args:
        lm: whose costs are in the lattice; needed for the N best.
    """
    words: dict[Point, list[str]] = {}
    at = ctm_point(wanted.points)
    timed: dict[Point, list[Timed]] = {}
    for point in wanted.points:
        costs = lattice.costs(*point)
        if wanted.mbr:
            found = consensus(lattice, costs)
            labels, sure = found.words, list[float | None](found.confidence)
        else:
            labels = lattice.words_of(best_path(lattice, costs))
            sure = [None] * len(labels)
        words[point] = [graph.words[label] for label in labels]
        if point in wanted.timed_points:
            times = _times(lattice, costs, labels, graph)
            said = zip(times, words[point], sure, strict=True)
            timed[point] = [(*time, word, confidence) for time, word, confidence in said]
    listed = list_n_best(lattice, at, graph, lm, wanted.n_best) if wanted.n_best and lm else []
    frames = len(lattice.frames_of(best_path(lattice, lattice.costs())))
    return Utterance(name, frames, len(lattice) > 0, words, timed, listed)


def list_n_best(
    lattice: CompactLattice, point: Point, graph: Graph, lm: Model[Any], count: int
) -> list[tuple[float, float, float, list[str]]]:
    """`Utterance.listed`."""
    found = []
    for path in n_best(lattice, lattice.costs(*point), count):
        labels = lattice.words_of(path)
        graph_cost, acoustic = lattice.graph[path].sum(), lattice.acoustic[path].sum()
        said = [graph.words[label] for label in labels]
        found.append((float(graph_cost), float(acoustic), sentence_cost(lm, labels), said))
    return found


def _times(
    lattice: CompactLattice, costs: Costs, labels: list[int], graph: Graph
) -> list[tuple[int, int]]:
    """When words were said: those of the path that is closest to them have their times from its
    pdfs; a word that is on no path stands between its neighbours.
    """
    if not labels:
        return []
    path, pairs = closest_path(lattice, costs, labels)
    pdfs, on_path = lattice.frames_of(path), lattice.words_of(path)
    try:
        known = word_times(pdfs, on_path, graph)
    except ValueError:  # the end of a sentence was not reached
        known = word_times(pdfs, on_path, graph, complete=False)
    times: list[tuple[int, int]] = []
    for n, pair in enumerate(pairs):
        if pair >= 0:
            times.append(known[pair])
            continue
        before = times[-1][1] if times else 0
        after = next((known[p][0] for p in pairs[n:] if p >= 0), len(pdfs))
        times.append((before, after))
    return times
