"""Numerators and alignments weigh the ways to say a transcript by the lexicon's probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from chainstitch.nnet.chain import denominator_from_phone_lm, estimate_phone_lm
from chainstitch.nnet.chain.forward_backward import forward_backward
from chainstitch.nnet.chain.numerator import (
    NumeratorBatch,
    NumeratorCompiler,
    numerator_forward_backward,
)
from chainstitch.nnet.infer.best_path import alignment_graph, best_path
from chainstitch.utils.hmm.pdf_acceptor import pdf_acceptor
from chainstitch.utils.hmm.phone_graph import phone_graph
from chainstitch.utils.hmm.topology import monophones
from chainstitch.utils.lang.probabilities import EntryProbabilities, Probabilities
from tests.leaves import random_leaves
from tests.reference.lexicon import best
from tests.reference.numerator import log_z, spoken

PHONES = {"SIL": 1, "A": 2, "B": 3, "C": 4}
LEXICON = {"a": [("A",), ("A", "B")], "b": [("B", "C")], "c": [("B",)]}
NUMBERED = {w: [tuple(PHONES[p] for p in pron) for pron in prons] for w, prons in LEXICON.items()}
PROBABILITIES = Probabilities(
    {
        ("a", ("A",)): EntryProbabilities(1.0, 0.7, 1.9, 0.6),
        ("a", ("A", "B")): EntryProbabilities(0.4, 0.2, 0.8, 1.2),
        ("b", ("B", "C")): EntryProbabilities(1.0, 0.05, 1.4, 0.9),
    },
    start=0.6, end_silence=1.7, end_speech=0.3, overall=0.3,
)  # fmt: skip
TEXT = [[1, 2, 3, 4, 1], [2, 3], [2, 1, 3, 4], [3, 1], [1, 3, 2, 1], [2, 3, 3, 4]] * 2
LEAVES = [
    monophones(4),
    random_leaves(0, 30, 4),
    random_leaves(2, 3, 4),
    random_leaves(4, 40, 4, 3),
]
FRAMES = 6


def _graph(words: list[str]):  # type: ignore[no-untyped-def]
    weights = PROBABILITIES.weights(PHONES)
    return phone_graph(words, NUMBERED, PHONES["SIL"], weights)


def _strings(words: list[str]) -> dict[tuple[int, ...], float]:
    """Phone strings and their weights relative to the best."""
    found = best(words, LEXICON, PROBABILITIES)
    most = max(found.values())
    return {tuple(PHONES[p] for p in s): weight - most for s, weight in found.items()}


@pytest.mark.parametrize("leaves", LEAVES)
@pytest.mark.parametrize("words", [["a"], ["a", "b"], ["c", "a"]])
def test_numerators_sum_over_pdf_strings_with_the_weight_of_the_best_way_to_say_each(
    leaves, words
) -> None:
    denominator = denominator_from_phone_lm(estimate_phone_lm(TEXT, 3, 2), 4, leaves)
    y = np.random.default_rng(len(words)).normal(size=(FRAMES, leaves.num_pdfs))
    weights: dict[tuple[int, ...], float] = {}
    for phones, weight in _strings(words).items():
        for pdfs in spoken(phones, FRAMES, leaves):
            weights[pdfs] = max(weight, weights.get(pdfs, -math.inf))
    parts = [weight + log_z([pdfs], denominator, y) for pdfs, weight in weights.items()]
    wanted = np.logaddexp.reduce(parts)
    graph = NumeratorCompiler(denominator).compile(pdf_acceptor(_graph(words), leaves))
    assert graph is not None
    likes, length = torch.from_numpy(y)[None].float(), torch.tensor([FRAMES])
    found, posteriors = numerator_forward_backward(NumeratorBatch([graph]), likes, length)
    assert found.item() == pytest.approx(wanted, abs=1e-5)
    assert posteriors.sum().item() == pytest.approx(FRAMES, abs=1e-4)
    total, _ = forward_backward(denominator, likes, length, 0.0)
    assert found.item() <= total.item() + 1e-5  # a part of the denominator, whatever F says


@pytest.mark.parametrize("leaves", LEAVES)
@pytest.mark.parametrize("words", [["a"], ["a", "b"], ["c", "a"]])
def test_alignments_are_the_best_of_outputs_and_weights_together(leaves, words) -> None:
    graph = alignment_graph(_graph(words), leaves)
    for seed in range(5):
        y = np.random.default_rng(seed).normal(size=(FRAMES, leaves.num_pdfs)).astype(np.float32)
        y *= 0.3  # so that weights decide
        scores = {
            (phones, pdfs): weight + sum(float(y[t, k]) for t, k in enumerate(pdfs))
            for phones, weight in _strings(words).items()
            for pdfs in spoken(phones, FRAMES, leaves)
        }
        found = best_path(graph, y)
        assert found is not None
        assert found.score == pytest.approx(max(scores.values()), abs=1e-5)
        said = tuple(phone for phone, _ in found.phones)
        assert max(s for (p, _), s in scores.items() if p == said) == pytest.approx(found.score)
