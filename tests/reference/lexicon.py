"""The dull twin of a lexicon's probabilities: every way to say a sentence, one after the other."""

from __future__ import annotations

import itertools
import math


def ways(words, lexicon, probabilities, silence="SIL"):
    """(phones, log of the probability) of each choice of pronunciations and silences."""
    for prons in itertools.product(*(lexicon[word] for word in words)):
        for silent in itertools.product([False, True], repeat=len(words) + 1):
            phones = [silence] if silent[0] else []
            p = probabilities.start if silent[0] else 1 - probabilities.start
            for word, pron, before, after in zip(words, prons, silent, silent[1:], strict=False):
                of = probabilities.of(word, pron)
                p *= of.said * (of.after_silence if before else of.after_speech)
                p *= of.silence if after else 1 - of.silence
                phones += [*pron, *([silence] if after else [])]
            p *= probabilities.end_silence if silent[-1] else probabilities.end_speech
            yield tuple(phones), math.log(p)


def best(words, lexicon, probabilities, silence="SIL"):
    """The best of them for each phone string."""
    found = {}
    for phones, weight in ways(words, lexicon, probabilities, silence):
        found[phones] = max(weight, found.get(phones, -math.inf))
    return found
