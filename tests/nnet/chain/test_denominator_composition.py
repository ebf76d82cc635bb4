"""The denominator of a context tree: enumeration of phone strings gives its probabilities."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from chainstitch.nnet.chain import (
    DenominatorGraph,
    Leaves,
    denominator_from_phone_lm,
    estimate_phone_lm,
    monophones,
)
from tests.leaves import random_leaves
from tests.reference.numerator import spoken

PHONES = 3
TEXT = [[1, 2, 3, 1], [2, 3, 3], [1, 3, 1], [2, 3], [3, 2, 1], [1, 2, 1], [2, 2, 3], [3]]
FRAMES = 4
LEAVES = [
    monophones(PHONES),
    *(random_leaves(seed, pdfs, PHONES) for seed, pdfs in ((0, 20), (1, 4))),
    *(random_leaves(seed, pdfs, PHONES, 3) for seed, pdfs in ((2, 90), (3, 12), (4, 3))),
]
LMS = [estimate_phone_lm(TEXT, *orders) for orders in ((1, 1), (2, 2), (3, 2, 2), (4, 3))]


def strings(frames):
    """All phone strings of one to so many phones."""
    numbers = range(1, PHONES + 1)
    return (s for n in range(1, frames + 1) for s in itertools.product(numbers, repeat=n))


def sentences(graph, frames):
    """pdf string -> probability of its paths from the start to an end, final probability in."""
    arcs = {}
    for s, d, n, p in zip(
        *(getattr(graph, name).tolist() for name in ("src", "dst", "pdf", "prob")), strict=True
    ):
        arcs.setdefault(s, []).append((d, n, p))
    front, final = {(): {graph.start: 1.0}}, graph.final.tolist()
    for _ in range(frames):
        after = {}
        for pdfs, states in front.items():
            for s, mass in states.items():
                for d, n, p in arcs.get(s, ()):
                    reached = after.setdefault((*pdfs, n), {})
                    reached[d] = reached.get(d, 0.0) + mass * p
        front = after
    ends = {pdfs: sum(m * final[s] for s, m in states.items()) for pdfs, states in front.items()}
    return {pdfs: p for pdfs, p in ends.items() if p > 0}


@pytest.mark.parametrize("lm", LMS)
@pytest.mark.parametrize("leaves", LEAVES)
def test_pdf_strings_have_the_phone_lm_s_probability(leaves, lm):
    """Of whole sentences: the sum over all phone strings and ways to share out the frames."""
    graph = denominator_from_phone_lm(lm, PHONES, leaves)
    assert graph.num_pdfs == leaves.num_pdfs
    for frames in range(1, FRAMES + 1):
        wanted = {}
        for string in strings(frames):
            probability = math.exp(lm.log_prob(string)) * 0.5**frames
            if probability > 0:
                for pdfs in ways(string, frames, leaves):
                    wanted[pdfs] = wanted.get(pdfs, 0.0) + probability
        found = sentences(graph, frames)
        assert found.keys() == wanted.keys()
        for pdfs, probability in wanted.items():
            assert found[pdfs] == pytest.approx(probability, rel=1e-9)


def ways(string, frames, leaves):
    """The pdfs of each way to share out the frames; two may have the same pdfs."""
    for cuts in itertools.combinations(range(1, frames), len(string) - 1):
        lengths = np.diff([0, *cuts, frames])
        contexts = zip((0, *string), string, (*string[1:], 0), strict=False)
        pairs = [leaves.pdfs(*context) for context in contexts]
        yield tuple(
            pdf
            for (entry, loop), n in zip(pairs, lengths.tolist(), strict=True)
            for pdf in (entry, *[loop] * (n - 1))
        )


def test_the_twin_s_ways_are_the_other_twin_s():
    for string in strings(3):
        assert set(ways(string, 4, LEAVES[3])) == spoken(string, 4, LEAVES[3])


@pytest.mark.parametrize("lm", LMS)
@pytest.mark.parametrize("leaves", LEAVES)
def test_what_leaves_a_state_and_its_end_add_up_to_one(leaves, lm):
    graph = denominator_from_phone_lm(lm, PHONES, leaves)
    total = graph.final.clone().index_add_(0, graph.src, graph.prob)
    np.testing.assert_allclose(total.numpy(), 1.0, atol=1e-12)
    assert float(graph.initial.sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("context_width", [2, 3])
def test_a_tree_that_makes_no_difference_gives_the_graph_without_one(context_width):
    rights = PHONES + 1 if context_width == 3 else 1
    leaves = Leaves(np.tile(monophones(PHONES).table, (PHONES + 1, 1, rights, 1)), 2 * PHONES)
    plain, found = (denominator_from_phone_lm(LMS[2], PHONES, tree) for tree in (None, leaves))
    for name in ("src", "dst", "pdf", "prob", "initial", "final"):
        assert getattr(plain, name).tolist() == getattr(found, name).tolist()


def test_leaves_of_both_sides_are_read_as_they_were_written(tmp_path):
    for leaves in (LEAVES[1], LEAVES[3]):
        graph = denominator_from_phone_lm(LMS[2], PHONES, leaves)
        graph.phones = ["SIL", "A", "B"]
        graph.save(tmp_path / "den.npz")
        assert DenominatorGraph.load(tmp_path / "den.npz").leaves == leaves


def test_graphs_of_before_trees_had_a_right_side_are_read(tmp_path):
    leaves = LEAVES[1]
    graph = denominator_from_phone_lm(LMS[2], PHONES, leaves)
    graph.phones = ["SIL", "A", "B"]
    graph.save(tmp_path / "den.npz")
    with np.load(tmp_path / "den.npz") as data:
        arrays = {name: data[name] for name in data.files}
    arrays["leaves"] = arrays["leaves"][:, :, 0]
    np.savez(tmp_path / "old.npz", **arrays)
    assert DenominatorGraph.load(tmp_path / "old.npz").leaves == leaves
