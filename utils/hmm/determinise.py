"""Subset construction with weights: from a nondeterministic acceptor to a deterministic one.

Weights are logarithms, added along a path; of several paths with the same labels the best counts
(the tropical semiring: a maximum of sums). A state is a *subset* of items, each with a residual

    r(item) = (best weight of a path of these labels to the item) - (that to any item) <= 0,    (1)

so that what has been said and cannot be known yet waits in the residuals; the arc carries what was
taken out. Where all weights are zero so are all residuals, and this is the textbook's construction.
(Mohri, "Finite-State Transducers in Language and Speech Processing", 1997.)

Residuals are rounded, or the order of additions would make two states of one. The graphs here are
acyclic but for loops of weight zero on single items, so that there are finitely many subsets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)
DIGITS = 9  # of a residual


@dataclass(frozen=True)
class Deterministic:
    """Deterministic; state 0 is the start.

    Attributes:
        arcs: per state, {label: next state}.
        weights: per state, of its arcs, in their order.
        ending: per state, of ending there; -inf: it may not.
    """

    arcs: list[dict[int, int]]
    weights: list[list[float]]
    ending: list[float]

    @property
    def final(self) -> list[bool]:
        """Per state, whether one may end there."""
        return [weight > -math.inf for weight in self.ending]


def determinised(
    begin: Iterable[tuple[Item, float]],
    steps: Callable[[Item], Iterable[tuple[int, float, Item]]],
    ending: Callable[[Item], float],
) -> Deterministic:
    """The deterministic acceptor.

    Args:
        begin: the items, states of the given acceptor, that one begins in, and their weights.
        steps: of an item, labels, weights and the items that they lead to.
        ending: the weight of an item's being the last; -inf: it may not be.
    """
    start = list(begin)
    # a subset by what tells it from others: its only item, or the set of its items and residuals
    index: dict[object, int] = {frozenset(start): 0}
    queue = [start]
    arcs, weights = [], []
    for subset in queue:
        reached: dict[int, list[tuple[Item, float]]] = {}
        for item, residual in subset:
            for label, weight, to in steps(item):
                if label in reached:
                    reached[label].append((to, weight + residual))
                else:
                    reached[label] = [(to, weight + residual)]
        row, row_weights = {}, []
        for label in sorted(reached):
            items = reached[label]
            key: object
            if len(items) == 1:
                key, best = items[0]
                items = [(key, 0.0)]
            else:
                items, best = _normalised(items)
                key = frozenset(items)
            number = index.get(key, -1)
            if number < 0:
                number = index[key] = len(queue)
                queue.append(items)
            row[label] = number
            row_weights.append(best)
        arcs.append(row)
        weights.append(row_weights)
    ends = [max([residual + ending(item) for item, residual in subset]) for subset in queue]
    return Deterministic(arcs, weights, ends)


def _normalised(reached: list[tuple[Item, float]]) -> tuple[list[tuple[Item, float]], float]:
    """Items, each once, with the residuals of (1), and what was taken out."""
    best = max([weight for _, weight in reached])
    items: dict[Item, float] = {}
    for item, weight in reached:
        items[item] = max(round(weight - best, DIGITS), items.get(item, -math.inf))
    return list(items.items()), best


Row = list[tuple[int, float, int]]  # arcs out of a state: label, weight, next state


def ends_apart(rows: list[Row], ending: list[float]) -> tuple[list[Row], list[bool], list[int]]:
    """The same acceptor with no weight on ending, for who knows only states that are final or not.

    A state whose ending has a weight gets a copy for the paths that end there: arcs into the copy
    carry the weight, and none leads out. That is no longer deterministic, but each path has still
    one counterpart, which is what sums over paths want.

    Args:
        rows: of each state; without cycles but for loops from a state to itself.
        ending: per state, of ending there; -inf: it may not.

    Returns:
        The rows, whether each state is final, and of which state each is the copy, or itself.
    """
    weighted = [n for n, weight in enumerate(ending) if n and -math.inf < weight != 0.0]
    copies = {n: len(rows) + k for k, n in enumerate(weighted)}
    apart = [
        [
            arc
            for label, weight, to in row
            for arc in (
                [(label, weight, to), (label, weight + ending[to], copies[to])]
                if to in copies and to != n
                else [(label, weight, to)]
            )
        ]
        for n, row in enumerate(rows)
    ]
    apart += [[(*arc[:2], copies[n]) for arc in rows[n] if arc[2] == n] for n in weighted]
    final = [weight > -math.inf and n not in copies for n, weight in enumerate(ending)]
    return apart, final + [True] * len(copies), [*range(len(rows)), *weighted]
