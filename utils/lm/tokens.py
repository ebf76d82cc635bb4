"""Text as numbers of words, in blocks: what is predicted, and the words before it.

A sentence is a line with words; it gets <s> before it and </s> behind it, if they are not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from chainstitch.utils import text as texts
from chainstitch.utils.data.sentences import numbered_sentences
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.lm.model import NONE, Array

PAD, MISSING = NONE, -2  # before <s>; a word without a number
TOKENS = 1 << 19  # of a block, about
NO_WORDS = {"<eps>", "#0", "<s>", "</s>"}  # of a words.txt


class Growing(dict[str, int]):
    """Numbers of words; a new word gets the next number."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number


class Closed(dict[str, int]):
    """Numbers of words; all others have the number `other`."""

    other = MISSING

    def __missing__(self, word: str) -> int:
        return self.other


def windows(text: Path | str, numbers: Mapping[str, int], order: int) -> Iterator[Array]:
    """Each word and each sentence's end as a row: the words before it and itself, (block, order).

    Rows that reach beyond <s> are filled with PAD at the front.

    Args:
        text: a file, plain or gzipped, or a data directory, whose transcripts are meant.
        numbers: Growing or Closed, with <s> and </s> in it.

    Raises:
        UserError: not UTF-8, a damaged .gz, or <s> or </s> inside a sentence; names file and line.
        UsageError: there is no such file or directory.
    """
    number_of, start, end = numbers.__getitem__, numbers["<s>"], numbers["</s>"]
    before, stream = [PAD] * max(0, order - 2) + [start], []
    for line_number, line in numbered_sentences(text):
        words = line.split()
        if "<s>" in line or "</s>" in line:
            words = _without_ends(words, f"{text}:{line_number}")
        if words:
            stream += before
            stream += map(number_of, words)
            stream.append(end)
        if len(stream) > TOKENS:
            yield _rows(np.array(stream, dtype=np.int32), order, start)
            stream = []
    if stream:
        yield _rows(np.array(stream, dtype=np.int32), order, start)


def _without_ends(words: list[str], place: str) -> list[str]:
    words = words[words[:1] == ["<s>"] :]
    words = words[:-1] if words[-1:] == ["</s>"] else words
    if "<s>" in words or "</s>" in words:
        raise UserError(f"{place}: <s> or </s> inside a sentence; wanted a sentence a line")
    return words


def _rows(stream: Array, order: int, start: int) -> Array:
    at = np.flatnonzero((stream != PAD) & (stream != start))
    return np.stack([stream[at - back] for back in range(order - 1, -1, -1)], axis=1)


def read_vocabulary(path: Path | str) -> list[str]:
    """The first field of each line, once: of a list of words, a words.txt or a lexicon.

    Raises:
        UsageError: there is no such file.
        UserError: it holds no words, or is not UTF-8.
    """
    if not Path(path).is_file():
        raise UsageError(f"{path} is not a file; wanted a word a line, or a lexicon")
    fields = (line.split(maxsplit=1) for line in texts.lines(path))
    words = [word for word in dict.fromkeys(f[0] for f in fields if f) if word not in NO_WORDS]
    if not words:
        raise UserError(f"{path} holds no words; wanted a word a line, or a lexicon")
    return words
