"""The chain topology: pdf numbers, and which pdf strings H takes at which cost."""

from __future__ import annotations

import itertools
import math

import kaldifst
import numpy as np
import pytest

from chainstitch.utils.hmm import topology
from tests.leaves import random_leaves
from tests.reference.numerator import spoken


def test_pdfs_are_numbered_without_gaps_entry_before_loop() -> None:
    pdfs = [pdf(p) for p in range(1, 6) for pdf in (topology.entry_pdf, topology.loop_pdf)]
    assert pdfs == list(range(topology.num_pdfs(5)))


def _expected_phones(pdfs: tuple[int, ...]) -> list[int] | None:
    """The phones that a pdf string spells, or None when no phones do."""
    phones: list[int] = []
    for pdf in pdfs:
        if pdf % 2 == 0:
            phones.append(pdf // 2 + 1)
        elif not phones or phones[-1] != pdf // 2 + 1:
            return None
    return phones


def test_hmm_takes_exactly_entry_then_loops_at_log_two_a_frame() -> None:
    hmm = topology.hmm_fst(2)
    for length in range(4):
        for pdfs in itertools.product(range(4), repeat=length):
            labels = kaldifst.make_linear_acceptor([pdf + 1 for pdf in pdfs])
            paths = kaldifst.StdVectorFst(kaldifst.compose(labels, hmm))
            expected = _expected_phones(pdfs)
            assert (paths.num_states > 0) == (expected is not None), pdfs
            if expected is None:
                continue
            best = kaldifst.shortest_path(paths)
            _, _, phones, cost = kaldifst.get_linear_symbol_sequence(best)
            assert phones == expected
            assert cost.value == pytest.approx(length * math.log(2.0), abs=1e-5)


@pytest.mark.parametrize("pdfs", [200, 30, 6, 2])
@pytest.mark.parametrize("context_width", [2, 3])
def test_hmm_of_a_tree_takes_what_its_leaves_say_once_each(pdfs: int, context_width: int) -> None:
    leaves = random_leaves(pdfs, pdfs, 3, context_width)
    hmm = topology.hmm_fst(3, leaves=leaves)
    strings = [s for n in (1, 2, 3) for s in itertools.product((1, 2, 3), repeat=n)]
    for string in strings:
        said = kaldifst.make_linear_acceptor(list(string))
        paths = kaldifst.StdVectorFst(kaldifst.compose(hmm, said))
        found = _paths(paths, 4)
        wanted = sorted(
            pdfs for frames in range(len(string), 5) for pdfs in spoken(string, frames, leaves)
        )
        # a string may have two paths where entry and loop share a leaf; the pdfs are the same
        assert sorted({pdfs for pdfs, _ in found}) == wanted
        ways = math.comb(4, len(string))  # to share out up to four frames: no guess counts twice
        assert len(found) == ways
        assert all(c == pytest.approx(len(p) * math.log(2.0), abs=1e-5) for p, c in found)


def _paths(fst: object, frames: int) -> list[tuple[tuple[int, ...], float]]:
    """(pdfs, cost) of the paths of up to so many frames."""
    found, todo = [], [(fst.start, (), 0.0)]  # type: ignore[attr-defined]
    while todo:
        state, pdfs, cost = todo.pop()
        final = fst.final(state).value  # type: ignore[attr-defined]
        if math.isfinite(final):
            found.append((pdfs, cost + final))
        for arc in kaldifst.ArcIterator(fst, state):
            after = (*pdfs, arc.ilabel - 1) if arc.ilabel else pdfs
            if len(after) <= frames:
                todo.append((arc.nextstate, after, cost + arc.weight.value))
    return found


@pytest.mark.parametrize("sides", [(4, 1), (1, 4), (4, 4)])
def test_contexts_that_make_no_difference_are_one_state(sides: tuple[int, int]) -> None:
    """So a table that says monophones in every row gives the very FST of monophones."""
    tiled = np.tile(topology.monophones(3).table, (sides[0], 1, sides[1], 1))
    alike = topology.Leaves(tiled, 6)
    assert str(topology.hmm_fst(3, [4, 5], alike)) == str(topology.hmm_fst(3, [4, 5]))
    assert topology.hmm_fst(3).num_states == 4
    with pytest.raises(ValueError, match=r"leaves of 3 phones for phones 1\.\.2"):
        topology.hmm_fst(2, leaves=alike)


@pytest.mark.parametrize("leaves", [None, *(random_leaves(0, 9, 2, w) for w in (2, 3))])
def test_disambiguation_symbols_pass_wherever_they_are(leaves: topology.Leaves | None) -> None:
    phones = kaldifst.make_linear_acceptor([3, 1, 3, 4, 2, 3])
    fst = kaldifst.compose(topology.hmm_fst(2, [3, 4], leaves), phones)
    best = kaldifst.shortest_path(kaldifst.StdVectorFst(fst))
    _, pdfs, labels, _ = kaldifst.get_linear_symbol_sequence(best)
    tree = leaves or topology.monophones(2)
    assert labels == [3, 1, 3, 4, 2, 3]
    assert pdfs == [tree.entry(0, 1, 2) + 1, tree.entry(1, 2, 0) + 1]


def test_disambiguation_symbols_pass_as_epsilon() -> None:
    hmm = topology.hmm_fst(2, disambig=[3, 4])
    phones = kaldifst.make_linear_acceptor([1, 3, 2, 4, 3])
    best = kaldifst.shortest_path(kaldifst.StdVectorFst(kaldifst.compose(hmm, phones)))
    _, pdfs, labels, _ = kaldifst.get_linear_symbol_sequence(best)
    assert (pdfs, labels) == ([1, 3], [1, 3, 2, 4, 3])


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        topology.hmm_fst(0)
    with pytest.raises(ValueError, match="overlap"):
        topology.hmm_fst(3, disambig=[3])


def test_description_names_every_pdf_once() -> None:
    rows = [line.split() for line in topology.describe(3).splitlines() if line[0] != "#"]
    assert rows == [["1", "0", "1"], ["2", "2", "3"], ["3", "4", "5"]]
