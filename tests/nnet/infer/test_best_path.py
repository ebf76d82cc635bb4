"""The best path: enumeration's score and one of its paths, whatever tree, scale and weights."""

from __future__ import annotations

import numpy as np
import pytest

from chainstitch.nnet.chain import NumeratorCompiler, monophones
from chainstitch.nnet.infer.best_path import alignment_graph, best_path, input_durations
from chainstitch.utils.hmm.pdf_acceptor import pdf_acceptor
from chainstitch.utils.hmm.phone_graph import phone_graph
from tests.nnet.chain.test_alignment import LEAVES, PHONES, make_denominator
from tests.nnet.chain.test_numerator import PRONUNCIATIONS, SIL, paths
from tests.reference import align as twin

WORDS = [["a"], ["b", "c"], ["a", "b"], ["c", "a", "c"], []]


def outputs(seed, frames, leaves, whole=False):
    y = np.random.default_rng(seed).normal(scale=2, size=(frames, leaves.num_pdfs))
    return (np.rint(y) if whole else y).astype(np.float32)


@pytest.mark.parametrize("leaves", LEAVES)
@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("whole", [False, True])  # whole numbers have ties
def test_best_path_is_enumeration_s(leaves, words, whole):
    phones = phone_graph(words, PRONUNCIATIONS, SIL)
    graph = alignment_graph(phones, leaves)
    for frames in (1, 2, 3, 5, 8):
        for scale in (1.0, 0.1):
            y = outputs(frames, frames, leaves, whole)
            score, wanted = twin.best(list(paths(phones)), y, leaves, scale)
            found = best_path(graph, y, scale)
            if not wanted:
                assert found is None and frames < phones.min_frames
                continue
            assert found.score == pytest.approx(score, abs=1e-9)
            assert found.phones in wanted
            assert found == best_path(alignment_graph(phones, leaves), y.copy(), scale)


@pytest.mark.parametrize("leaves", LEAVES)
@pytest.mark.parametrize("words", [["a"], ["b", "c"], ["a", "b"]])
def test_weights_are_the_denominator_s(leaves, words):
    denominator = make_denominator(leaves)
    phones = phone_graph(words, PRONUNCIATIONS, SIL)
    numerator = NumeratorCompiler(denominator).compile(pdf_acceptor(phones, leaves))
    graph, weight = alignment_graph(phones, leaves), twin.log_weight(denominator)
    for frames in (2, 4, 6):
        y = outputs(10 + frames, frames, leaves)
        score, wanted = twin.best(list(paths(phones)), y, leaves, 0.5, weight)
        found = None if numerator is None else best_path(graph, y, 0.5, numerator)
        if not wanted:
            assert found is None
            continue
        assert found.score == pytest.approx(score, abs=1e-6)
        assert found.phones in wanted


def test_ties_are_settled_by_the_order_of_the_states():
    graph = alignment_graph(phone_graph(["b"], {"b": [(2, 3)]}, None), monophones(PHONES))
    # behind the last phone's first frame its state and the one before are equal: the lower wins
    assert best_path(graph, np.zeros((6, 2 * PHONES), np.float32)).phones == [(2, 5), (3, 1)]


def test_many_arcs_into_a_state_and_long_utterances():
    pronunciations = {"w": [(p, 400) for p in range(2, 350)]}
    leaves = monophones(400)
    graph = alignment_graph(phone_graph(["w"], pronunciations, None), leaves)
    y = np.zeros((50, 800), np.float32)
    y[:20, leaves.loop(0, 333, 400)] = y[20:, leaves.entry(333, 400, 0)] = 1.0
    y[21:, leaves.loop(333, 400, 0)] = 2.0
    assert best_path(graph, y).phones == [(333, 20), (400, 30)]


def test_outputs_that_cannot_be_are_refused():
    graph = alignment_graph(phone_graph(["a"], PRONUNCIATIONS, SIL), monophones(PHONES))
    y = np.zeros((9, 2 * PHONES), np.float32)
    with pytest.raises(ValueError, match=r"\(9, 2\) of float32, wanted .* 6 or more"):
        best_path(graph, y[:, :2])
    y[3, 1] = np.nan
    with pytest.raises(ValueError, match="1 of the outputs are not finite"):
        best_path(graph, y)
    assert best_path(graph, y[:0]) is None


def test_input_frames_add_up_and_every_phone_keeps_one():
    phones = [(1, 2), (2, 1), (3, 4)]
    for frames in (19, 20, 21):
        found = input_durations(phones, frames)
        assert found == [(1, 6), (2, 3), (3, frames - 9)]
        for shift in range(-12, 20):
            moved = input_durations(phones, frames, shift=shift)
            assert sum(d for _, d in moved) == frames and min(d for _, d in moved) >= 1
    assert input_durations(phones, 20, shift=-2) == [(1, 4), (2, 3), (3, 13)]
    assert input_durations(phones, 20, shift=-9) == [(1, 1), (2, 1), (3, 18)]
    for frames in (18, 22):
        with pytest.raises(ValueError, match="3 phones with 7 output frames"):
            input_durations(phones, frames)
