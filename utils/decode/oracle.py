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
from numpy.typing import NDArray

from chainstitch.utils.compiled import njit
from chainstitch.utils.decode.lattice import _arcs

Ints = NDArray[np.int32]
Costs = NDArray[np.float64]
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
    src, dst, pdf, word, cost, final = _arrays(lattice)
    order, ok = _sorted_states(src, dst, len(final))
    if not ok:
        raise ValueError("the lattice has a cycle")
    by_place = np.argsort(order[src], kind="stable")
    arcs = (order[src][by_place], order[dst][by_place], word[by_place], cost[by_place])
    ends = np.full(len(final), np.inf)
    ends[order] = final
    used, errors = _search(*arcs, ends, order[lattice.start], np.array(reference, np.int32))
    if errors >= FAR:
        raise ValueError("the lattice has no path to a final state")
    path = by_place[used]
    return OraclePath(
        [int(w) for w in word[path] if w], [int(p) - 1 for p in pdf[path] if p], int(errors)
    )


def _arrays(
    lattice: Any,
) -> tuple[Ints, Ints, Ints, Ints, NDArray[np.float64], NDArray[np.float64]]:
    rows, costs = [], []
    final = np.full(lattice.num_states, np.inf)
    for state in range(lattice.num_states):
        weight = lattice.final(state)
        final[state] = weight.value1 + weight.value2
        for arc in _arcs(lattice, state):
            rows.append((state, arc.nextstate, arc.ilabel, arc.olabel))
            costs.append(arc.weight.value1 + arc.weight.value2)
    table = np.array(rows, np.int32).reshape(-1, 4)
    return (*table.T, np.array(costs, np.float64), final)


@njit()
def _sorted_states(src: Ints, dst: Ints, states: int) -> tuple[Ints, bool]:
    """The place of each state in an order that all arcs follow; false if there is a cycle."""
    waits = np.zeros(states, np.int32)  # for how many arcs
    first = np.zeros(states + 1, np.int32)
    for a in range(len(src)):
        waits[dst[a]] += 1
        first[src[a] + 1] += 1
    for s in range(states):
        first[s + 1] += first[s]
    out, filled = np.zeros(len(src), np.int32), first.copy()
    for a in range(len(src)):
        out[filled[src[a]]] = dst[a]
        filled[src[a]] += 1
    queue = np.zeros(states, np.int32)
    order = np.zeros(states, np.int32)
    ready, done = 0, 0
    for s in range(states):
        if waits[s] == 0:
            queue[ready] = s
            ready += 1
    while done < ready:
        s = queue[done]
        order[s] = done
        done += 1
        for a in range(first[s], first[s + 1]):
            waits[out[a]] -= 1
            if waits[out[a]] == 0:
                queue[ready] = out[a]
                ready += 1
    return order, done == states


@njit()
def _better(errors: int, cost: float, than: int, than_cost: float) -> bool:
    return errors < than or (errors == than and cost < than_cost)


@njit()
def _search(
    src: Ints,
    dst: Ints,
    word: Ints,
    cost: Costs,
    final: Costs,
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
    path = np.zeros(len(src), np.int32)
    length, s, j = 0, end, words
    while end >= 0 and not (s == start and j == 0):
        arc, step = via[s, j], steps[s, j]
        if arc >= 0:
            path[length] = arc
            length += 1
            s = src[arc]
        j -= step
    return path[:length][::-1].copy(), best
