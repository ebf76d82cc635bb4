"""Small lattices for tests, and all their paths."""

from __future__ import annotations

import numpy as np

from chainstitch.utils.decode.compact import CompactLattice, in_order

WORDS = 4


def random_lattice(seed: int, states: int = 6, one_way: bool = False) -> CompactLattice:
    """A lattice of WORDS words with a path through each state.

    Args:
        one_way: one path only leads to each state but the end.
    """
    rng = np.random.default_rng(seed)
    end = states
    arcs = []
    for target in range(1, states):
        sources = rng.choice(target, 1 if one_way else min(target, 2), replace=False)
        arcs += [(int(s), target) for s in sources]
    leaves = set(range(states)) - {s for s, _ in arcs}
    rows, pdfs = [], []
    for source, target in arcs:
        for word in rng.choice(np.arange(1, WORDS + 1), 1 if one_way else 2, replace=False):
            graph, acoustic = rng.uniform(0.0, 2.0), rng.uniform(-3.0, 1.0)
            rows.append((source, target, int(word), float(graph), float(acoustic)))
            pdfs.append(rng.integers(0, 9, rng.integers(0, 3)).tolist())
    for source in sorted(leaves):
        rows.append((source, end, 0, float(rng.uniform(0.0, 1.0)), 0.0))
        pdfs.append(rng.integers(0, 9, 1).tolist())
    return in_order(end, rows, pdfs)


def all_paths(lattice: CompactLattice) -> list[list[int]]:
    """The arcs of every path."""
    found, todo = [], [(0, list[int]())]
    while todo:
        state, path = todo.pop()
        if state == lattice.end:
            found.append(path)
        for arc in np.flatnonzero(lattice.src == state).tolist():
            todo.append((int(lattice.dst[arc]), [*path, arc]))
    return found


def rows_of(lattice: CompactLattice, costs: np.ndarray) -> list[tuple[int, int, int, float]]:
    """Arcs as the twins take them."""
    columns = (lattice.src, lattice.dst, lattice.word, costs)
    return list(zip(*(column.tolist() for column in columns), strict=True))
