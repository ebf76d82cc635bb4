"""Subset construction: a deterministic acceptor of what a nondeterministic one accepts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)


def determinised(
    begin: Iterable[Item],
    steps: Callable[[Item], Iterable[tuple[int, Item]]],
    final: Callable[[Item], bool],
) -> tuple[list[dict[int, int]], list[bool]]:
    """Per state {label: next state}, and whether it is final; state 0 is the start.

    Args:
        begin: the items, states of the given acceptor, that one begins in.
        steps: of an item, its labels and the items that they lead to.
        final: whether an item may be the last.
    """
    start = frozenset(begin)
    index, queue = {start: 0}, [start]
    arcs = []
    for subset in queue:
        reached: dict[int, list[Item]] = {}
        for item in subset:
            for label, to in steps(item):
                if label in reached:
                    reached[label].append(to)
                else:
                    reached[label] = [to]
        row = {}
        for label in sorted(reached):
            key = frozenset(reached[label])
            number = index.get(key, -1)
            if number < 0:
                number = index[key] = len(queue)
                queue.append(key)
            row[label] = number
        arcs.append(row)
    return arcs, [any(map(final, subset)) for subset in queue]
