"""Graphs and arrays that cannot be: each is refused by name before a kernel reads it.

A table of rows for every way in which a graph or an array comes to a compiled kernel (Numba,
Triton, k2, kaldifst, kaldi-decoder), and a dull test for each table. The kernels look at no index
twice, so that such a graph would end the process, or have other memory read in silence.
"""

from __future__ import annotations

import math
import re
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chainstitch.nnet.chain import (
    ChainLoss,
    DenominatorGraph,
    NumeratorBatch,
    NumeratorCompiler,
    NumeratorGraph,
    PdfAcceptor,
    forward_backward,
    numerator_forward_backward,
)
from chainstitch.nnet.chain.graph_file import HEAD, open_graphs, write_graphs
from chainstitch.nnet.infer.best_path import AlignmentGraph, best_path
from chainstitch.nnet.ivector.extractor import IvectorExtractor
from chainstitch.nnet.ivector.front_end import FrontEnd
from chainstitch.nnet.ivector.model import IvectorModel
from chainstitch.nnet.ivector.ubm import DiagonalUbm
from chainstitch.nnet.loss import Outputs
from chainstitch.nnet.loss.nonfinite import NonFiniteError
from chainstitch.utils import checkpoint
from chainstitch.utils.decode.graph import Graph
from chainstitch.utils.decode.lattice import LatticeDecoder
from chainstitch.utils.errors import UserError
from chainstitch.utils.hmm.topology import Leaves, monophones
from chainstitch.utils.lang import compose
from tests.commands import chainstitch
from tests.toy import Toy

GPU = pytest.param(
    "gpu", marks=pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
)
PLACE = "cuda" if torch.cuda.is_available() else "cpu"
SRC, DST = [0, 0, 1, 1, 1, 2, 2], [1, 2, 1, 2, 0, 2, 0]
PDF, PROB = [0, 1, 1, 2, 0, 3, 2], [0.6, 0.4, 0.5, 0.3, 0.2, 0.4, 0.6]


def graph(**changed: Any) -> DenominatorGraph:
    return DenominatorGraph.from_arcs(
        **({"src": SRC, "dst": DST, "pdf": PDF, "prob": PROB} | changed)
    )


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


def fst(labels: list[int]) -> Any:
    import kaldifst

    made = kaldifst.StdVectorFst()
    made.start = made.add_state()
    made.set_final(0, 0.0)
    for label in labels:
        made.add_arc(0, kaldifst.StdArc(label, 1, 0.5, 0))
    return made


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


# -- numerators ------------------------------------------------------------------------------------


def numerator(**changed: Any) -> NumeratorGraph:
    """0 --0--> 1 --1--> 1, a loop, 1 is final."""
    arrays = {
        "src": np.array([0, 1], np.int32), "dst": np.array([1, 1], np.int32),
        "pdf": np.array([0, 1], np.int32), "log_prob": np.zeros(2),
        "final": np.array([False, True]),
    }  # fmt: skip
    return NumeratorGraph(**(arrays | changed))


NUMERATORS = {
    "a source above the states": ({"src": np.array([0, 999], np.int32)}, "src must lie in 0..1"),
    "a negative source": ({"src": np.array([0, -1], np.int32)}, "src must lie in 0..1"),
    "a target above the states": ({"dst": np.array([1, 2], np.int32)}, "dst must lie in 0..1"),
    "a negative pdf": ({"pdf": np.array([0, -9], np.int32)}, "pdf must lie in 0.."),
    "pdfs of 0.5": ({"pdf": np.array([0.5, 0.5])}, "whole numbers"),
    "weights that are NaN": ({"log_prob": np.array([0.0, np.nan])}, "weight that is not finite"),
    "weights of float32": ({"log_prob": np.zeros(2, np.float32)}, "log_prob wants float64"),
    "arcs of other numbers": ({"pdf": np.zeros(3, np.int32)}, "equally long"),
    "no states": ({"final": np.zeros(0, bool)}, "of one state or more"),
    "final that are numbers": ({"final": np.zeros(2)}, "final bool"),
    "a negative length": ({"frames": -1}, "-1 frames"),
}


@pytest.mark.parametrize("row", NUMERATORS)
def test_a_numerator_that_cannot_be_is_refused(row):
    changed, message = NUMERATORS[row]
    with pytest.raises(ValueError, match=f"numerator graph: .*{message}"):
        numerator(**changed)


def test_numerators_whose_states_are_not_in_the_order_of_time_are_refused():
    likes, length = torch.zeros(1, 2, 2), torch.tensor([2])
    with pytest.raises(ValueError, match="not in the order of time"):
        numerator_forward_backward(NumeratorBatch([numerator(frames=2)]), likes, length, "cpu")


@pytest.mark.parametrize("backend", ["cpu", GPU])
def test_numerators_of_more_pdfs_than_the_network_are_refused(backend):
    far = numerator(pdf=np.array([0, 4_000_000], np.int32))
    batch = NumeratorBatch([numerator(), far], names=["one", "two"])
    with pytest.raises(ValueError, match="of two are of more pdfs than log_likes.* 4000"):
        numerator_forward_backward(
            batch, torch.zeros(2, 3, 4, device=PLACE), torch.tensor([3, 3]), backend
        )


@pytest.mark.parametrize(
    "acceptor",
    [
        PdfAcceptor([{-7: 1}, {}], [False, True]),
        PdfAcceptor([{0: 9}, {}], [False, True]),
        PdfAcceptor([{0: -1}, {}], [False, True]),
        PdfAcceptor([{0: 1}], [False, True]),
        PdfAcceptor([], []),
    ],
)
def test_an_acceptor_that_cannot_be_is_not_composed(acceptor):
    with pytest.raises(ValueError, match="pdf acceptor: wanted arcs to states"):
        NumeratorCompiler(graph()).compile(acceptor)


def kept(states: int, arcs: int, itemsize: int, numbers: list[int], weight: float = 0.0) -> bytes:
    """Bytes as of graph_file.py, right or not."""
    kind = {2: np.uint16, 4: np.int32}.get(itemsize, np.int32)
    head = HEAD.pack(states, arcs, 0, itemsize)
    parts = (np.full(max(arcs, 0), weight), np.array(numbers).astype(kind), np.ones(2, np.uint8))
    return head + b"".join(part.tobytes() for part in parts)


KEPT = {
    "a state above the others": kept(2, 1, 4, [0, 99, 0]),
    "a negative state": kept(2, 1, 4, [-3, 1, 0]),
    "a weight that is NaN": kept(2, 1, 4, [0, 1, 0], math.nan),
    "more arcs than bytes": kept(2, 1000, 4, [0, 1, 0])[:40],
    "a negative number of arcs": kept(2, -1, 4, []),
    "numbers of three bytes": kept(2, 1, 3, [0, 1, 0]),
    "a few bytes": b"abc",
}


@pytest.mark.parametrize("row", KEPT)
def test_a_kept_graph_that_is_none_is_an_error_though_its_checksum_is_right(row, tmp_path):
    path = tmp_path / "numerators" / "k.bin"
    graphs = write_graphs(path, [kept(2, 1, 4, [0, 1, 0]), KEPT[row]], {})
    assert graphs[0].num_pdfs == 1
    with pytest.raises(UserError, match=f"{re.escape(str(path))}: graph 1 is none .*delete"):
        graphs[1]


def test_a_file_that_does_not_say_where_its_graphs_are_is_made_again(tmp_path):
    from chainstitch.utils.data.array_file import ArrayWriter

    for at in ([0, 8], [0, 8, 4], [[0, 8, 16]]):
        path = tmp_path / "k.bin"
        with open(path, "wb") as stream:
            writer = ArrayWriter(stream)
            writer.write({"graph_at": np.array(at), "graph_crc": np.zeros(2, np.uint32)})
            writer.finish({})
        assert open_graphs(path) is None


# -- what a kernel is called with ------------------------------------------------------------------

LIKES, LENGTHS = torch.zeros(2, 5, 4), torch.tensor([5, 3])
CALLS = {
    "lengths of 3.9": ({"lengths": torch.tensor([5.0, 3.9])}, TypeError, "lengths wants .*float32"),
    "lengths that are truths": ({"lengths": torch.tensor([True, True])}, TypeError, "torch.bool"),
    "lengths as a list": ({"lengths": [5, 3]}, TypeError, "lengths wants .* found list"),
    "a length of 0": ({"lengths": torch.tensor([5, 0])}, ValueError, "lengths must lie in 1..5"),
    "outputs of whole numbers": ({"log_likes": LIKES.long()}, TypeError, "log_likes wants .*int64"),
    "complex outputs": ({"log_likes": LIKES + 0j}, TypeError, "log_likes wants .*complex"),
    "sparse outputs": ({"log_likes": LIKES.to_sparse()}, TypeError, "log_likes wants .*sparse"),
    "outputs as an array": ({"log_likes": LIKES.numpy()}, TypeError, "found ndarray"),
    "outputs of one sequence": ({"log_likes": LIKES[0]}, ValueError, "log_likes must be"),
    "a scalar": ({"log_likes": torch.tensor(1.0)}, ValueError, "log_likes must be"),
}
OF_DENOMINATORS = {
    "a leak that is NaN": ({"leaky": math.nan}, ValueError, "leaky wants .* found nan"),
    "an infinite leak": ({"leaky": math.inf}, ValueError, "leaky wants .* found inf"),
    "a negative leak": ({"leaky": -0.1}, ValueError, "leaky wants .* found -0.1"),
    "a leak of letters": ({"leaky": "0.1"}, TypeError, "leaky wants a number, found '0.1'"),
    "a leak that is True": ({"leaky": True}, TypeError, "leaky wants a number, found True"),
    "no graph": ({"graph": "den.npz"}, TypeError, "wants a DenominatorGraph, found str"),
}


@pytest.mark.parametrize("backend", ["cpu", "reference", GPU])
@pytest.mark.parametrize("row", CALLS | OF_DENOMINATORS)
def test_what_a_denominator_is_called_with_is_looked_at(row, backend):
    changed, kind, message = (CALLS | OF_DENOMINATORS)[row]
    given = {"graph": graph(), "log_likes": LIKES, "lengths": LENGTHS} | changed
    with pytest.raises(kind, match=message):
        forward_backward(**given, backend=backend)


@pytest.mark.parametrize("row", CALLS)
def test_what_numerators_are_called_with_is_looked_at(row):
    changed, kind, message = CALLS[row]
    given = {"log_likes": LIKES, "lengths": LENGTHS} | changed
    with pytest.raises(kind, match=message):
        numerator_forward_backward(NumeratorBatch([numerator()] * 2), **given, backend="cpu")


def test_no_sequences_are_no_minibatch_for_numerators():
    with pytest.raises(ValueError, match="0 numerator graphs for 0 sequences"):
        numerator_forward_backward(
            NumeratorBatch([]), torch.zeros(0, 5, 4), torch.zeros(0, dtype=torch.long)
        )


PATHS = {
    "outputs of fewer pdfs than the numerator": ({"likes": np.zeros((3, 1))}, ValueError, "2 or"),
    "fewer than the alignment graph": (
        {"likes": np.zeros((3, 2)), "arcs": numerator(pdf=np.array([0, 10**6], np.int32)),
         "numerator": numerator()}, ValueError, "1000001 or more",
    ),
    "outputs of whole numbers": ({"likes": np.zeros((3, 2), int)}, ValueError, "wanted floats"),
    "outputs beyond float32": ({"likes": np.full((3, 2), 1e39)}, ValueError, "not finite"),
    "a scale that is NaN": ({"acoustic_scale": math.nan}, ValueError, "acoustic_scale wants above"),
    "a scale of 0": ({"acoustic_scale": 0.0}, ValueError, "acoustic_scale wants above 0"),
    "a scale of letters": ({"acoustic_scale": "1"}, TypeError, "acoustic_scale wants a number"),
    "phones of other states": ({"phones": np.zeros(9, int)}, ValueError, "phones of 9 states"),
}  # fmt: skip


@pytest.mark.parametrize("row", PATHS)
def test_what_the_best_path_is_called_with_is_looked_at(row):
    changed, kind, message = PATHS[row]
    given = {"likes": np.zeros((3, 2)), "arcs": numerator(), "phones": np.array([0, 1])} | changed
    likes, arcs, phones = (given.pop(name) for name in ("likes", "arcs", "phones"))
    with pytest.raises(kind, match=message):
        best_path(AlignmentGraph(arcs, phones), likes, **given)


DECODER = {
    "beam": [0.0, -1.0, math.nan, math.inf, True, "15"],
    "lattice_beam": [0.0, math.nan, math.inf],
    "lmwt": [0.0, math.nan, math.inf],
    "wip": [math.nan, math.inf, "0"],
}


@pytest.mark.parametrize(("name", "value"), [(k, v) for k, vs in DECODER.items() for v in vs])
def test_the_numbers_of_a_decoder_are_looked_at(name, value, tmp_path):
    path = tmp_path / "HLG.fst"
    compose.write_fst(fst([1, 4]), path)
    searched = Graph(path, {1: "a"}, {1: [(1,)]}, monophones(2))
    with pytest.raises((TypeError, ValueError), match=f"{name} wants"):
        if "beam" in name:
            LatticeDecoder(searched, **{name: value})
        else:
            decoder = LatticeDecoder(searched)
            decoder.best_path(decoder.decode(np.zeros((2, 4), np.float32)), **{name: value})


def test_a_leaves_table_without_phones_is_refused():
    with pytest.raises(ValueError, match="leaves: the table must be"):
        Leaves(np.zeros((1, 0, 1, 2), int), 4)


# -- numbers that are finite, and too large --------------------------------------------------------


@pytest.mark.parametrize("backend", ["cpu", "reference", GPU])
@pytest.mark.parametrize("leaky", [0.0, 0.1])
@pytest.mark.parametrize("far", [-1e35, 1e35, -3e38, -1e30, 3e10])
def test_frames_far_from_zero_have_the_posteriors_of_zeros(far, leaky, backend):
    y, lengths = torch.zeros(3, 5, 4), torch.tensor([5, 4, 5])
    wanted_z, wanted = forward_backward(graph(), y, lengths, leaky, "reference")
    y[0], y[1, 2] = far, far
    log_z, posteriors = forward_backward(graph(), y.to(PLACE), lengths, leaky, backend)
    torch.testing.assert_close(posteriors.cpu(), wanted, atol=1e-5, rtol=0)
    moved = torch.tensor([5, 1, 0]) * torch.tensor(far).double()
    torch.testing.assert_close(log_z.cpu(), wanted_z + moved, atol=1e-5, rtol=1e-7)


@pytest.mark.parametrize("backend", ["cpu", "reference", GPU])
def test_a_mask_of_minus_1e35_is_one_of_minus_infinity(backend):
    y = torch.arange(20.0).reshape(1, 5, 4) % 3
    wanted, y_masked = y.clone(), y.clone()
    wanted[..., 0], y_masked[..., 0] = -math.inf, -1e35
    found = forward_backward(graph(), y_masked.to(PLACE), LENGTHS[:1], 0.1, backend)
    for one, other in zip(
        found, forward_backward(graph(), wanted, LENGTHS[:1], 0.1, "reference"), strict=True
    ):
        torch.testing.assert_close(one.cpu(), other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("backend", ["cpu", "reference", GPU])
def test_paths_farther_than_float64_can_say_are_an_error(backend):
    # three ways out of the start, of which the one at 0 ends after a frame
    columns = map(torch.tensor, ([0, 0, 0, 1, 2], [1, 2, 3, 1, 2], [0, 1, 2, 3, 3]))
    prob, initial = torch.tensor([0.5, 0.25, 0.25, 1.0, 1.0]), torch.tensor([1.0, 0, 0, 0])
    apart = DenominatorGraph(*columns, prob, initial, 0, 4)
    y = torch.zeros(2, 5, 4)
    y[1, 0, :2] = -1e35
    with pytest.raises(NonFiniteError, match=r"sequences \[1\].* nats") as caught:
        forward_backward(apart, y.to(PLACE), torch.tensor([5, 5]), 0.0, backend)
    assert caught.value.sequences == [1]


@pytest.mark.parametrize("backend", ["cpu", GPU])
@pytest.mark.parametrize("far", [-1e35, 1e35, 3e10])
def test_numerators_far_from_zero_have_the_posteriors_of_zeros(far, backend):
    two_ways = {
        "src": np.array([0, 0, 1], np.int32), "dst": np.array([1, 1, 1], np.int32),
        "pdf": np.array([0, 2, 1], np.int32), "log_prob": np.log([0.75, 0.25, 1.0]),
    }  # fmt: skip
    batch = NumeratorBatch([numerator(**two_ways)] * 2)
    y, lengths = torch.zeros(2, 5, 4), torch.tensor([4, 5])
    wanted_z, wanted = numerator_forward_backward(batch, y, lengths, "cpu")
    y[0] = far
    log_z, posteriors = numerator_forward_backward(batch, y.to(PLACE), lengths, backend)
    torch.testing.assert_close(posteriors.cpu(), wanted, atol=1e-6, rtol=0)
    moved = torch.tensor([4, 0]) * torch.tensor(far).double()
    torch.testing.assert_close(log_z.cpu(), wanted_z + moved, atol=1e-6, rtol=1e-7)


def test_a_numerator_farther_than_float64_can_say_is_an_error():
    y = torch.zeros(1, 3, 2)
    y[0, 0, 0] = -1e35  # the only way in, while pdf 1 of the same frame is at 0
    with pytest.raises(NonFiniteError, match="numerator of utt.* 1e\\+09 nats apart"):
        batch = NumeratorBatch([numerator()], names=["utt"])
        numerator_forward_backward(batch, y, torch.tensor([3]), "cpu")


def test_the_loss_names_utterances_whose_outputs_are_too_large_to_compare():
    loss = ChainLoss(graph(), output_l2=0.0, backend="cpu")
    y = torch.zeros(2, 5, 4, requires_grad=True)
    batch = NumeratorBatch([numerator()] * 2, names=["near", "far"])
    outcome = loss.outcome(Outputs(y, LENGTHS, {}), batch)
    assert torch.isfinite(outcome.objective).all()
    with torch.no_grad():
        y[1] = 3e9
    with pytest.raises(NonFiniteError, match="far is beyond 1e.09") as caught:
        loss.outcome(Outputs(y, LENGTHS, {}), batch)
    assert caught.value.sequences == [1]


# -- i-vectors -------------------------------------------------------------------------------------

IVECTORS = {
    "a period of 0": (lambda s: s["constants"].update(period=0), "period wants"),
    "a period of 1.5": (lambda s: s["constants"].update(period=1.5), "period wants a whole"),
    "no Gaussians a frame": (lambda s: s["constants"].update(num_gselect=0), "num_gselect wants"),
    "a min_post of 2": (lambda s: s["constants"].update(min_post=2.0), "min_post wants"),
    "a scale that is NaN": (lambda s: s["constants"].update(posterior_scale=math.nan), "posterior"),
    "a name that is none": (lambda s: s["constants"].update(other=1), "other"),
    "a UBM of other dimensions": (
        lambda s: s.update(ubm=DiagonalUbm(*map(torch.ones, (2, (2, 5), (2, 5)))).state_dict()),
        "front end of 3 dimensions, UBM of",
    ),
    "an extractor of other Gaussians": (
        lambda s: s["extractor"].update(T=torch.ones(4, 3, 2), variances=torch.ones(4, 3)),
        "UBM of .* extractor of",
    ),
    "weights of other Gaussians": (lambda s: s["ubm"].update(weights=torch.ones(3)), "damaged"),
    "a mean that is NaN": (lambda s: s["front"]["mean"].fill_(math.nan), "not finite"),
    "means that are NaN": (lambda s: s["ubm"]["means"].fill_(math.nan), "not finite"),
    "a T that is infinite": (lambda s: s["extractor"]["T"].fill_(math.inf), "not finite"),
    "a transform that is a number": (lambda s: s["front"].update(transform=1.0), "damaged"),
    "a transform that is a vector": (lambda s: s["front"].update(transform=torch.ones(3)), "dama"),
}


@pytest.mark.parametrize("row", IVECTORS)
def test_an_ivector_model_that_cannot_be_is_refused(row, tmp_path):
    change, message = IVECTORS[row]
    ubm = DiagonalUbm(torch.ones(2) / 2, torch.zeros(2, 3), torch.ones(2, 3))
    front = FrontEnd(torch.zeros(1), torch.zeros(1), torch.ones(3, 3), 1, 100.0)
    IvectorModel(front, ubm, IvectorExtractor.initial(ubm, 2)).save(tmp_path)
    path = tmp_path / "ivector.pt"
    assert IvectorModel.load(tmp_path).period == 10
    state = checkpoint.load(path, keys=())
    change(state)
    checkpoint.save(state, path)
    with pytest.raises(UserError, match=message) as caught:
        IvectorModel.load(tmp_path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_outputs_that_add_up_to_infinity_are_no_traceback(tmp_path):
    path = tmp_path / "HLG.fst"
    compose.write_fst(fst([1, 4]), path)
    decoder = LatticeDecoder(Graph(path, {1: "a"}, {1: [(1,)]}, monophones(2)))
    likes = np.full((20, 4), -3e38, np.float32)
    with pytest.raises(UserError, match=r"utt: the search lost all its paths.* 3e\+38"):
        decoder.decode(likes, "utt")
