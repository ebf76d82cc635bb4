"""From transcripts to training text and numerators: what LF-MMI needs to know about the words."""

from __future__ import annotations

import logging
import math
import random
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from chainstitch.nnet.chain.graph_file import (
    GraphFile,
    digest,
    open_graphs,
    processes,
    to_bytes,
    write_graphs,
)
from chainstitch.nnet.chain.numerator import NumeratorCompiler, NumeratorGraph
from chainstitch.utils.data.array_file import Texts
from chainstitch.utils.data.workers import ordered_map
from chainstitch.utils.errors import UserError
from chainstitch.utils.hmm.pdf_acceptor import pdf_acceptor
from chainstitch.utils.hmm.phone_graph import phone_graph
from chainstitch.utils.hmm.topology import Leaves, monophones
from chainstitch.utils.lang.directory import Lang
from chainstitch.utils.lang.lexicon import known_words

TOLD_SECONDS = 5.0
VERSION = 2  # of how transcripts become graphs: kept ones of another are not used

logger = logging.getLogger(__name__)


def phone_sentences(
    transcripts: Iterable[Sequence[str]],
    lang: Lang,
    silence_between: float = 0.1,
    silence_edges: float = 0.8,
    shuffle_words: bool = False,
    seed: int = 0,
) -> list[list[int]]:
    """Phone sequences to estimate the phone LM from: nothing is aligned yet, so silences are drawn.

    Args:
        transcripts: the words of each training utterance; those outside the lexicon stand as the
            lang directory's unknown word.
        silence_between, silence_edges: probability of a silence between two words, and at each end.
        shuffle_words: permute the words of each utterance, where their order in training is an
            accident of the corpus that the phone LM must not learn.
        seed: of the draws; a word with several pronunciations gets one at random, by their
            probabilities.

    Raises:
        KeyError: a word that is not in the lexicon.
    """
    draw = random.Random(seed)
    silence = lang.silence
    sentences = []
    for words in transcripts:
        order = lang.known(words)
        if shuffle_words:
            draw.shuffle(order)
        phones = [silence] if draw.random() < silence_edges else []
        for i, word in enumerate(order):
            if i and draw.random() < silence_between:
                phones.append(silence)
            phones += _drawn(draw, word, lang)
        if draw.random() < silence_edges:
            phones.append(silence)
        sentences.append(phones)
    return sentences


def _drawn(draw: random.Random, word: str, lang: Lang) -> tuple[int, ...]:
    prons = lang.pronunciations_of[word]
    likely = [math.exp(lang.weights.of(word, pron).said) for pron in prons]
    if len({*likely}) == 1:  # the same draws as of a lexicon without probabilities
        return draw.choice(prons)
    return draw.choices(prons, likely)[0]


class Numerators(Protocol):
    """Numerators of the transcripts of a set.

    Attributes:
        possible: (texts,) bool, whether the denominator has any path for it.
        needed: (texts,) int32, the least output frames that can carry it.
    """

    possible: np.ndarray
    needed: np.ndarray

    def graph(self, number: int) -> NumeratorGraph | None:
        """That of a transcript by its number; None: impossible in the denominator."""


class NumeratorStore:
    """Numerator graphs by transcript, compiled once each.

    Args:
        lang: lexicon, with its probabilities, and phone table.
        compiler: bound to the denominator in use.
        leaves: of the context tree that the denominator was made with; default none.
        keep: where files of graphs are looked for and written (graph_file.py); None: all stay in
            memory.
        nj: processes that compile; 0: one for each core. Several, on many transcripts, import the
            main script, which must then be guarded by `if __name__ == "__main__"`.

    Attributes:
        compiler, leaves, keep, nj: as given.
    """

    def __init__(
        self,
        lang: Lang,
        compiler: NumeratorCompiler,
        leaves: Leaves | None = None,
        keep: Path | None = None,
        nj: int = 1,
    ) -> None:
        self.compiler, self.keep, self.nj = compiler, keep, nj
        self.leaves = leaves or monophones(lang.num_phones)
        self._silence, self._weights = lang.silence, lang.weights
        self._pronunciations, self._unknown = lang.pronunciations_of, lang.unknown
        self._graphs: dict[str, tuple[NumeratorGraph | None, int]] = {}

    def get(self, text: str) -> tuple[NumeratorGraph | None, int]:
        """(graph, least output frames) for a transcript; None: impossible in the denominator.

        Raises:
            KeyError: a word that is not in the lexicon, if none stands for such.
        """
        if text not in self._graphs:
            self._graphs[text] = self._compile(text)
        return self._graphs[text]

    def compiled(self, texts: Texts) -> Numerators:
        """Those of many transcripts: from the file that is kept, or compiled now.

        Raises:
            UnknownWord: one that is not in the lexicon.
            UserError: they cannot be written.
        """
        if self.keep is None:
            return _InMemory(self, texts)
        key = digest(
            "transcripts", VERSION, self.compiler.key, self.leaves.table, self._silence,
            self._pronunciations, self._weights, self._unknown, texts.utf8, texts.ends,
        )  # fmt: skip
        path = self.keep / f"{key}.bin"
        kept = open_graphs(path)
        if kept is None:
            self.check_words(texts)
            began = time.monotonic()
            needed = array("i")
            try:
                kept = write_graphs(path, self._graphs_of(texts, needed), {"needed": needed})
            except OSError as error:
                raise UserError(f"numerators cannot be written to {path}: {error}") from None
            seconds = time.monotonic() - began
            level = logging.INFO if seconds > TOLD_SECONDS else logging.DEBUG
            logger.log(level, "%d numerators compiled in %.1f s", len(texts), seconds)
        return _Kept(kept)

    def check_words(self, texts: Iterable[str]) -> None:
        """Raises UnknownWord for the first word not in the lexicon, if none stands for such."""
        if self._unknown is not None:
            return
        for number, text in enumerate(texts):
            for word in text.split():
                if word not in self._pronunciations:
                    raise UnknownWord(number, word)

    def _compile(self, text: str) -> tuple[NumeratorGraph | None, int]:
        words = known_words(text.split(), self._pronunciations, self._unknown)
        phones = phone_graph(words, self._pronunciations, self._silence, self._weights)
        graph = self.compiler.compile(pdf_acceptor(phones, self.leaves))
        # the denominator may lack the shortest ways to say it, so the composed graph counts
        return graph, phones.min_frames if graph is None else graph.min_frames

    def _graphs_of(self, texts: Sequence[str], needed: array[int]) -> Iterator[bytes]:
        nj = processes(self.nj, len(texts))
        for data, frames in ordered_map(self._encoded, texts, nj, "numerators"):
            needed.append(frames)
            yield data

    def _encoded(self, text: str) -> tuple[bytes, int]:
        graph, needed = self._compile(text)
        return b"" if graph is None else to_bytes(graph), needed

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_graphs": {}}


class UnknownWord(KeyError):
    """A word that is not in the lexicon.

    Attributes:
        number: of the transcript; word.
    """

    def __init__(self, number: int, word: str) -> None:
        super().__init__(word)
        self.number, self.word = number, word


class _InMemory:
    def __init__(self, store: NumeratorStore, texts: Texts) -> None:
        store.check_words(texts)
        self._store, self._texts = store, texts
        found = [store.get(text) for text in texts]
        self.possible = np.array([graph is not None for graph, _ in found])
        self.needed = np.array([needed for _, needed in found], np.int32)

    def graph(self, number: int) -> NumeratorGraph | None:
        return self._store.get(self._texts[number])[0]


class _Kept:
    def __init__(self, graphs: GraphFile) -> None:
        self.graph = graphs.__getitem__
        self.possible = graphs.sizes > 0
        self.needed = graphs.file["needed"]
