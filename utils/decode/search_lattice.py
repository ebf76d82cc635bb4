"""A lattice of the search as arrays, and its states in an order that all arcs follow."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainstitch.utils.compiled import njit

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def search_arrays(lattice: Any) -> tuple[Any, ...]:
    """Start, arcs of each state, final weights (states, 2), and columns of all arcs.

    Through the binary form, in memory: an arc at a time would take ten times as long. That is a
    header (24 bytes before the types' names, 40 behind the flags ...), then state by state two
    floats, the number of its arcs (8 bytes), and the arcs: input, output, two floats, next state.
    """
    descriptor = os.memfd_create("lattice")
    with open(descriptor, "r+b") as memory:
        lattice.write(f"/proc/self/fd/{descriptor}")
        memory.seek(0)
        data = memory.read()
    states = lattice.num_states
    # from behind: the header's length depends on names of types, what follows is known
    arcs = [lattice.num_arcs(state) for state in range(states)]
    counts = np.array(arcs, np.int64)
    words = np.frombuffer(data, "<i4", 4 * states + 5 * int(counts.sum()),
                          len(data) - 16 * states - 20 * int(counts.sum()))  # fmt: skip
    places = 4 * np.arange(states) + 5 * (np.cumsum(counts) - counts)
    before = np.cumsum(counts) - counts
    at = np.repeat(places + 4 - 5 * before, counts) + 5 * np.arange(counts.sum())
    floats = words.view("<f4")
    final = floats[places[:, None] + np.arange(2)]
    weight = floats[at[:, None] + np.arange(2, 4)]
    columns = [words[at + n].astype(np.int64) for n in (0, 1, 4)]
    pdf, word, target = columns
    return (
        lattice.start,
        counts,
        final.astype(np.float64),
        pdf,
        word,
        weight.astype(np.float64),
        target,
    )


@njit()
def state_order(first: Ints, target: Ints) -> Ints:
    """The states in an order in which every arc leads onwards; fewer where there is a cycle.

    Args:
        first: where the arcs of each state begin, and the number of all; target: of each arc.
    """
    states = len(first) - 1
    waiting = np.zeros(states, np.int64)
    for arc in range(len(target)):
        waiting[target[arc]] += 1
    order, count = np.empty(states, np.int64), 0
    for state in range(states):
        if waiting[state] == 0:
            order[count] = state
            count += 1
    done = 0
    while done < count:
        state = order[done]
        done += 1
        for arc in range(first[state], first[state + 1]):
            waiting[target[arc]] -= 1
            if waiting[target[arc]] == 0:
                order[count] = target[arc]
                count += 1
    return order[:count]
