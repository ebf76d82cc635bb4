r"""Counts of all n-grams of a text of any length, in bounded memory.

Kneser-Ney asks, of an n-gram (h, w), for the count of it, for the number of different words before
it, for sums over all w after h, and for the probability of (h', w). With v for the last word of h,
all of these are of n-grams whose last word but one is v. So the text is cut by v: each word goes,
with the N-1 words before it, to the part of the disk that v belongs to, and from there on each part
is worked on by itself, all orders together. Only counts of single words and a few numbers of the
whole text pass between parts. What has to be in memory at once is what follows the words of one
part: of running English at most the 5 % that follow "the", 60 bytes for each.

In a part the n-grams of order n are a table, sorted by

    key_i = s_i (V + 1) + l_i + 1                                                        (1)

where s_i is the place of the n-gram without its first word in the table of order n-1, and l_i that
first word; for bigrams s_i is v and l_i is w itself. l = PAD is before <s>.

    raw(i)      = how often the text has it                                              (2)
    adjusted(i) = raw(i)                                  of order N, and if l_i is <s>  (3)
                  number of entries j of order n+1 with s_j = i    otherwise
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chainstitch.utils.errors import UserError
from chainstitch.utils.lm.model import Array
from chainstitch.utils.lm.spill import Spill
from chainstitch.utils.lm.tokens import PAD, windows

log = logging.getLogger(__name__)

PARTS = 128  # at most
PART_BYTES = 1 << 20  # of text, about, until there are so many
SAY = 10_000_000  # words between two lines of the log


@dataclass
class Table:
    """The n-grams of one order in a part.

    Attributes:
        keys: (1), increasing.
        raw, adjusted: (2) and (3).
    """

    keys: Array
    raw: Array
    adjusted: Array

    def __len__(self) -> int:
        return len(self.keys)


def parts_for(texts: Iterable[Path | str]) -> int:
    """How many parts texts are cut into."""
    total = sum(file.stat().st_size for text in texts for file in _files(Path(text)))
    return min(PARTS, 1 + total // PART_BYTES)


def _files(text: Path) -> list[Path]:
    return list(text.glob("cuts*")) if text.is_dir() else [text] * text.exists()


def cut(texts: Iterable[Path | str], numbers: Mapping[str, int], order: int, spill: Spill) -> int:
    """Writes each word with those before it to the part of the last but one; returns how many.

    Args:
        numbers: see `tokens.windows`; a Growing gets all words of the texts.
        order: 2 or more.
        spill: of records with "w", `order` numbers of words.

    Raises:
        UserError: a text holds no words, or what `tokens.windows` raises.
    """
    words = sentences = 0
    end = numbers["</s>"]
    for text in texts:
        before = words
        for rows in windows(text, numbers, order):
            spill.add(rows[:, -2] % spill.parts, rows.view(spill.kind).ravel())
            said = words // SAY
            sentences += int((rows[:, -1] == end).sum())
            words += len(rows)
            if words // SAY > said:
                log.info("%d million words read", (words - sentences) // 10**6)
        if words == before:
            raise UserError(f"{text} holds no words; wanted a sentence a line")
    return words - sentences


def count(rows: Array, words: int, start: int) -> Iterator[Table]:
    """The tables of a part, from order 2 to N.

    Args:
        rows: all that `cut` wrote of it, (number, N).
        words: V.
        start: the number of <s>.
    """
    order = rows.shape[1]
    radix = words + 1
    place, pending = rows[:, -2].astype(np.int64), None
    for n in range(2, order + 1):
        left = rows[:, -1] if n == 2 else rows[:, order - n]
        keys, inverse, raw = np.unique(
            place * radix + left + 1, return_inverse=True, return_counts=True
        )
        if pending is not None:  # the order below
            above, first = np.divmod(keys, radix)
            different = np.bincount(above[first > 0], minlength=len(pending))
            begins = _first_words(pending, n - 1, radix) == start
            pending.adjusted = np.where(begins, pending.raw, different)
            yield pending
        goes_on = left != PAD
        rows, place = rows[goes_on], inverse[goes_on]
        if n > 2:  # what begins before <s> is no n-gram
            there = keys % radix > 0
            place = (np.cumsum(there) - 1)[place]
            keys, raw = keys[there], raw[there]
        pending = Table(keys, raw, raw)
    if pending is not None:
        yield pending


def _first_words(table: Table, n: int, radix: int) -> Array:
    return table.keys // radix if n == 2 else table.keys % radix - 1
