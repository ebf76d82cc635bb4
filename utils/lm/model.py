r"""A back-off n-gram model in memory: sorted arrays, looked up by many n-grams at a time.

Words are numbered 0..V-1. The n-grams of order n are a *level*: entry i of it is the n-gram (h, w),
whose history h is the entry c_i of the level below, and they are sorted by

    key_i = c_i V + w_i                                                                  (1)

so that an n-gram is found by n-1 binary searches, those that share a history are neighbours, and
all of it takes 24 bytes for each n-gram, 16 for those of the highest order: 1.1 GB for a 4-gram of
50 million. Every history is an n-gram of its own; that of a suffix may be absent (pruning does it).

The model says

    log p(w | h) = log p_i            where (h, w) is an entry i,                        (2)
                   b(h) + log p(w | h')   otherwise; b(h) = 0 where h is no entry,       (3)

h' being h without its first word. All logarithms are to the base 10, as in ARPA files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

BLOCK = 1 << 19  # n-grams that are worked on at a time
NONE = -1  # the place of what is not there, and the number of a word that the model lacks
LOG_ZERO = -99.0  # how ARPA files write the logarithm of 0
START, END, UNKNOWN = b"<s>", b"</s>", b"<unk>"


@dataclass
class Level:
    """The n-grams of one order.

    Attributes:
        keys: (1), increasing, int64.
        logp, backoff: float64; of the highest order no back-off is ever asked for, it is empty.
    """

    keys: Array
    logp: Array
    backoff: Array

    def __len__(self) -> int:
        return len(self.keys)


@dataclass
class BackoffModel:
    """Words and levels; level n-1 of the list holds the n-grams.

    The first level has an entry for each word, so that its keys are the numbers of the words.
    """

    words: list[bytes]
    levels: list[Level]

    @property
    def order(self) -> int:
        """The length of the longest n-grams."""
        return len(self.levels)

    @property
    def counts(self) -> list[int]:
        """How many n-grams there are of each order."""
        return [len(level) for level in self.levels]

    @cached_property
    def ids(self) -> dict[bytes, int]:
        """The number of each word."""
        return {word: n for n, word in enumerate(self.words)}

    def histories(self, n: int, part: slice = slice(None)) -> Array:
        """The places of the histories of n-grams in the level below."""
        return self.levels[n - 1].keys[part] // len(self.words)

    def rows(self, n: int, part: slice = slice(None)) -> Array:
        """The n-grams as numbers of words: (entries, n)."""
        place = self.levels[n - 1].keys[part]
        out = np.empty((len(place), n), dtype=np.int64)
        for m in range(n, 0, -1):
            history, out[:, m - 1] = np.divmod(place, len(self.words))
            place = self.levels[m - 2].keys[history] if m > 1 else place
        return out

    def blocks(self, n: int) -> Iterator[slice]:
        """The level of order n in parts of BLOCK n-grams."""
        for start in range(0, len(self.levels[n - 1]), BLOCK):
            yield slice(start, min(start + BLOCK, len(self.levels[n - 1])))

    def find(self, rows: Array) -> Array:
        """The places of n-grams (number, n); NONE where there is none.

        No words at all, n = 0, are at the place 0: the history of single words.
        """
        place = np.zeros(len(rows), dtype=np.int64)
        for n in range(rows.shape[1]):
            place = self.child(n, place, rows[:, n])
        return place

    def child(self, n: int, place: Array, word: Array) -> Array:
        """The places of n-grams of order n+1 by those of their histories."""
        level = self.levels[n]
        if not len(level):
            return np.full(len(place), NONE)
        known = (place >= 0) & (word >= 0)
        key = np.where(known, place * len(self.words) + word, NONE)
        if n == 0:
            return key
        order = np.argsort(key)  # neighbours are found in the same corner of memory: 7 times faster
        at = np.empty(len(key), dtype=np.int64)
        at[order] = np.minimum(np.searchsorted(level.keys, key[order]), len(level) - 1)
        return np.where(level.keys[at] == key, at, NONE)

    def log_probs(self, rows: Array) -> Array:
        """log p of the last word of each row after those before it: (number, n) -> (number,).

        Rows longer than the order lose words at the front. A word that the model lacks has -inf.
        """
        rows = rows[:, max(0, rows.shape[1] - self.order) :]
        out = np.full(len(rows), -np.inf)
        weight = np.zeros(len(rows))
        left = np.arange(len(rows))
        for n in range(rows.shape[1], 0, -1):
            part = rows[left, rows.shape[1] - n :]
            history = self.find(part[:, :-1])
            place = self.child(n - 1, history, part[:, -1])
            found = place >= 0
            out[left[found]] = weight[left[found]] + self.levels[n - 1].logp[place[found]]
            left, history = left[~found], history[~found]
            if n > 1:
                backs_off = history >= 0
                weight[left[backs_off]] += self.levels[n - 2].backoff[history[backs_off]]
        return out


def lower_log_probs(model: BackoffModel) -> Iterator[tuple[int, Array]]:
    """For the orders from 2 up: n, and log p(w | h') of all n-grams (h, w).

    Each order is computed when it is asked for, from what the model is then below it. The place of
    (h', w) is found from that of h', which is known from the order below: a search for each n-gram.
    """
    suffix = np.arange(len(model.words))  # where the n-grams of the order below are without w_1
    for n in range(2, model.order + 1):
        level, lower = model.levels[n - 1], np.empty(len(model.levels[n - 1]))
        shorter, suffix = suffix, np.empty(len(level), dtype=np.int64)
        for part in model.blocks(n):
            history, word = np.divmod(level.keys[part], len(model.words))
            place = word if n == 2 else model.child(n - 2, shorter[history], word)
            found, absent = place >= 0, place < 0
            suffix[part], values = place, np.empty(len(place))
            values[found] = model.levels[n - 2].logp[place[found]]
            if absent.any():
                values[absent] = model.log_probs(model.rows(n, part)[absent, 1:])
            lower[part] = values
        yield n, lower


def subset(model: BackoffModel, kept: Sequence[Array], words: list[bytes] | None = None) -> None:
    """Keeps some n-grams of a model, in place; back-off weights stay as they are.

    Args:
        kept: for each order, which of the n-grams; all words are kept unless `words` is given, and
            no n-gram without its history.
        words: the new words, if there are fewer: those of `kept[0]`.
    """
    old, new = len(model.words), len(model.words if words is None else words)
    renumbered = np.cumsum(kept[0]) - 1
    places = renumbered  # new places of the level below
    for n, (level, keep) in enumerate(zip(model.levels, kept, strict=True), start=1):
        keys = level.keys[keep]
        history, word = np.divmod(keys, old)
        level.keys = renumbered[keys] if n == 1 else places[history] * new + renumbered[word]
        level.logp = level.logp[keep]
        level.backoff = level.backoff[keep] if len(level.backoff) else level.backoff
        places = np.cumsum(keep) - 1
    if words is not None:
        model.words = words
        model.__dict__.pop("ids", None)
