"""Numerators of phone lattices: the strings of all paths, chunks, one path, Kaldi's rule."""

from __future__ import annotations

import numpy as np
import pytest

from chainstitch.nnet.chain import NumeratorCompiler
from chainstitch.utils.data.phone_lattice import PhoneLattice, from_alignment
from chainstitch.utils.hmm.timed_acceptor import TimedAcceptors
from tests.nnet.chain.test_alignment import ALIGNMENTS, LEAVES, accepted, make_denominator
from tests.nnet.chain.test_numerator import SIL, TEXT
from tests.reference.aligned_acceptor import aligned_acceptor as twin
from tests.reference.numerator import aligned, lattice_paths, of_lattice, of_proto_supervision

LATTICES = [
    # a silence or none, in whose place the phones are longer
    [(0, 1, SIL, 5), (1, 3, 2, 7), (1, 2, 2, 4), (2, 3, SIL, 3), (3, 4, 3, 6)],
    # two pronunciations, and one of them beginning as the other
    [(0, 1, 2, 4), (0, 2, 3, 7), (1, 3, 3, 8), (2, 3, 4, 5), (1, 2, 4, 3), (3, 4, SIL, 6)],
    # the same phones at two times
    [(0, 1, 2, 3), (0, 2, 2, 9), (1, 3, 3, 12), (2, 3, 3, 6)],
    # a phone next to itself, and a silence at an end only
    [(0, 1, 2, 3), (1, 2, 2, 3), (2, 4, 3, 6), (0, 2, 2, 6), (2, 3, 3, 3), (3, 4, SIL, 3)],
]  # fmt: skip


@pytest.mark.parametrize("leaves", LEAVES)
@pytest.mark.parametrize("arcs", LATTICES)
@pytest.mark.parametrize("tolerance", [0, 4])
def test_a_lattice_allows_what_its_paths_allow_and_chunks_its_pieces(leaves, arcs, tolerance):
    timed = TimedAcceptors(PhoneLattice(arcs), leaves, tolerance)
    wanted = of_lattice(arcs, leaves, tolerance, 3)
    acceptor = timed.acceptor()
    assert (accepted(acceptor, timed.frames) if acceptor else set()) == wanted
    for first, last in ((0, 2), (1, 4), (2, timed.frames)):
        chunk = timed.acceptor(first, last)
        found = accepted(chunk, last - first) if chunk else set()
        assert found == {s[first:last] for s in wanted}


@pytest.mark.parametrize("leaves", LEAVES)
@pytest.mark.parametrize("tolerance", [0, 2, 5])
def test_a_lattice_of_one_path_is_its_alignment_bit_for_bit(leaves, tolerance):
    compiler = NumeratorCompiler(make_denominator(leaves))
    draw = np.random.default_rng(tolerance)
    drawn = [(TEXT[n % len(TEXT)], draw.integers(1, 9, len(TEXT[n % len(TEXT)]))) for n in range(4)]
    for phones, durations in [*ALIGNMENTS, *((p, d.tolist()) for p, d in drawn)]:
        timed = TimedAcceptors(
            from_alignment(zip(phones, durations, strict=True)), leaves, tolerance
        )
        frames = timed.frames
        for first, last in {(0, frames), (frames // 3, frames), (0, (frames + 1) // 2)}:
            one = timed.acceptor(first, last)
            other = twin(phones, durations, leaves, first, last, tolerance, 3)
            assert one == other  # states and arcs in the same order, too
            if one is None:
                continue
            one, other = compiler.compile(one), compiler.compile(other)
            assert (one is None) == (other is None)
            for name, array in vars(other).items() if other else ():
                assert np.array_equal(getattr(one, name), array)


@pytest.mark.parametrize("leaves", LEAVES)
@pytest.mark.parametrize("arcs", LATTICES)
def test_it_is_a_part_of_kaldi_s_and_holds_its_best_path_s(leaves, arcs):
    found = of_lattice(arcs, leaves, 4, 3)
    assert found <= of_proto_supervision(arcs, leaves, 4, 3)
    for path in lattice_paths(arcs):
        phones, durations = zip(*path, strict=True)
        assert aligned(phones, durations, leaves, 4, 3) <= found


@pytest.mark.parametrize("leaves", LEAVES)
def test_where_no_phone_is_near_itself_it_is_kaldi_s(leaves):
    arcs = [(0, 1, 2, 12), (1, 2, 3, 9), (1, 3, 4, 9), (2, 4, SIL, 9), (3, 4, SIL, 9)]
    timed = TimedAcceptors(PhoneLattice(arcs), leaves, 4)
    assert accepted(timed.acceptor(), timed.frames) == of_proto_supervision(arcs, leaves, 4, 3)
