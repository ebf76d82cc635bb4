"""Training text of the phone LM and cached numerators."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from chainstitch.nnet.chain import (
    NumeratorBatch,
    NumeratorCompiler,
    denominator_from_phone_lm,
    estimate_phone_lm,
    numerator_forward_backward,
)
from chainstitch.nnet.chain.supervision import NumeratorStore, phone_sentences
from chainstitch.utils.lang.directory import Lang, read_lang
from tests.toy import Toy

SIL = 1


@pytest.fixture
def lang(toy: Toy) -> Lang:
    return read_lang(toy.lang)


def test_silence_is_drawn_with_the_given_probabilities(lang: Lang) -> None:
    transcripts = [["low", "high", "rise"]] * 4000
    sentences = phone_sentences(transcripts, lang, 0.1, 0.8, seed=1)
    begins = sum(s[0] == SIL for s in sentences) / 4000
    ends = sum(s[-1] == SIL for s in sentences) / 4000
    inner = sum(s[1:-1].count(SIL) for s in (strip(s) for s in sentences)) / 8000
    # three standard deviations: sqrt(p (1 - p) / n)
    assert abs(begins - 0.8) < 3 * math.sqrt(0.16 / 4000)
    assert abs(ends - 0.8) < 3 * math.sqrt(0.16 / 4000)
    assert abs(inner - 0.1) < 3 * math.sqrt(0.09 / 8000)


def strip(sentence: list[int]) -> list[int]:
    """Without the silences at the edges."""
    return sentence[sentence[0] == SIL : len(sentence) - (sentence[-1] == SIL)]


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_certain_probabilities_are_kept_exactly(lang: Lang, probability: float) -> None:
    (l,), (h,) = (lang.pronunciations[lang.words[w]][0] for w in ("low", "high"))  # noqa: E741
    wanted = [l, h] if probability == 0 else [SIL, l, SIL, h, SIL]
    drawn = phone_sentences([["low", "high"]] * 20, lang, probability, probability)
    assert drawn == [wanted] * 20


def test_the_seed_decides_the_draws(lang: Lang) -> None:
    transcripts = [["low", "hush", "high"]] * 50
    one, again, other = (phone_sentences(transcripts, lang, seed=s) for s in (1, 1, 2))
    assert one == again != other


def test_every_pronunciation_is_drawn(lang: Lang) -> None:
    drawn = phone_sentences([["hush"]] * 100, lang, 0.0, 0.0)
    counts = Counter(map(tuple, drawn))
    assert sorted(counts) == sorted(lang.pronunciations[lang.words["hush"]])
    assert min(counts.values()) > 30


def test_shuffling_keeps_each_utterances_words(lang: Lang) -> None:
    transcripts = [["low", "rise", "hiss", "low"], ["fall"], ["high", "high", "hiss"]] * 20
    plain = phone_sentences(transcripts, lang, 0.0, 0.0, shuffle_words=False)
    shuffled = phone_sentences(transcripts, lang, 0.0, 0.0, shuffle_words=True)
    assert list(map(sorted, plain)) == list(map(sorted, shuffled))
    assert plain != shuffled
    assert transcripts[0] == ["low", "rise", "hiss", "low"]  # the caller's lists stay


def test_one_transcript_is_compiled_once(toy: Toy, lang: Lang) -> None:
    calls = []

    class Counting(NumeratorCompiler):
        def compile(self, acceptor):  # type: ignore[no-untyped-def]
            calls.append(acceptor)
            return super().compile(acceptor)

    store = NumeratorStore(lang, Counting(toy.loss().denominator))
    first = store.get("low high")
    assert store.get("low high")[0] is first[0] and len(calls) == 1
    assert store.get("high low")[0] is not first[0] and len(calls) == 2


def test_unknown_word_is_a_key_error_with_the_word(toy: Toy) -> None:
    with pytest.raises(KeyError, match="loww"):
        toy.store().get("low loww")


@pytest.mark.parametrize(("between", "edges"), [(0.1, 0.8), (1.0, 1.0), (0.0, 0.0)])
def test_the_least_number_of_frames_is_exact(lang: Lang, between: float, edges: float) -> None:
    """Exactly so many frames carry the transcript; one less does not, whatever the phone LM saw."""
    texts = ["low high", "rise hush hiss", "hiss", "fall fall low rise"]
    drawn = phone_sentences([t.split() for t in texts] * 5, lang, between, edges)
    denominator = denominator_from_phone_lm(estimate_phone_lm(drawn, 3, 2), lang.num_phones)
    store = NumeratorStore(lang, NumeratorCompiler(denominator))
    for text in texts:
        graph, needed = store.get(text)
        assert graph is not None
        for frames in {needed, max(needed - 1, 1)}:
            outputs = torch.zeros(1, frames, denominator.num_pdfs)
            log_z, _ = numerator_forward_backward(
                NumeratorBatch([graph]), outputs, torch.tensor([frames])
            )
            assert bool(torch.isfinite(log_z[0])) == (frames == needed)


def test_transcript_that_the_phone_lm_never_saw_has_no_graph(lang: Lang) -> None:
    drawn = phone_sentences([["low"]] * 5, lang)
    denominator = denominator_from_phone_lm(estimate_phone_lm(drawn, 3, 2), lang.num_phones)
    graph, needed = NumeratorStore(lang, NumeratorCompiler(denominator)).get("high high")
    assert graph is None and needed == 2
