"""Denominator graphs in OpenFst's two forms."""

from __future__ import annotations

from pathlib import Path

import kaldifst
import pytest
import torch

from chainstitch.nnet.chain import DenominatorGraph
from chainstitch.utils.errors import UserError

# as fstprint shows a den.fst: weights of 0 are left out
TEXT = """2	0	4	4
0	1	1	1	0.693147182
0	0	2	2	0.693147182
1	1	2	2	0.35667494
1	0	3	3
0	1.2039728
1
"""


def read_text(tmp_path: Path, text: str) -> DenominatorGraph:
    (tmp_path / "den.txt").write_text(text)
    return DenominatorGraph.read_fst(tmp_path / "den.txt")


def test_text_of_fstprint_reads(tmp_path: Path) -> None:
    graph = read_text(tmp_path, TEXT)
    arcs = sorted(zip(*(c.tolist() for c in (graph.src, graph.dst, graph.pdf)), strict=True))
    assert arcs == [(0, 0, 1), (0, 1, 0), (1, 0, 2), (1, 1, 1), (2, 0, 3)]
    assert (graph.start, graph.num_states, graph.num_pdfs) == (2, 3, 4)
    wanted = DenominatorGraph.from_arcs(
        *(torch.tensor(c) for c in ([2, 0, 0, 1, 1], [0, 1, 0, 1, 0], [3, 0, 1, 1, 2])),
        torch.tensor([1.0, 0.5, 0.5, 0.7, 1.0]),
        torch.tensor([0.3, 1.0, 0.0]),
        start=2,
    )
    torch.testing.assert_close(graph.prob, wanted.prob, rtol=1e-6, atol=0)
    torch.testing.assert_close(graph.initial, wanted.initial, rtol=1e-6, atol=0)


def test_binary_and_text_and_npz_are_one_graph(tmp_path: Path) -> None:
    first = read_text(tmp_path, TEXT)
    first.write_fst_text(tmp_path / "again.txt")
    fst = kaldifst.compile((tmp_path / "again.txt").read_text(), acceptor=True)
    fst.write(str(tmp_path / "den.fst"))
    first.save(tmp_path / "den.npz")
    number = {"again.txt": [0, 1, 2], "den.npz": [0, 1, 2], "den.fst": [1, 2, 0]}  # by appearance
    for name, new in number.items():
        graph = DenominatorGraph.load(tmp_path / name)
        assert graph.start == new[first.start]
        columns = zip(first.src.tolist(), first.dst.tolist(), first.pdf.tolist(), strict=True)
        wanted = {(new[s], new[d], pdf) for s, d, pdf in columns}
        columns = zip(graph.src.tolist(), graph.dst.tolist(), graph.pdf.tolist(), strict=True)
        assert set(columns) == wanted
        torch.testing.assert_close(graph.initial[new], first.initial, rtol=1e-6, atol=0)
        probs = graph.prob.sort().values, first.prob.sort().values
        torch.testing.assert_close(*probs, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no arcs"),
        ("0 1 2 x 0.5\n", "line 1"),
        ("0 1 1 1 0.5\n1 0 1 1 0.5 7\n", "line 2"),
        ("0 1 0 0 0.5\n1 0 1 1 0.5\n", "1 with 0"),
        ("0 1 1 2 0.5\n1 0 1 1 0.5\n", "1 arcs with two labels"),
        ("0 1 1 1 0.5\n", "no arc leaves"),
        ("\u00e9", "neither an OpenFst file nor the text"),
    ],
)
def test_what_is_no_denominator_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_text(tmp_path, text)


def test_damaged_binary_is_named(tmp_path: Path) -> None:
    fst = kaldifst.compile(TEXT, acceptor=False)
    fst.write(str(tmp_path / "den.fst"))
    data = (tmp_path / "den.fst").read_bytes()
    (tmp_path / "den.fst").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"den\.fst is damaged"):
        DenominatorGraph.load(tmp_path / "den.fst")
    with pytest.raises(UserError, match="does not exist"):
        DenominatorGraph.load(tmp_path / "none.fst")
