"""What a transcript may sound like: all of its phone strings, as one small acceptor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from chainstitch.utils.hmm.determinise import determinised


@dataclass(frozen=True)
class PhoneGraph:
    """A deterministic acyclic acceptor over phones; state 0 is the start.

    Attributes:
        arcs: per state, {phone: next state}.
        final: per state, whether a transcript may end there.
    """

    arcs: list[dict[int, int]]
    final: list[bool]

    def following(self, state: int) -> tuple[int, ...]:
        """The phones that may come after a state, ascending, with 0 where it may be the last."""
        return (*((0,) if self.final[state] else ()), *sorted(self.arcs[state]))

    @cached_property
    def min_frames(self) -> int:
        """Phones on the shortest path: the least number of output frames that can carry it."""
        best = {0: 0}
        queue = [0]
        for state in queue:
            if self.final[state]:
                return best[state]
            for to in self.arcs[state].values():
                if to not in best:
                    best[to] = best[state] + 1
                    queue.append(to)
        return 0


def phone_graph(
    words: Sequence[str], pronunciations: dict[str, list[tuple[int, ...]]], silence: int | None
) -> PhoneGraph:
    """All pronunciations of `words`, with optional `silence` before, between and after them.

    A subset construction over (word index, pronunciation, position), which also shares equal
    prefixes.

    Raises:
        KeyError: a word without pronunciation.
    """
    # an item (i, pron, k): within word i's pronunciation, k phones said; (i, None, s): before
    # word i with s = whether a silence was just said (no two in a row)
    Item = tuple[int, "tuple[int, ...] | None", int]

    def successors(item: Item) -> list[tuple[int, Item]]:
        i, pron, k = item
        if pron is not None:
            after: Item = (i, pron, k + 1) if k + 1 < len(pron) else (i + 1, None, 0)
            return [(pron[k], after)]
        result: list[tuple[int, Item]] = []
        if silence is not None and not k:
            result.append((silence, (i, None, 1)))
        if i < len(words):
            for p in pronunciations[words[i]]:
                result.append((p[0], (i, p, 1) if len(p) > 1 else (i + 1, None, 0)))
        return result

    def final(item: Item) -> bool:
        return item[0] == len(words) and item[1] is None

    start: Item = (0, None, 0)
    return PhoneGraph(*determinised([start], successors, final))
