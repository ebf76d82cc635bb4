"""From transcripts to training text and numerators: what LF-MMI needs to know about the words."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Sequence

from chainstitch.nnet.chain.numerator import NumeratorCompiler, NumeratorGraph
from chainstitch.utils.hmm.pdf_acceptor import pdf_acceptor
from chainstitch.utils.hmm.phone_graph import phone_graph
from chainstitch.utils.hmm.topology import Leaves, monophones
from chainstitch.utils.lang.directory import Lang
from chainstitch.utils.lang.lexicon import SILENCE

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
        transcripts: the words of each training utterance.
        silence_between, silence_edges: probability of a silence between two words, and at each end.
        shuffle_words: permute the words of each utterance, where their order in training is an
            accident of the corpus that the phone LM must not learn.
        seed: of the draws; a word with several pronunciations gets one at random.
    """
    draw = random.Random(seed)
    silence = lang.phones[SILENCE]
    sentences = []
    for words in transcripts:
        order = list(words)
        if shuffle_words:
            draw.shuffle(order)
        phones = [silence] if draw.random() < silence_edges else []
        for i, word in enumerate(order):
            if i and draw.random() < silence_between:
                phones.append(silence)
            phones += draw.choice(lang.pronunciations_of[word])
        if draw.random() < silence_edges:
            phones.append(silence)
        sentences.append(phones)
    return sentences


class NumeratorStore:
    """Numerator graphs by transcript, compiled once each.

    Args:
        lang: lexicon and phone table.
        compiler: bound to the denominator in use.
        leaves: of the context tree that the denominator was made with; default none.

    Attributes:
        compiler, leaves: as given.
    """

    def __init__(
        self, lang: Lang, compiler: NumeratorCompiler, leaves: Leaves | None = None
    ) -> None:
        self.compiler = compiler
        self.leaves = leaves or monophones(lang.num_phones)
        self._silence = lang.phones[SILENCE]
        self._pronunciations = lang.pronunciations_of
        self._graphs: dict[str, tuple[NumeratorGraph | None, int]] = {}

    def get(self, text: str) -> tuple[NumeratorGraph | None, int]:
        """(graph, least output frames) for a transcript; None: impossible in the denominator.

        Raises:
            KeyError: a word that is not in the lexicon.
        """
        if text not in self._graphs:
            phones = phone_graph(text.split(), self._pronunciations, self._silence)
            graph = self.compiler.compile(pdf_acceptor(phones, self.leaves))
            # the denominator may lack the shortest ways to say it, so the composed graph counts
            self._graphs[text] = (graph, phones.min_frames if graph is None else graph.min_frames)
        return self._graphs[text]
