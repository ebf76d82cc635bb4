"""From phones to pdfs: which pdf strings a sequence may have, as a deterministic acceptor.

Two ways to know what was said. **End to end** (`pdf_acceptor`): a phone graph, any phone as long as
it likes, with the weights of the graph, a phone's at its entry. **Aligned** (timed_acceptor.py): a
phone lattice, or an alignment, which says in which frames each phone may be; without weights.

**Deterministic**, because a sum over paths counts each pdf string as often as it has paths here,
times those in the denominator; only with one path each is the numerator a part of the denominator.
Phones are told apart by their pdfs unless leaves of the tree are shared, so both are made by subset
construction (determinise.py): a state is a set of *items*, one for each way that leads there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chainstitch.utils.hmm.determinise import determinised
from chainstitch.utils.hmm.phone_graph import PhoneGraph
from chainstitch.utils.hmm.topology import Leaves

# within a phone: the phone graph's state after it, the phone (0: none yet), the one before it, and
# those that may follow it, 0 the end (topology.py says why)
Place = tuple[int, int, int, tuple[int, ...]]


@dataclass(frozen=True)
class PdfAcceptor:
    """Deterministic; state 0 is the start.

    Attributes:
        arcs: per state, {pdf: next state}.
        final: per state, whether the sequence may end there.
        frames: how long every path is; 0 if that differs.
        weights: per state, of its arcs in their order; None: all 0.
        ending: per state, of ending there, where it is final; None: all 0.
    """

    arcs: list[dict[int, int]]
    final: list[bool]
    frames: int = 0
    weights: list[list[float]] | None = None
    ending: list[float] | None = None


def pdf_acceptor(graph: PhoneGraph, leaves: Leaves) -> PdfAcceptor:
    """All pdf strings of all phone strings of `graph`; a state's own phone may go on for ever."""

    def steps(place: Place) -> Iterable[tuple[int, float, Place]]:
        return next_places(graph, leaves, place)

    made = determinised([(first_place(graph), 0.0)], steps, lambda place: end_weight(graph, place))
    weights = made.weights if any(map(any, made.weights)) else None
    ending = made.ending if any(-math.inf < end != 0.0 for end in made.ending) else None
    return PdfAcceptor(made.arcs, made.final, 0, weights, ending)


def first_place(graph: PhoneGraph) -> Place:
    """Where all strings begin."""
    return 0, 0, 0, graph.following(0)


def end_weight(graph: PhoneGraph, place: Place) -> float:
    """Of nothing following; -inf: something has to."""
    return graph.ending[place[0]] if 0 in place[3] else -math.inf


def next_places(
    graph: PhoneGraph, leaves: Leaves, place: Place
) -> Iterator[tuple[int, float, Place]]:
    """The pdfs that a frame may have after a place, their weights, and where they lead to."""
    n, phone, left, rights = place
    if phone:
        yield leaves.loop(left, phone, rights[0]), 0.0, place  # the same one before all of them
    for (q, to), weight in zip(graph.arcs[n].items(), graph.weights[n], strict=True):
        if q in rights:
            for (entry, _), ahead in leaves.by_right(phone, q, graph.following(to)).items():
                yield entry, weight, (to, q, phone, ahead)
