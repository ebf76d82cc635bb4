"""Graphs that cannot be: each is refused by name before a kernel or a library follows its arcs.

A table of rows for every way in which a graph comes in (den.npz, arcs, OpenFst), and a dull test
for each table. The kernels look at no index twice, so that such a graph would end the process, or
have other memory read in silence. Numerators, and what kernels are called with otherwise, have
tables of their own beside this one.
"""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainstitch.nnet.chain import (
    DenominatorGraph,
)
from chainstitch.utils.decode.graph import Graph
from chainstitch.utils.decode.lattice import LatticeDecoder
from chainstitch.utils.errors import UserError
from chainstitch.utils.hmm.topology import monophones
from chainstitch.utils.lang import compose
from tests.commands import chainstitch
from tests.faults.graphs import DST, PROB, fst, graph
from tests.toy import Toy

# -- den.npz ---------------------------------------------------------------------------------------

A_HALF, THIRD = np.full(3, 0.5), np.full(3, 1 / 3)
DEN_FILES = {
    "a source above the states": ({"src": [0, 0, 1, 1, 1, 2, 999]}, "state 999 occurs"),
    "a source of 2^40": ({"src": [0, 0, 1, 1, 1, 2, 1 << 40]}, "src has 0..1099511627776"),
    "a negative source": ({"src": [-7, 0, 1, 1, 1, 2, 2]}, "src has -7..2"),
    "a target above the states": ({"dst": [3, 2, 1, 2, 0, 2, 0]}, "state 3 occurs"),
    "a negative target": ({"dst": [-1, 2, 1, 2, 0, 2, 0]}, "dst has -1..2"),
    "a pdf above num_pdfs": ({"pdf": [0, 1, 1, 2, 0, 4, 2]}, "num_pdfs is 4, but pdf 4 occurs"),
    "a negative pdf": ({"pdf": [0, 1, 1, 2, 0, -3, 2]}, "pdf has -3..2"),
    "a pdf that is no whole number": ({"pdf": np.full(7, 0.5)}, "pdf wants whole numbers"),
    "pdfs that are truths": ({"pdf": np.full(7, True)}, "pdf wants whole numbers"),
    "arcs as a matrix": ({"src": np.zeros((7, 1), int)}, "src wants a vector"),
    "arcs of other numbers": ({"src": [0, 0, 1]}, "equally long"),
    "no arcs": (
        {"src": np.zeros(0, int), "dst": np.zeros(0, int), "pdf": np.zeros(0, int),
         "prob": np.zeros(0)}, "non-empty",
    ),
    "a probability that is NaN": ({"prob": [math.nan, *PROB[1:]]}, "prob wants .* found nan"),
    "an infinite probability": ({"prob": [math.inf, *PROB[1:]]}, "prob wants .* found inf"),
    "a probability of 0": ({"prob": [0.0, *PROB[1:]]}, "prob wants .* found 0 in place 0"),
    "a negative probability": ({"prob": [-0.5, *PROB[1:]]}, "prob wants .* found -0.5"),
    "one that float32 has not": ({"prob": [1e-40, *PROB[1:]]}, "prob wants .* found 1e-40"),
    "a probability of 1e9": ({"prob": [1e9, *PROB[1:]]}, r"prob wants .* found 1e\+09"),
    "too few initial ones": ({"initial": [0.5, 0.5]}, "state 2 occurs.* of 2 states"),
    "a negative initial one": ({"initial": [-0.5, 0.75, 0.75]}, "initial wants .* found -0.5"),
    "an initial one that is NaN": ({"initial": [math.nan, 0.5, 0.5]}, "initial wants .* found nan"),
    "initial ones of 1.5": ({"initial": A_HALF}, "initial probabilities add up to 1.5"),
    "a start above the states": ({"start": 3}, "state 3 occurs"),
    "a negative start": ({"start": -1}, "start wants a whole number from 0 .* found -1"),
    "a start of 1.5": ({"start": 1.5}, "start wants a whole number"),
    "starts": ({"start": [0, 1]}, "not a readable den.npz"),
    "no pdfs": ({"num_pdfs": 0}, "num_pdfs wants a whole number from 1"),
    "pdfs beyond memory": ({"num_pdfs": 1 << 40}, "num_pdfs wants a whole number from 1"),
    "final ones of other states": ({"final": [0.5]}, "final probabilities of 1 states"),
    "a final one that is NaN": ({"final": [0, 0, math.nan]}, "final wants .* found nan"),
    "a negative final one": ({"final": [0, 0, -1.0]}, "final wants .* found -1"),
    "names that are numbers": ({"phones": [1, 2]}, "phones wants names"),
    "more names than pdfs": ({"phones": ["a", "b", "c"]}, "4 pdfs for 3 phones"),
    "leaves above num_pdfs": (
        {"leaves": np.full((1, 2, 1, 2), 9), "phones": ["a", "b"]}, "leaves: pdfs must lie in 0..3",
    ),
    "leaves that are no whole numbers": (
        {"leaves": np.full((1, 2, 1, 2), 0.5), "phones": ["a", "b"]}, "leaves: .*whole numbers",
    ),
    "leaves of other phones": (
        {"leaves": np.zeros((1, 3, 1, 2), int), "phones": ["a", "b"]}, "leaves of 3 phones",
    ),
}  # fmt: skip


def write_den(path: Path, changed: dict[str, Any]) -> Path:
    good = graph()
    arrays = {name: np.asarray(getattr(good, name)) for name in ("src", "dst", "pdf", "prob")}
    arrays |= {"initial": THIRD, "final": np.zeros(3), "start": np.array(0)}
    arrays |= {"num_pdfs": np.array(4), "phones": np.array([], np.str_)}
    np.savez(path, **(arrays | {name: np.asarray(value) for name, value in changed.items()}))
    return path


@pytest.mark.parametrize("row", DEN_FILES)
def test_a_den_npz_that_cannot_be_is_refused_when_it_is_loaded(row, tmp_path):
    changed, message = DEN_FILES[row]
    path = write_den(tmp_path / "den.npz", changed)
    with pytest.raises(UserError, match=message) as caught:
        DenominatorGraph.load(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_good_den_npz_is_loaded(tmp_path):
    assert DenominatorGraph.load(write_den(tmp_path / "den.npz", {})).num_states == 3


def test_the_command_ends_in_one_line_and_leaves_nothing(toy: Toy, tmp_path):
    path = write_den(tmp_path / "den.npz", {"src": [0, 0, 1, 1, 1, 2, 999]})
    done = chainstitch(toy.arguments(tmp_path / "exp", den=path), tmp_path, {})
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and len(lines) == 1, done.stderr
    assert lines[0].startswith(f"chainstitch train: error: {path} ") and "state 999" in lines[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["den.npz"]


# -- arcs of one's own -----------------------------------------------------------------------------

ARCS = {
    "a negative start": ({"start": -1}, "start wants .* found -1"),
    "a start that is True": ({"start": True}, "start wants .* found True"),
    "a start of 0.5": ({"start": 0.5}, "start wants .* found 0.5"),
    "a start of 10^12": ({"start": 10**12}, "start wants .* found 1000000000000"),
    "final that is NaN": ({"final": [math.nan]}, "final wants .* found nan"),
    "final that is infinite": ({"final": [0.1, math.inf]}, "final wants .* found inf in place 1"),
    "final below 0": ({"final": [-0.1]}, "final wants .* found -0.1"),
    "final that is a matrix": ({"final": [[0.1]]}, "final wants a vector"),
    "states of 0.5": ({"src": [0.5] * 7}, "src wants whole numbers"),
    "states that are truths": ({"dst": [True] * 7}, "dst wants whole numbers"),
    "a state of 10^12": ({"dst": [10**12, *DST[1:]]}, "dst has 0..1000000000000"),
    "num_pdfs of 4.5": ({"num_pdfs": 4.5}, "num_pdfs wants .* found 4.5"),
    "num_pdfs of 3": ({"num_pdfs": 3}, "num_pdfs is 3, but pdf 3 occurs"),
    "a probability that float32 has not": ({"prob": [1e-300, *PROB[1:]]}, "found 1e-300"),
    "a probability of 1e300": ({"prob": [1e300, *PROB[1:]]}, r"found 1e\+300"),
}


@pytest.mark.parametrize("row", ARCS)
def test_arcs_that_cannot_be_are_refused(row):
    changed, message = ARCS[row]
    with pytest.raises(ValueError, match=message):
        graph(**changed)


def test_final_probabilities_may_be_of_more_states_than_have_arcs():
    assert graph(final=[0.1, 0.1, 0.1, 0.1]).num_states == 4


# -- den.fst ---------------------------------------------------------------------------------------

FST_TEXTS = {
    "a final weight of -1000": ("0 0 1 0.1\n0 -1000\n", "final wants"),
    "a final weight that is NaN": ("0 0 1 0.1\n0 nan\n", "final wants"),
    "a weight that is NaN": ("0 0 1 nan\n", "prob wants"),
    "a weight of -1000": ("0 0 1 -1000\n", "prob wants"),
    "a weight of 1000": ("0 0 1 1000\n", "prob wants"),
    "a state of 10^12": ("0 1000000000000 1 0.1\n", "line 1 "),
    "a final state of 10^12": ("0 0 1 0.1\n1000000000000\n", "line 2 "),
    "a negative final state": ("0 0 1 0.1\n-5 0.1\n", "line 2 "),
    "a label of 2^70": (f"0 0 {1 << 70} 0.1\n", "line 1 "),
}


@pytest.mark.parametrize("row", FST_TEXTS)
def test_a_text_that_is_no_denominator_is_refused(row, tmp_path):
    text, message = FST_TEXTS[row]
    path = tmp_path / "den.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        DenominatorGraph.load(path)
    assert str(caught.value).startswith(str(path))


def test_a_final_state_without_arcs_is_no_reason_to_refuse(tmp_path):
    (tmp_path / "den.txt").write_text("0 0 1 0.1\n7 0.1\n")
    assert DenominatorGraph.load(tmp_path / "den.txt").num_states == 8


def with_last_arc(path: Path, **changed: int) -> Path:
    """Overwrites parts of the last arc of the last state in a binary FST."""
    data = bytearray(path.read_bytes())
    for name, value in changed.items():
        place = ("ilabel", "olabel", "weight", "nextstate").index(name)
        struct.pack_into("<i", data, len(data) - 16 + 4 * place, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("to", [10**9, -1, 1])
def test_a_binary_den_fst_with_a_next_state_that_is_not_there_is_refused(to, tmp_path):
    path = tmp_path / "den.fst"
    compose.write_fst(fst([1, 2]), path)
    # olabel as ilabel: what else is wrong with it is not what is asked
    with_last_arc(path, ilabel=2, olabel=2, nextstate=to)
    data = bytearray(path.read_bytes())
    struct.pack_into("<ii", data, len(data) - 32, 1, 1)
    path.write_bytes(data)
    if to == 1:
        assert DenominatorGraph.load(path).num_states == 2  # a dead end, which a graph may have
        return
    with pytest.raises(UserError, match=re.escape(str(path))):
        DenominatorGraph.load(path)


# -- FSTs that composition and search follow -------------------------------------------------------

FSTS = {
    "a next state of 10^9": ({"nextstate": 10**9}, "next state 1000000000 occurs, .* is 0"),
    "a negative next state": ({"nextstate": -2}, "next state -2 occurs"),
    "a negative input label": ({"ilabel": -5}, "input label -5 occurs"),
    "a negative output label": ({"olabel": -5}, "output label -5 occurs"),
    "a weight that is NaN": ({"weight": 0x7FC00000}, "a weight is not a number"),
}


@pytest.mark.parametrize("row", FSTS)
def test_an_fst_with_arcs_that_cannot_be_is_refused(row, tmp_path):
    changed, message = FSTS[row]
    path = tmp_path / "G.fst"
    compose.write_fst(fst([1, 2]), path)
    assert compose.read_fst(path).num_states == 1
    with_last_arc(path, **changed)
    with pytest.raises(UserError, match=f"damaged .*{message}.*chainstitch lang"):
        compose.read_fst(path)


@pytest.mark.parametrize("label", [5, 100, 10**6])
def test_a_search_graph_with_labels_above_the_pdfs_is_not_searched(label, tmp_path):
    path = tmp_path / "HLG.fst"
    compose.write_fst(fst([1, label]), path)
    with pytest.raises(UserError, match=f"input label {label} occurs, the highest that may is 4"):
        LatticeDecoder(Graph(path, {1: "a"}, {1: [(1,)]}, monophones(2)))


def test_symbol_tables_in_an_fst_are_passed_over(tmp_path):
    import kaldifst

    made, path = fst([1, 2]), tmp_path / "G.fst"
    table = kaldifst.SymbolTable()
    table.add_symbol("<eps>", 0)
    made.input_symbols = table
    compose.write_fst(made, path)
    assert compose.read_fst(path).num_states == 1
    with pytest.raises(UserError, match="input label 2 occurs, the highest that may is 1"):
        compose.read_fst(path, most_input=1)
