r"""An n-gram model of a text of any length, to an ARPA file: five walks over parts on the disk.

    text     -> words by the word before them                      counting.cut
    each part-> tables of n-grams; numbers of the whole text       counting.count
    each part-> probabilities; back-off weights, by their history  kneser_ney.estimate
    each part-> n-grams with their back-off weights, by first word `_join`
    each part-> sorted lines of ARPA                               `_write`

No walk holds more than one part in memory. The disk holds, beside the output, some 16 bytes for
each word of the text and 30 for each different n-gram.

The n-grams of the file are sorted, by the order in which words were first seen: IRSTLM reads only a
part of files that are not, without a word.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainstitch.utils.errors import UsageError
from chainstitch.utils.files import directory_beside
from chainstitch.utils.lm import kneser_ney
from chainstitch.utils.lm.arpa_file import arpa_stream, write_ngrams
from chainstitch.utils.lm.counting import Table, count, cut, parts_for
from chainstitch.utils.lm.model import LOG_ZERO, Array
from chainstitch.utils.lm.spill import Spill
from chainstitch.utils.lm.tokens import Closed, Growing, read_vocabulary
from chainstitch.utils.lock import locked

log = logging.getLogger(__name__)

START, END, UNKNOWN = 0, 1, 2  # the numbers of <s>, </s> and, with a vocabulary, <unk>


@dataclass(frozen=True)
class Trained:
    """What came of a training: words of the text, and n-grams of each order."""

    words: int
    counts: list[int]


def train(
    texts: Sequence[Path | str],
    out: Path | str,
    order: int = 3,
    least: Sequence[int] = (),
    vocabulary: Path | str | None = None,
    parts: int = 0,
) -> Trained:
    """Trains an interpolated modified Kneser-Ney model and writes it as an ARPA file.

    Args:
        texts: files, plain or .gz, or data directories; see tokens.py.
        out: plain, or .gz by its name; the disk that it is on also gets the scratch files.
        order: 2 or more.
        least: n-grams of order 2, 3, ... that the text has less often are left out; the last number
            goes for higher orders, too; empty: all stay.
        vocabulary: a file of words; others become <unk>. None: all words of the texts, no <unk>.
        parts: how many; 0: by the sizes of the texts.

    Raises:
        UsageError: a text or the vocabulary does not exist, `least` falls.
        UserError: a text holds no words or is not UTF-8; another process writes `out`.
    """
    least = check_least(least, order)
    numbers: Growing | Closed
    if vocabulary is None:
        numbers = Growing({"<s>": START, "</s>": END})
    else:
        known = ["<s>", "</s>", "<unk>", *read_vocabulary(vocabulary)]
        numbers = Closed({word: n for n, word in enumerate(dict.fromkeys(known))})
        numbers.other = UNKNOWN
    with locked(out), directory_beside(Path(out)) as scratch:
        scratch.mkdir()
        parts = parts or parts_for(texts)
        spill = Spill(scratch, "words", [("w", "<i4", order)], parts)
        seen = cut(texts, numbers, order, spill)
        return Trained(seen, _Training(spill, [*numbers], order, least, scratch).write(out))


def check_least(least: Sequence[int], order: int) -> list[int]:
    """Least counts of orders 2 to `order`.

    Raises:
        UsageError: there are too many, or a higher order has a smaller one.
    """
    if len(least) > order - 1:
        raise UsageError(f"{len(least)} least counts for orders 2 to {order}")
    full = [*least, *[least[-1] if least else 1] * (order - 1 - len(least))]
    if full != sorted(full) or full[0] < 1:
        raise UsageError(
            f"least counts {', '.join(map(str, full))}: wanted 1 or more, and none below the one "
            "of the order before, as what stays needs its histories"
        )
    return full


class _Training:
    """The walks after the first."""

    def __init__(
        self, spill: Spill, words: list[str], order: int, least: list[int], scratch: Path
    ) -> None:
        self.words, self.order, self.least, self.scratch = words, order, least, scratch
        self.parts = spill.parts
        self._count(spill)

    def _tables(self, part: int) -> list[Table]:
        with np.load(self._file("tables", part)) as file:
            return [
                Table(*(file[f"{name}{n}"] for name in ("keys", "raw", "adjusted")))
                for n in range(2, self.order + 1)
            ]

    def _file(self, name: str, part: int) -> Path:
        return self.scratch / f"{name}-{part}.npz"

    def _count(self, spill: Spill) -> None:
        """Tables of each part, and what they say of the whole text."""
        tallies = np.zeros((self.order + 1, kneser_ney.DISTINCT), dtype=np.int64)
        different = np.zeros(len(self.words), dtype=np.int64)  # words before each word
        for part in range(self.parts):
            arrays: dict[str, Any] = {}
            rows = spill.take(part)["w"]
            for n, table in enumerate(count(rows, len(self.words), START), start=2):
                tallies[n] += kneser_ney.tally(table.adjusted)
                if n == 2:
                    last = table.keys % (len(self.words) + 1) - 1
                    different += np.bincount(last, minlength=len(self.words))
                arrays |= {f"keys{n}": table.keys, f"raw{n}": table.raw.astype(np.int32)}
                arrays[f"adjusted{n}"] = table.adjusted.astype(np.int32)
            np.savez(self._file("tables", part), **arrays)
        tallies[1] = kneser_ney.tally(different)
        self.discounts = [kneser_ney.discounts(tallies[n], n) for n in range(1, self.order + 1)]
        predicted = np.arange(len(self.words)) != START
        self.p = kneser_ney.word_probs(different, self.discounts[0], predicted)
        log.info("n-grams counted")

    def write(self, out: Path | str) -> list[int]:
        """Estimates, and writes the ARPA file; returns how many n-grams of each order it has."""
        weights = {
            n: Spill(self.scratch, f"weights{n}", [("w", "<i4", n), ("b", "<f8")], self.parts)
            for n in range(2, self.order)
        }
        counts = np.zeros(self.order + 1, dtype=np.int64)
        self.backoff = np.zeros(len(self.words))
        for part in range(self.parts):
            estimated = kneser_ney.estimate(
                self._tables(part), self.p, self.discounts[1:], self.least
            )
            arrays: dict[str, Any] = {}
            for n, found in enumerate(estimated, start=2):
                counts[n] += int(found.kept.sum())
                arrays |= {f"kept{n}": found.kept, f"p{n}": found.p}
                if n == 2:
                    self.backoff[found.histories[:, 0]] = np.log10(found.weights)
                else:
                    records = np.empty(len(found.histories), weights[n - 1].kind)
                    records["w"], records["b"] = found.histories, np.log10(found.weights)
                    weights[n - 1].add(found.histories[:, -2] % self.parts, records)
            np.savez(self._file("estimated", part), **arrays)
        log.info("probabilities estimated")
        counts[1] = len(self.words)
        ngrams = self._join(weights)
        self._write(out, counts[1:].tolist(), ngrams)
        return list(counts[1:].tolist())

    def _join(self, weights: dict[int, Spill]) -> dict[int, Spill]:
        """The n-grams that stay, with probability and back-off weight, by their first words."""
        ngrams = {
            n: Spill(self.scratch, f"ngrams{n}", self._kind(n), self.parts)
            for n in range(2, self.order + 1)
        }
        radix = len(self.words) + 1
        for part in range(self.parts):
            tables = self._tables(part)
            with np.load(self._file("estimated", part)) as file:
                spelled = np.empty((0, 0))
                for n, table in enumerate(tables, start=2):
                    below, left = np.divmod(table.keys, radix)
                    both = [below, left - 1] if n == 2 else [left - 1, spelled[below]]
                    spelled = np.column_stack(both)
                    records = np.zeros(len(table), self._kind(n))
                    records["w"], records["p"] = spelled, np.log10(file[f"p{n}"])
                    if n < self.order:
                        of = weights[n].take(part)
                        records["b"][_places(tables, of["w"], radix)] = of["b"]
                    records = records[file[f"kept{n}"]]
                    first = records["w"][:, 0].astype(np.int64)
                    ngrams[n].add(first * self.parts // len(self.words), records)
            self._file("tables", part).unlink()
            self._file("estimated", part).unlink()
        return ngrams

    def _kind(self, n: int) -> list[tuple[object, ...]]:
        return [("w", "<i4", n), ("p", "<f8"), *([("b", "<f8")] if n < self.order else [])]

    def _write(self, out: Path | str, counts: list[int], ngrams: dict[int, Spill]) -> None:
        """Sorted lines."""
        words = [word.encode() for word in self.words]
        with arpa_stream(out, counts) as stream:
            logp = np.log10(np.maximum(self.p, 10.0**LOG_ZERO))
            rows = np.arange(len(words))[:, None]
            stream.write(b"\n\\1-grams:\n")
            write_ngrams(stream, words, rows, logp, self.backoff)
            for n, spill in ngrams.items():
                stream.write(b"\n\\%d-grams:\n" % n)
                for part in range(self.parts):
                    records = spill.take(part)
                    rows = records["w"]
                    records = records[np.lexsort(rows.T[::-1])]
                    for start in range(0, len(records), 1 << 18):
                        block = records[start : start + (1 << 18)]
                        backoff = block["b"] if n < self.order else None
                        write_ngrams(stream, words, block["w"], block["p"], backoff)
                log.info("%d-grams: %d", n, counts[n - 1])


def _places(tables: Sequence[Table], words: Array, radix: int) -> Array:
    """The places of n-grams, all of which are there, in the table of their order."""
    words = words.astype(np.int64)
    place = words[:, -2]
    for n in range(2, words.shape[1] + 1):
        left = words[:, -1] if n == 2 else words[:, words.shape[1] - n]
        place = np.searchsorted(tables[n - 2].keys, place * radix + left + 1)
    return place
