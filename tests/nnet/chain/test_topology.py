"""The chain topology: pdf numbers, and which pdf strings H takes at which cost."""

from __future__ import annotations

import itertools
import math

import kaldifst
import pytest

from chainstitch.nnet.chain import topology


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
