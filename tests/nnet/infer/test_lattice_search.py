"""Phone lattices: the strings near the best, each once, with its times; against enumeration."""

from __future__ import annotations

import numpy as np
import pytest

from chainstitch.nnet.chain import monophones
from chainstitch.nnet.infer.best_path import alignment_graph, best_path, input_durations
from chainstitch.nnet.infer.lattice_search import input_lattice, lattice_search
from chainstitch.utils.data.phone_lattice import PhoneLattice
from chainstitch.utils.hmm.phone_graph import EntryWeights, LexiconWeights, phone_graph
from tests.nnet.chain.test_alignment import LEAVES, PHONES
from tests.nnet.chain.test_numerator import PRONUNCIATIONS, SIL, paths
from tests.nnet.infer.test_best_path import outputs
from tests.reference import align as twin
from tests.reference.numerator import lattice_paths

EVERYTHING = 1e4


def strings_of(arcs):
    """The paths of a lattice by their phone strings, each of which is there once."""
    found = {}
    for path in lattice_paths(arcs):
        string = tuple(phone for phone, _ in path)
        assert string not in found
        found[string] = path
    return found


def score_of(path, y, leaves, scale):
    """The best sum of outputs of a path whose times are known."""
    string = tuple(phone for phone, _ in path)
    pdfs = {tuple(p): k for p, k in twin.paths([string], len(y), leaves)}[tuple(path)]
    return sum(scale * float(y[t, k]) for t, k in enumerate(pdfs))


@pytest.mark.parametrize("leaves", LEAVES)
@pytest.mark.parametrize("words", [["a"], ["b", "c"], ["a", "b"], []])
def test_strings_are_those_of_enumeration_near_the_best(leaves, words):
    phones = phone_graph(words, PRONUNCIATIONS, SIL)
    graph = alignment_graph(phones, leaves)
    for frames, scale in ((2, 1.0), (5, 1.0), (7, 0.3)):
        y = outputs(frames, frames, leaves)
        every = twin.near(list(paths(phones)), y, leaves, scale, EVERYTHING)
        found = strings_of(arcs) if (arcs := lattice_search(graph, y, scale, EVERYTHING)) else {}
        assert found.keys() <= every.keys() and bool(found) == bool(every)
        scores = {s: score_of(path, y, leaves, scale) for s, path in found.items()}
        for string, score in scores.items():
            assert score <= every[string][0] + 1e-6
        if not every:
            continue
        top = max(score for score, _ in every.values())
        assert max(scores.values()) == pytest.approx(top, abs=1e-6)
        for beam in (0.5, 3.0):  # what is in the lattice of a beam is what it says
            some = strings_of(lattice_search(graph, y, scale, beam))
            assert {s for s in found if scores[s] >= top - beam + 1e-5} <= some.keys()
            assert some.keys() <= found.keys()
            assert all(found[s] == path for s, path in some.items())
        best = best_path(graph, y, scale)
        string = tuple(p for p, _ in best.phones)
        assert scores[string] == pytest.approx(best.score, abs=1e-6)
        assert found[string] == best.phones or leaves.num_pdfs < 6  # where there are ties


def test_most_strings_near_the_best_are_there_with_their_own_best_times():
    leaves, there, same, total = monophones(PHONES), 0, 0, 0
    phones = phone_graph(["a", "b", "c"], PRONUNCIATIONS, SIL)
    graph = alignment_graph(phones, leaves)
    for seed in range(4):
        y = outputs(seed, 11, leaves)
        found = strings_of(lattice_search(graph, y, 1.0, 5.0))
        for string, (_, alignments) in twin.near(paths(phones), y, leaves, 1.0, 5.0).items():
            total += 1
            there += string in found
            same += found.get(string) in alignments
    assert total > 20 and there >= 0.9 * total and same >= 0.8 * total, (there, same, total)


def test_the_lexicon_s_weights_count():
    weights = LexiconWeights({("w", (2,)): EntryWeights(), ("w", (3,)): EntryWeights(said=-2.0)})
    phones = phone_graph(["w"], {"w": [(2,), (3,)]}, None, weights)
    graph, y = alignment_graph(phones, monophones(PHONES)), np.zeros((4, 2 * PHONES), np.float32)
    assert strings_of(lattice_search(graph, y, 1.0, 1.9)).keys() == {(2,)}
    assert strings_of(lattice_search(graph, y, 1.0, 2.1)).keys() == {(2,), (3,)}


def test_times_in_input_frames_are_those_of_alignments():
    arcs = [(0, 1, 2, 2), (1, 2, 3, 1), (2, 3, 4, 2)]
    for frames in (13, 14, 15):
        for shift in (-40, -2, 0, 1, 40):
            found = input_lattice(arcs, frames, 3, shift)
            wanted = input_durations([(2, 2), (3, 1), (4, 2)], frames, 3, shift)
            assert [arc[2:] for arc in found.arcs] == wanted
    both = [(0, 1, 2, 2), (1, 2, 3, 1), (0, 2, 3, 3), (2, 3, 4, 2)]
    for shift in (-40, 40):
        moved = input_lattice(both, 14, 3, shift)
        assert moved.frames == 14 and min(arc[3] for arc in moved.arcs) >= 1
    with pytest.raises(ValueError, match="5 output frames for 16 input frames"):
        input_lattice(arcs, 16)


def test_too_short_for_the_words_and_outputs_that_are_wrong():
    leaves = monophones(PHONES)
    graph = alignment_graph(phone_graph(["a", "b"], PRONUNCIATIONS, SIL), leaves)
    assert lattice_search(graph, np.zeros((1, 2 * PHONES), np.float32), 1.0, 5.0) == []
    for bad in (np.zeros((9, 3), np.float32), np.full((9, 2 * PHONES), np.nan, np.float32)):
        with pytest.raises(ValueError, match="outputs"):
            lattice_search(graph, bad, 1.0, 5.0)


@pytest.mark.parametrize(
    ("arcs", "wanted"),
    [
        ([], "without arcs"),
        ([(0, 1, 2, 3), (1, 1, 2, 3)], "an arc 1 1"),
        ([(0, 9, 2, 3)], "the highest state is 9"),
        ([(0, -1, 2, 3)], "the highest state is -1"),
        ([(0, 1, 2, 0)], "0 frames"),
        ([(0, 1, 0, 3)], "of phone 0"),
        ([(0, 1, 2, 3), (0, 1, 3, 4)], "state 1 is 3 and 4 frames away"),
        ([(0, 2, 2, 3), (1, 2, 2, 3)], "no arc leads to state 1"),
        ([(0, 1, 2, 3), (0, 2, 2, 3)], "nothing leads on from state 1"),
        ([(0, 1, 2, 2**31 - 1), (1, 2, 2, 1)], "frames away"),
    ],
)
def test_what_is_no_lattice_is_refused(arcs, wanted):
    with pytest.raises(ValueError, match=wanted):
        PhoneLattice(arcs)
