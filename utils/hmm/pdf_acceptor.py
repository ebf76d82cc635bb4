"""From phones to pdfs: which pdf strings a sequence may have, as a deterministic acceptor.

Two ways to know what was said. **End to end** (`pdf_acceptor`): a phone graph, any phone as long as
it likes. **Aligned** (`aligned_acceptor`): phone i was said in input frames b_i .. e_i - 1, give or
take a tolerance, so that it may be at output frame t (one in f input frames) only if

    ceil(max(0, b_i - tolerance) / f) <= t < ceil((e_i + tolerance) / f)                       (1)

and the acceptor's states have a time. It can be cut: a *chunk* of output frames first .. last - 1
begins in whatever phones can be there at `first` and ends in whatever can be there at `last`.
(Kaldi chain-supervision.cc; there the frames allow a phone wherever it occurs, here its own
occurrence.)

The first has the weights of the phone graph: a phone's is that of its entry. The second has none:
what was said is known, and how likely it was is all the same.

**Deterministic**, because a sum over paths counts each pdf string as often as it has paths here,
times those in the denominator; only with one path each is the numerator a part of the denominator.
Phones are told apart by their pdfs unless leaves of the tree are shared, so both are made by subset
construction (determinise.py): a state is a set of *items*, one for each way that leads there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chainstitch.utils.hmm.determinise import determinised
from chainstitch.utils.hmm.phone_graph import PhoneGraph
from chainstitch.utils.hmm.topology import Leaves, in_context

TOLERANCE = 5  # input frames, Kaldi's default on either side

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


def aligned_acceptor(
    phones: Sequence[int],
    durations: Sequence[int],
    leaves: Leaves,
    first: int = 0,
    last: int | None = None,
    tolerance: int = TOLERANCE,
    subsampling: int = 3,
) -> PdfAcceptor | None:
    """The pdf strings of output frames first .. last - 1 that are near an alignment.

    Args:
        phones: from 1; durations: of each, in input frames, at least 1.
        last: default all, ceil(input frames / subsampling).
        tolerance: input frames by which a phone may begin earlier and end later.

    Returns:
        None if no path fits: phones too short and too many for the tolerance.

    Raises:
        ValueError: phones and durations do not fit, or the chunk is not inside the utterance.
    """
    if len(phones) != len(durations) or not phones or min(durations) < 1 or min(phones) < 1:
        raise ValueError(
            f"alignment: wanted as many durations (>= 1) as phones (>= 1), got {len(durations)} "
            f"for {len(phones)}"
        )
    frames = -(-sum(durations) // subsampling)
    last = frames if last is None else last
    if not 0 <= first < last <= frames:
        raise ValueError(f"alignment: chunk {first}..{last} of {frames} output frames")
    window, begin = [], 0
    for duration in durations:  # (1)
        end = begin + duration
        low = -(-max(0, begin - tolerance) // subsampling)
        window.append((low, min(frames, -(-(end + tolerance) // subsampling))))
        begin = end
    # at[t]: which phones can stand before output frame t (-1: none yet), and still reach the end
    at: list[set[int]] = [{-1}]
    for t in range(frames):
        ahead = at[-1] | {i + 1 for i in at[-1]}
        at.append({i for i in ahead if 0 <= i < len(phones) and window[i][0] <= t < window[i][1]})
    at[frames] &= {len(phones) - 1}
    for t in reversed(range(frames)):
        at[t] &= at[t + 1] | {i - 1 for i in at[t + 1]}
    if not at[first]:
        return None

    contexts = in_context(phones)

    def steps(item: tuple[int, int]) -> Iterable[tuple[int, float, tuple[int, int]]]:
        t, i = item
        if t == last:
            return
        if i in at[t + 1]:
            yield leaves.loop(*contexts[i]), 0.0, (t + 1, i)
        if i + 1 in at[t + 1]:
            yield leaves.entry(*contexts[i + 1]), 0.0, (t + 1, i + 1)

    begins = [((first, i), 0.0) for i in sorted(at[first])]
    made = determinised(begins, steps, lambda item: 0.0 if item[0] == last else -math.inf)
    return PdfAcceptor(made.arcs, made.final, last - first)
