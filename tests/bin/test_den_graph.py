"""`chainstitch den-graph` at the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from chainstitch.nnet.chain import DenominatorGraph
from tests.toy import Toy, fingerprint, retext, run


def arguments(toy: Toy, out: Path, *more: object) -> list[object]:
    inputs = ["--data", toy.place / "train", "--lang", toy.lang, "--out", out]
    return ["den-graph", toy.conf, *inputs, *more]


def refused(toy: Toy, capsys: pytest.CaptureFixture[str], *command: object) -> tuple[int, str]:
    """The exit code and the one line of a command that must leave everything as it was."""
    before = fingerprint(toy.place)
    capsys.readouterr()
    code = run(*command)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("chainstitch den-graph: error: ")
    assert fingerprint(toy.place) == before
    return code, line


def test_graph_is_written_and_summed_up(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "den.npz"
    assert run(*arguments(toy, out)) == 0
    graph = DenominatorGraph.load(out)
    assert graph.num_pdfs == 8 and float(graph.initial.sum()) == pytest.approx(1.0)
    wanted = f"{graph.num_states} states, {len(graph.src)} arcs, 8 pdfs, from 24 transcripts"
    assert capsys.readouterr().out == f"{out}: {wanted}\n"
    assert [p.name for p in out.parent.iterdir()] == ["den.npz"]
    again, text = tmp_path / "again.npz", tmp_path / "den.txt"
    assert run(*arguments(toy, again, "--text", text)) == 0
    assert again.read_bytes() == out.read_bytes()
    written = DenominatorGraph.load(text)
    torch.testing.assert_close(written.prob, graph.prob, rtol=1e-6, atol=0)
    torch.testing.assert_close(written.initial, graph.initial, rtol=1e-6, atol=0)


def test_the_seed_and_the_graph_section_decide_its_bytes(toy: Toy, tmp_path: Path) -> None:
    variants = {
        "one": ("--seed", 1), "again": ("--seed", 1), "other": ("--seed", 2),
        "bigram": ("--seed", 1, "--set", "graph.ngram_order=2"),
        "shuffled": ("--seed", 1, "--set", "graph.shuffle_words=true"),
    }  # fmt: skip
    for name, options in variants.items():
        assert run(*arguments(toy, tmp_path / name, *options)) == 0
    content = {name: (tmp_path / name).read_bytes() for name in variants}
    assert content["one"] == content["again"] and len(set(content.values())) == 4


def test_existing_graph_is_left_alone_unless_told(
    own: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    before = own.den.read_bytes()
    code, line = refused(own, capsys, *arguments(own, own.den, "--seed", 5))
    assert code == 2 and f"{own.den} exists already" in line and "--overwrite" in line
    assert run(*arguments(own, own.den, "--seed", 5, "--overwrite")) == 0
    assert own.den.read_bytes() != before


def test_word_outside_the_lexicon_is_named(own: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    retext(own.place / "train", {0: "low lou", 3: "hihg"})
    command = arguments(own, own.den, "--overwrite")
    code, line = refused(own, capsys, *command)
    assert code == 1 and "2 words are not in" in line and "(hihg, lou)" in line
    assert "chainstitch lang" in line


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--set", "graph.ngram_oder=3"), "did you mean 'graph.ngram_order'?"),
        (("--set", "graph.silence_edges=2.0"), "graph.silence_edges wants 0 to 1, found 2.0"),
        (("--set", "graph.no_prune_order=5"), "no_prune_order <= ngram_order"),
        (("--data", "nowhere"), "nowhere has no cuts.jsonl.gz"),
        (("--lang", "nowhere"), "nowhere has no words.txt"),
    ],
)
def test_bad_options_exit_2_and_write_nothing(
    own: Toy, capsys: pytest.CaptureFixture[str], options: tuple[str, str], wanted: str
) -> None:
    code, line = refused(own, capsys, *arguments(own, own.place / "new" / "den.npz"), *options)
    assert code == 2 and wanted in line
