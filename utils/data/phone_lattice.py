"""Phone lattices: several ways to say a transcript, each phone with the frames that it has there.

A state is a moment; an arc is a phone from one moment to a later one, so that all paths between two
states take the same time. State 0 is the beginning, the last state the end, and an arc leads from a
lower state to a higher one. An alignment is the lattice that has one path (`from_alignment`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

Arc = tuple[int, int, int, int]  # source, target, phone, input frames

LONGEST = 2**31 - 1  # frames, as they are kept in 32 bits


@dataclass(frozen=True)
class PhoneLattice:
    """See the module's text.

    Attributes:
        arcs: (source, target, phone, input frames), phones from 1, frames from 1.

    Raises:
        ValueError: arcs that are no such lattice; says which and why.
    """

    arcs: Sequence[Arc]

    def __post_init__(self) -> None:
        _ = self.times

    @cached_property
    def times(self) -> list[int]:
        """Per state, the input frames before it."""
        if not self.arcs:
            raise ValueError("a lattice without arcs")
        end = max(target for _, target, _, _ in self.arcs)
        if not 0 < end <= len(self.arcs):  # before memory is asked for
            raise ValueError(f"the highest state is {end}, of {len(self.arcs)} arcs")
        times, left = [-1] * (end + 1), [False] * end
        times[0] = 0
        for source, target, phone, frames in sorted(self.arcs):
            if not 0 <= source < target or phone < 1 or not 1 <= frames <= LONGEST:
                raise ValueError(f"an arc {source} {target} of phone {phone}, {frames} frames")
            if times[source] < 0:
                raise ValueError(f"no arc leads to state {source}, or only from a later one")
            time, left[source] = times[source] + frames, True
            if time > LONGEST or times[target] not in (-1, time):
                raise ValueError(f"state {target} is {times[target]} and {time} frames away")
            times[target] = time
        if not all(left):
            raise ValueError(f"nothing leads on from state {left.index(False)}")
        return times

    @property
    def frames(self) -> int:
        """Input frames of the utterance."""
        return self.times[-1]

    @cached_property
    def leaving(self) -> list[list[int]]:
        """Per state, the numbers of the arcs out of it."""
        found: list[list[int]] = [[] for _ in self.times]
        for number, (source, *_) in enumerate(self.arcs):
            found[source].append(number)
        return found

    def following(self, state: int) -> tuple[int, ...]:
        """The phones that may come after a state, ascending, with 0 at the end."""
        if state == len(self.times) - 1:
            return (0,)
        return tuple(sorted({self.arcs[number][2] for number in self.leaving[state]}))


def from_alignment(alignment: Iterable[tuple[int, int]]) -> PhoneLattice:
    """The lattice of one path; `alignment` has (phone, input frames).

    Raises:
        ValueError: no phones, or a phone or a duration below 1.
    """
    return PhoneLattice([(n, n + 1, *pair) for n, pair in enumerate(alignment)])


def minimised(arcs: Iterable[tuple[int, int, int]], times: Sequence[int]) -> list[Arc]:
    """The same paths with as few states as can be, in the order of time.

    States of one time that are followed by the same are one state (from the end backwards, so that
    what follows has been settled).

    Args:
        arcs: (source, target, phone), between states that have a time; each state but those of the
            last time has an arc out of it, and each but one, the beginning, an arc into it.
        times: of the states.
    """
    leaving: dict[int, set[tuple[int, int]]] = {}
    for source, target, phone in arcs:
        leaving.setdefault(source, set()).add((target, phone))
    end = max(times)
    known: dict[object, int] = {}
    same: dict[int, int] = {}  # the state in whose place it is
    for state in sorted(range(len(times)), key=lambda s: -times[s]):
        ways = frozenset((same[to], phone) for to, phone in leaving.get(state, ()))
        same[state] = known.setdefault((times[state], ways), state)
    kept = sorted({*same.values()}, key=lambda s: (times[s], s))
    number = {state: n for n, state in enumerate(kept)}
    assert times[kept[-1]] == end
    return [
        (number[state], number[to], phone, times[to] - times[state])
        for state in kept
        for to, phone in sorted({(same[to], phone) for to, phone in leaving.get(state, ())},
                                key=lambda way: (number[way[0]], way[1]))
    ]  # fmt: skip
