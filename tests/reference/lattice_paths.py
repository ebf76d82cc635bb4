"""Every path of a small lattice, one after the other."""

from __future__ import annotations

from typing import Any

from chainstitch.utils.decode.lattice import _arcs


def paths(lattice: Any) -> list[tuple[list[int], list[int], float]]:
    """(words, pdfs, cost) of each."""
    found = []
    waiting = [(lattice.start, [], [], 0.0)]
    while waiting:
        state, words, pdfs, cost = waiting.pop()
        weight = lattice.final(state)
        end = weight.value1 + weight.value2
        if end < float("inf"):
            found.append((words, pdfs, cost + end))
        for arc in _arcs(lattice, state):
            waiting.append((
                arc.nextstate,
                words + [arc.olabel] * (arc.olabel > 0),
                pdfs + [arc.ilabel - 1] * (arc.ilabel > 0),
                cost + arc.weight.value1 + arc.weight.value2,
            ))  # fmt: skip
    return found
