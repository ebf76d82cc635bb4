"""Numerators, acceptors and kept graphs that cannot be are refused by name before a kernel runs."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from chainstitch.nnet.chain import (
    NumeratorBatch,
    NumeratorCompiler,
    PdfAcceptor,
    numerator_forward_backward,
)
from chainstitch.nnet.chain.graph_file import HEAD, open_graphs, write_graphs
from chainstitch.utils.errors import UserError
from tests.faults.graphs import GPU, PLACE, graph, numerator

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
