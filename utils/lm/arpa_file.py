"""ARPA files of any size to models and back, a block of lines at a time, plain or gzipped.

What a file must look like: arpa_check.py, which reads it. Here the lines become the arrays of
model.py: each block's histories are found in the level below, and a level is sorted when it is
whole, unless it was already. 4-grams are read at some 400,000 a second.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np

from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.lm.arpa_check import read_checked
from chainstitch.utils.lm.model import Array, BackoffModel, Level

KIND = "language model"  # of outputs.FILES
LINES = 1 << 17  # of a block

Stream = IO[bytes] | gzip.GzipFile


def read_model(arpa: Path | str, called: str = "") -> BackoffModel:
    """The model of an ARPA file.

    Args:
        called: what errors call it, if that is not its path.

    Raises:
        UserError: no ARPA file, an n-gram that stands twice, whose history is none, or with a word
            that is no 1-gram; names file and line.
    """
    reader = _Reader(called or f"language model {arpa}")
    read_checked(arpa, reader.take, reader.called)
    return BackoffModel(reader.model.words, reader.model.levels)


class _Reader:
    """Takes the lines of an ARPA file."""

    def __init__(self, called: str) -> None:
        self.called, self.order = called, 0
        self.model = BackoffModel([], [])
        self.lines: list[bytes] = []
        self.numbers: list[int] = []
        self.columns: list[list[Array]] = [[], [], [], []]  # blocks of what `_end_block` makes

    def take(self, number: int, line: bytes) -> None:
        """A line, which is a good one."""
        if line.lstrip().startswith(b"\\"):
            if self.order:
                self._end_block()
                self._end_level()
            self.order += not line.startswith((b"\\data", b"\\end"))
        elif self.order:
            self.lines.append(line)
            self.numbers.append(number)
            if len(self.lines) == LINES:
                self._end_block()

    def _end_block(self) -> None:
        """Lines to arrays: key, log-probability, back-off, number of the line."""
        if not self.lines:
            return
        n, fields = self.order, [line.split() for line in self.lines]
        count = len(fields)
        numbers = np.array(self.numbers, dtype=np.int32)
        logp = np.fromiter((float(f[0]) for f in fields), float, count)
        backoff = np.fromiter((float(f[n + 1]) if len(f) > n + 1 else 0.0 for f in fields), float)
        self.lines, self.numbers = [], []
        if n == 1:
            self.model.words += [f[1] for f in fields]
            keys: Array = np.arange(len(self.model.words) - count, len(self.model.words))
        else:
            ids = self.model.ids
            try:
                flat = [ids[word] for f in fields for word in f[1 : n + 1]]
            except KeyError as error:
                at = next(i for i, f in enumerate(fields) if any(w not in ids for w in f[1:][:n]))
                why = f"{_said(fields[at], n)}: a word of it is no 1-gram"
                raise self._bad(int(numbers[at]), why) from error
            rows = np.array(flat, dtype=np.int64).reshape(count, n)
            history = self.model.find(rows[:, :-1])
            if (history < 0).any():
                at = int(np.argmax(history < 0))
                told = f"{_said(fields[at], n - 1)} is no {n - 1}-gram, {_said(fields[at], n)} is"
                raise self._bad(int(numbers[at]), f"{told} one; every history has to be an n-gram")
            keys = history * len(self.model.words) + rows[:, -1]
        for column, block in zip(self.columns, (keys, logp, backoff, numbers), strict=True):
            column.append(block)

    def _end_level(self) -> None:
        """The blocks of an order to a level."""
        whole = []
        for column, kind in zip(self.columns, (np.int64, float, float, np.int32), strict=True):
            whole.append(np.concatenate([np.empty(0, kind), *column]))
            column.clear()  # the blocks of all columns and their copies need not be there at once
        keys, logp, backoff, numbers = whole
        if self.order == 1:
            self._check_words(numbers)
        elif len(keys) > 1 and not (keys[1:] > keys[:-1]).all():
            order = np.argsort(keys, kind="stable")
            keys, logp, backoff, numbers = (a[order] for a in (keys, logp, backoff, numbers))
            twice = np.flatnonzero(keys[1:] == keys[:-1]) + 1
            if len(twice):
                raise self._bad(int(numbers[twice].min()), "this n-gram stands above already")
        self.model.levels.append(Level(keys, logp, backoff))

    def _check_words(self, numbers: Array) -> None:
        self.model.__dict__.pop("ids", None)
        if len(self.model.ids) < len(self.model.words):
            seen: set[bytes] = set()
            for number, word in zip(numbers, self.model.words, strict=True):
                if word in seen:
                    raise self._bad(int(number), "this n-gram stands above already")
                seen.add(word)

    def _bad(self, number: int, why: str) -> UserError:
        return UserError(f"{self.called} is not a good ARPA file: line {number}: {why}")


def _said(fields: list[bytes], n: int) -> str:
    return repr(b" ".join(fields[1 : n + 1])[:60].decode(errors="backslashreplace"))


def write_model(model: BackoffModel, out: Path | str) -> None:
    """Writes an ARPA file, gzipped if its name ends in .gz; whole or not at all.

    Back-off weights of 0, those of n-grams that are no histories among them, are left out.
    """
    with arpa_stream(out, model.counts) as stream:
        for n in range(1, model.order + 1):
            stream.write(b"\n\\%d-grams:\n" % n)
            level = model.levels[n - 1]
            for part in model.blocks(n):
                weights = level.backoff[part] if n < model.order else None
                write_ngrams(stream, model.words, model.rows(n, part), level.logp[part], weights)


@contextmanager
def arpa_stream(out: Path | str, counts: Iterable[int]) -> Iterator[Stream]:
    """An ARPA file to be written: the header is there, sections follow, the end comes by itself."""
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(out, "wb") as stream:
        zipped = str(out).endswith(".gz")
        # the name inside is how outputs.py tells it from others; no time: the same bytes each time
        target: Stream = gzip.GzipFile("lm.arpa", "wb", 6, stream, mtime=0) if zipped else stream
        try:
            target.write(b"\\data\\\n")
            for n, count in enumerate(counts, start=1):
                target.write(b"ngram %d=%d\n" % (n, count))
            yield target
            target.write(b"\n\\end\\\n")
            target.flush()
        except BaseException:
            if zipped:
                with suppress(OSError):  # of a full disk; its end is worth nothing now
                    target.close()
            raise
        if zipped:
            target.close()


def write_ngrams(
    stream: IO[bytes] | gzip.GzipFile,
    words: list[bytes],
    rows: Array,
    logp: Array,
    backoff: Array | None,
) -> None:
    """Writes lines of a section.

    Args:
        rows: n-grams as numbers of words, (entries, n).
        backoff: None: they have none.
    """
    columns = [[words[word] for word in column] for column in rows.T.tolist()]
    said = [b" ".join(ngram) for ngram in zip(*columns, strict=True)]
    if backoff is None:
        lines = [b"%.7g\t%s\n" % pair for pair in zip(logp.tolist(), said, strict=True)]
    else:
        lines = [
            b"%.7g\t%s\t%.7g\n" % (p, ngram, b) if b else b"%.7g\t%s\n" % (p, ngram)
            for p, ngram, b in zip(logp.tolist(), said, backoff.tolist(), strict=True)
        ]
    stream.write(b"".join(lines))
