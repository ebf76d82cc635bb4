r"""What a transcript may sound like: all of its phone strings, as one small weighted acceptor.

Between two words v and w there may be one silence. With the probabilities of the lexicon, as L has
them (chainstitch.utils.lang.compose), a string's weight is the sum over its words of

    log p(pronunciation)  +  log P(s | v) + log F(s | w)          where a silence is before w,
                             log (1 - P(s | v)) + log F(n | w)    where none is,               (1)

v being `<s>` before the first word, and w `</s>` behind the last. Of two ways to divide a string
among the words the better one counts.

**Only differences matter**, as a transcript is compared with itself. So log 2 is added for each gap
between words, of which all strings have equally many, and then weights are given relative to the
best string of the transcript, which has 0 (they are pushed to the front: a graph's arcs all have 0
or less, and from each state the best way on has 0). Without probabilities of one's own P = 1/2 and
F = 1, all strings are equally likely, and all weights are exactly 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from chainstitch.utils.hmm.determinise import DIGITS, determinised

Phones = tuple[int, ...]
# where a word can begin, within (word, pronunciation, phones said): a silence was said before it,
# none was, or one has to be said now
SILENT, SPOKEN, TO_BE_SILENT = 1, 0, 2


class EntryWeights(NamedTuple):
    """Logarithms of what the lexicon says of one pronunciation.

    Attributes:
        said: of the pronunciation, log p.
        then_silence, then_speech: log 2 P(s | w) and log 2 (1 - P(s | w)), of what comes after it.
        after_silence, after_speech: log F(s | w) and log F(n | w), by what came before it.
    """

    said: float = 0.0
    then_silence: float = 0.0
    then_speech: float = 0.0
    after_silence: float = 0.0
    after_speech: float = 0.0


@dataclass(frozen=True)
class LexiconWeights:
    """Those of a lexicon.

    Attributes:
        entries: by word and phones; for what is not there, `default`.
        start: of `<s>`, whose `then_` count; end: of `</s>`, whose `after_` count.
    """

    entries: Mapping[tuple[str, Phones], EntryWeights] = field(default_factory=dict)
    default: EntryWeights = EntryWeights()
    start: EntryWeights = EntryWeights()
    end: EntryWeights = EntryWeights()

    def of(self, word: str, phones: Phones) -> EntryWeights:
        """Those of a pronunciation."""
        return self.entries.get((word, phones), self.default)


EVEN = LexiconWeights()


@dataclass(frozen=True)
class PhoneGraph:
    """A deterministic acyclic acceptor over phones; state 0 is the start.

    Attributes:
        arcs: per state, {phone: next state}.
        weights: per state, of its arcs in their order, in nats, 0 or less.
        ending: per state, of ending there; -inf: a transcript may not.
    """

    arcs: list[dict[int, int]]
    weights: list[list[float]]
    ending: list[float]

    @cached_property
    def final(self) -> list[bool]:
        """Per state, whether a transcript may end there."""
        return [weight > -math.inf for weight in self.ending]

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
    words: Sequence[str],
    pronunciations: Mapping[str, Sequence[Phones]],
    silence: int | None,
    weights: LexiconWeights = EVEN,
) -> PhoneGraph:
    """All pronunciations of `words`, with optional `silence` before, between and after them.

    A subset construction over (word index, pronunciation, position), which also shares equal
    prefixes.

    Raises:
        KeyError: a word without pronunciation.
    """
    # an item (i, pron, k): within word i's pronunciation, k phones said; (i, None, s): before word
    # i, s being SILENT, SPOKEN or TO_BE_SILENT (never two silences in a row)
    Item = tuple[int, "Phones | None", int]

    def gap(i: int, said: EntryWeights, before: float = 0.0) -> list[tuple[float, Item]]:
        """Where one can be behind word i - 1, with the weights of silence and of none."""
        speech = (before + said.then_speech, (i, None, SPOKEN))
        if silence is None:
            return [speech]
        return [speech, (before + said.then_silence, (i, None, TO_BE_SILENT))]

    def successors(item: Item) -> list[tuple[int, float, Item]]:
        i, pron, k = item
        if pron is not None:
            if k + 1 < len(pron):
                return [(pron[k], 0.0, (i, pron, k + 1))]
            ways = gap(i + 1, weights.of(words[i], pron))
            return [(pron[k], weight, to) for weight, to in ways]
        if k == TO_BE_SILENT:
            assert silence is not None
            return [(silence, 0.0, (i, None, SILENT))]
        result: list[tuple[int, float, Item]] = []
        if i < len(words):
            for p in pronunciations[words[i]]:
                of = weights.of(words[i], p)
                weight = of.said + (of.after_silence if k == SILENT else of.after_speech)
                if len(p) > 1:
                    result.append((p[0], weight, (i, p, 1)))
                else:
                    result += [(p[0], w, to) for w, to in gap(i + 1, of, weight)]
        return result

    def ending(item: Item) -> float:
        i, pron, k = item
        if i < len(words) or pron is not None or k == TO_BE_SILENT:
            return -math.inf
        return weights.end.after_silence if k == SILENT else weights.end.after_speech

    begin = [(item, weight) for weight, item in gap(0, weights.start)]
    made = determinised(begin, successors, ending)
    return _pushed(PhoneGraph(made.arcs, made.weights, made.ending))


def _pushed(graph: PhoneGraph) -> PhoneGraph:
    """The same with the best way on from each state weighing 0, and so all of them 0 or less."""
    if not any(map(any, graph.weights)) and {*graph.ending} <= {0.0, -math.inf}:
        return graph
    best = list(graph.ending)
    for state in reversed(_sorted(graph.arcs)):
        for weight, to in zip(graph.weights[state], graph.arcs[state].values(), strict=True):
            best[state] = max(best[state], weight + best[to])
    weights = [
        [
            round(weight + best[to] - best[state], DIGITS)
            for weight, to in zip(row, arcs.values(), strict=True)
        ]
        for state, (row, arcs) in enumerate(zip(graph.weights, graph.arcs, strict=True))
    ]
    ending = [round(end - b, DIGITS) for end, b in zip(graph.ending, best, strict=True)]
    return PhoneGraph(graph.arcs, weights, ending)


def _sorted(arcs: Sequence[Mapping[int, int]]) -> list[int]:
    """The states of an acyclic graph so that arcs lead forward only."""
    entering = [0] * len(arcs)
    for row in arcs:
        for to in row.values():
            entering[to] += 1
    order = [0]
    for state in order:
        for to in arcs[state].values():
            entering[to] -= 1
            if not entering[to]:
                order.append(to)
    return order
