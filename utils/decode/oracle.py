r"""The path of a lattice that is nearest to a transcript, and of those the cheapest.

Let the arcs of the lattice be s -> d with a word w (0: none) and a cost, and the transcript
r_1 .. r_R. D(s, j), the least (errors, cost) with which state s is reached after j words of the
transcript, pairs compared by errors first, obeys

    D(s, j)     <=  D(s, j - 1)  +  (1, 0)                       r_j is deleted                  (1)
    D(d, j)     <=  D(s, j)      +  (0 if w = 0 else 1, cost)    no word, or w is inserted       (2)
    D(d, j + 1) <=  D(s, j)      +  (0 if w = r_{j+1} else 1, cost)          w is said           (3)

and is worked out state by state, in an order in which every arc leads to a later one. The end is
the best D(f, R) over final states f.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chainstitch.utils.compiled import njit
from chainstitch.utils.decode.search_lattice import Floats, Ints, search_arrays, state_order

FAR = 2**30  # errors of what cannot be reached


@dataclass(frozen=True)
class OraclePath:
    """Attributes: labels of the words; pdfs, one of each frame; errors against the transcript."""

    labels: list[int]
    pdfs: list[int]
    errors: int


def oracle_path(lattice: Any, reference: list[int]) -> OraclePath:
    """The path.

    Args:
        lattice: a `kaldifst.Lattice`: input labels pdf + 1, output labels words.
        reference: ids of words.

    Raises:
        ValueError: no path ends in a final state.
    """
    start, counts, final, pdf, word, weight, dst = search_arrays(lattice)
    states = np.arange(len(counts))
    src, cost = np.repeat(states, counts), weight.sum(axis=1)
    sorted_ = state_order(np.concatenate([[0], np.cumsum(counts)]), dst)
    if len(sorted_) < len(states):
        raise ValueError("the lattice has a cycle")
    order = np.empty_like(states)
    order[sorted_] = states
    by_place = np.argsort(order[src], kind="stable")
    arcs = (order[src][by_place], order[dst][by_place], word[by_place], cost[by_place])
    ends = np.full(len(final), np.inf)
    ends[order] = final.sum(axis=1)
    used, errors = _search(*arcs, ends, order[start], np.array(reference, np.int64))
    if errors >= FAR:
        raise ValueError("the lattice has no path to a final state")
    path = by_place[used]
    return OraclePath(
        [int(w) for w in word[path] if w], [int(p) - 1 for p in pdf[path] if p], int(errors)
    )


@njit()
def _better(errors: int, cost: float, than: int, than_cost: float) -> bool:
    return errors < than or (errors == than and cost < than_cost)


@njit()
def _search(
    src: Ints,
    dst: Ints,
    word: Ints,
    cost: Floats,
    final: Floats,
    start: int,
    ref: Ints,
) -> tuple[Ints, int]:
    """The arcs of the path, and its errors; arcs are sorted by src."""
    states, words = len(final), len(ref)
    errors = np.full((states, words + 1), FAR, np.int32)
    costs = np.full((states, words + 1), np.inf)
    via = np.full((states, words + 1), -1, np.int32)  # the arc; -1: a deletion, or the start
    steps = np.zeros((states, words + 1), np.int8)  # words of the transcript that it took
    errors[start, 0], costs[start, 0] = 0, 0.0
    a = 0
    for s in range(states):
        for j in range(words):
            one = errors[s, j] + 1  # (1)
            if one < errors[s, j + 1] or (
                one == errors[s, j + 1] and costs[s, j] < costs[s, j + 1]
            ):
                errors[s, j + 1], costs[s, j + 1] = one, costs[s, j]
                via[s, j + 1], steps[s, j + 1] = -1, 1
        while a < len(src) and src[a] == s:
            d, w = dst[a], word[a]
            for j in range(words + 1):
                if errors[s, j] >= FAR:
                    continue
                total = costs[s, j] + cost[a]
                here = errors[s, j] + (w != 0)  # (2)
                if _better(here, total, errors[d, j], costs[d, j]):
                    errors[d, j], costs[d, j], via[d, j], steps[d, j] = here, total, a, 0
                if w != 0 and j < words:
                    k, said = j + 1, errors[s, j] + (w != ref[j])  # (3)
                    if _better(said, total, errors[d, k], costs[d, k]):
                        errors[d, k], costs[d, k], via[d, k], steps[d, k] = said, total, a, 1
            a += 1
    best, end, least = FAR, -1, np.inf
    for s in range(states):
        total = costs[s, words] + final[s]
        if total < np.inf and _better(errors[s, words], total, best, least):
            best, end, least = errors[s, words], s, total
    path = np.zeros(len(src), np.int64)
    length, s, j = 0, end, words
    while end >= 0 and not (s == start and j == 0):
        arc, step = via[s, j], steps[s, j]
        if arc >= 0:
            path[length] = arc
            length += 1
            s = src[arc]
        j -= step
    return path[:length][::-1].copy(), best
