r"""A back-off model as an automaton, to ask word by word.

model.py answers for many n-grams at a time; rescoring asks for one word after the other, and goes
on from where that led. A state is a history h; s(h) is the longest end of h that the model has.
After h the words w that were seen there have their own cost, -log p(w | h); every other one costs
what it costs after s(h), and the back-off weight of h more:

    cost(w | h) = -log p(w | h)          if (h, w) is in the model,
                = b(h) + cost(w | s(h))  if not;             the end of a sentence likewise.     (1)

That is (2) and (3) of model.py, in natural logarithms. The state behind is the longest history in
the model that h w ends with. N-gram i, counted from 0 over all orders, is the state i + 1, and 0 is
the empty history; so the keys of model.py become h V + w, and are sorted over all orders.

A history behind which nothing was seen is never asked for: what leads to it leads to where it backs
off to at once, and costs as much more. Lattices stay smaller by that.

An n-gram takes 16 bytes, and one that may be a history 8 more. A word is found in some 4
microseconds, most of which are Python's, also of a model of 3.7 million n-grams and 150,000 words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from chainstitch.utils.lm.model import END, NONE, START, Array, BackoffModel

LOG_10 = math.log(10.0)

State = TypeVar("State")


class Model(Protocol[State]):
    """What rescoring asks: the state before a sentence, and (next state, cost) of a word."""

    @property
    def start(self) -> State: ...
    def step(self, state: State, word: int) -> tuple[State, float]: ...
    def finish(self, state: State) -> float: ...


def sentence_cost(model: Model[Any], words: Sequence[int]) -> float:
    """-log p of a sentence."""
    state, total = model.start, 0.0
    for word in words:
        state, cost = model.step(state, word)
        total += cost
    return total + model.finish(state)


@dataclass(frozen=True, eq=False)
class Automaton:
    """(1), in tables.

    Attributes:
        start: the state in which a sentence begins.
        size: V, how many numbers words have.
        numbers: the number of each label of words.txt, NONE of those that the model lacks.
        end: the number of the end of a sentence.
        keys: (n-grams,) h V + w, increasing.
        cost, following: (n-grams,) -log p(w | h); the state behind.
        lower, lower_cost: (states,) s(h), NONE of the empty history; b(h) as a cost.
    """

    start: int
    size: int
    numbers: list[int]
    end: int
    keys: Array
    cost: Array
    following: Array
    lower: Array
    lower_cost: Array

    def step(self, state: int, word: int) -> tuple[int, float]:
        """The state behind a word and its cost; (start, inf) for a word that the model lacks."""
        return self._step(state, self.numbers[word])

    def finish(self, state: int) -> float:
        """The cost of the end of a sentence."""
        return self._step(state, self.end)[1]

    def find(self, state: int, number: int) -> int:
        """The place of an n-gram in the tables, NONE if it is not there."""
        key = state * self.size + number
        at = int(self.keys.searchsorted(key))
        return at if number != NONE and at < len(self.keys) and self.keys[at] == key else NONE

    def _step(self, state: int, number: int) -> tuple[int, float]:
        paid = 0.0
        while state != NONE and number != NONE:
            at = self.find(state, number)
            if at != NONE:
                return int(self.following[at]), paid + float(self.cost[at])
            paid, state = paid + float(self.lower_cost[state]), int(self.lower[state])
        return self.start, math.inf

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return sum(table.nbytes for table in vars(self).values() if isinstance(table, np.ndarray))


def automaton(model: BackoffModel, words: Mapping[str, int]) -> Automaton:
    """A model, for the labels of words.txt.

    Args:
        words: word -> label.
    """
    size, counts = len(model.words), model.counts
    numbers = [NONE] * (1 + max(words.values()))
    for word, label in words.items():
        numbers[label] = model.ids.get(word.encode(), NONE)
    begins = np.cumsum([0, *counts])  # of each order in the tables
    states = 1 + int(begins[-2])
    firsts = [0, *begins[:-2] + 1]  # the first history, as a state, of each order
    keys = np.concatenate(
        [level.keys + size * first for level, first in zip(model.levels, firsts, strict=True)]
    )
    ends = _ends(model, keys, begins)
    cost = np.concatenate([level.logp.astype(np.float32) for level in model.levels])
    back_off = [level.backoff.astype(np.float32) for level in model.levels[:-1]]
    lower_cost = np.concatenate([np.zeros(1, np.float32), *back_off])
    cost *= -LOG_10
    lower_cost *= -LOG_10
    lower = np.concatenate([np.array([NONE], np.int32), ends[: states - 1]])
    following = np.arange(1, len(keys) + 1, dtype=np.int32)
    following[states - 1 :] = ends[states - 1 :]
    _short_cuts(keys // size, cost, following, lower, lower_cost)
    start = 1 + model.ids[START] if model.order > 1 else 0
    return Automaton(
        start, size, numbers, model.ids[END], keys, cost, following, lower, lower_cost
    )  # fmt: skip


def _ends(model: BackoffModel, keys: Array, begins: Array) -> Array:
    """Of each n-gram, as a state: the longest end of it, less than itself, that the model has.

    That of (h, w) is (s(h), w), or (s(s(h)), w), and so on; w alone is always there.
    """
    ends = np.zeros(len(keys), np.int32)
    for n in range(2, model.order + 1):
        begin = begins[n - 1]
        known, found_here = keys[:begin], ends[begin : begins[n]]
        for part in model.blocks(n):
            history, word = np.divmod(keys[begin:][part], len(model.words))
            left, shorter = np.arange(len(word)), ends[history - 1].astype(np.int64)
            block = found_here[part]
            while len(left):
                wanted = shorter[left] * len(model.words) + word[left]
                order = np.argsort(wanted)  # as in `BackoffModel.child`
                left, wanted = left[order], wanted[order]
                at = np.searchsorted(known, wanted)
                there = known[np.minimum(at, begin - 1)] == wanted
                block[left[there]] = at[there] + 1
                left = left[~there]
                shorter[left] = ends[shorter[left] - 1]
    return ends


def _short_cuts(
    source: Array, cost: Array, following: Array, lower: Array, lower_cost: Array
) -> None:
    """Leads what leads to a history behind which nothing was seen to where it backs off, in place.

    Args:
        source: the history of each n-gram.
    """
    empty = lower != NONE
    empty[source] = False
    while len(through := np.flatnonzero(empty[following])):
        cost[through] += lower_cost[following[through]]
        following[through] = lower[following[through]]
