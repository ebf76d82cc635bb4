"""`chainstitch tree`, and what is made with a tree from there to the words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from chainstitch.nnet.chain import (
    ChainLoss,
    DenominatorGraph,
    NumeratorBatch,
    NumeratorCompiler,
    aligned_acceptor,
)
from chainstitch.nnet.loss import Outputs
from chainstitch.nnet.tasks.speech_data import load_leaves
from chainstitch.utils.data.alignments import read_alignments, write_alignments
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.manifests import cut_text
from chainstitch.utils.errors import UserError
from chainstitch.utils.hmm.tree import Tree
from chainstitch.utils.lang.directory import read_lang
from tests.toy import Toy, rows, run

LEAVES = 14  # of 4 phones


def align(toy: Toy, directory: Path) -> Path:
    """Alignments of the training set: silences at the ends, the phones evenly between."""
    lang = read_lang(toy.lang)
    found = {}
    for cut in FeatureReader(toy.train).cuts:
        phones = [p for w in cut_text(cut).split() for p in lang.pronunciations[lang.words[w]][0]]
        frames = cut.features.num_frames
        bounds = np.linspace(6, frames - 6, len(phones) + 1).astype(int).tolist()
        inner = zip(phones, np.diff(bounds).tolist(), strict=True)
        found[cut.id] = [(1, bounds[0]), *inner, (1, frames - bounds[-1])]
    directory.mkdir()
    write_alignments(directory / "ali.gz", found, dict(enumerate(lang.phone_names, 1)))
    return directory


@pytest.fixture(scope="module", params=[2, 3])
def place(
    toy: Toy, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Path:
    """Alignments, a tree of that context width and the denominator graph made with them."""
    place = tmp_path_factory.mktemp("tree")
    align(toy, place / "ali")
    assert run(*arguments(toy, place, **{"context-width": request.param})) == 0
    assert Tree.load(place / "tree" / "tree.npz").context_width == request.param
    graph = ["den-graph", toy.conf, "--tree", place / "tree", "--ali", place / "ali"]
    assert run(*graph, "--lang", toy.lang, "--out", place / "den.npz") == 0
    return place


def arguments(toy: Toy, place: Path, *more: object, **replaced: object) -> list[object]:
    options = {
        "data": toy.train, "ali": place / "ali", "lang": toy.lang, "out": place / "tree",
        "leaves": LEAVES,
    } | replaced  # fmt: skip
    return ["tree", *(word for k, v in options.items() for word in (f"--{k}", v)), *more]


def refusal(capsys: pytest.CaptureFixture[str], *command: object) -> tuple[int, str]:
    """The exit code and the one line of a command."""
    capsys.readouterr()
    code = run(*command)
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("chainstitch ")
    ]
    return code, line


def test_tree_has_the_leaves_asked_for_and_is_summed_up(
    toy: Toy, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    width = Tree.load(place / "tree" / "tree.npz").context_width
    assert run(*arguments(toy, place, out=tmp_path / "tree", **{"context-width": width})) == 0
    said = capsys.readouterr().out
    assert f"context width {width}, " in said
    frames = sum(-(-c.features.num_frames // 3) for c in FeatureReader(toy.train).cuts)
    assert f"{tmp_path / 'tree'}: 14 leaves for 4 phones" in said and f"{frames} frames" in said
    before, after = (float(w.strip(",")) for w in said.split() if w.strip(",").startswith("-"))
    assert before < after
    for name in ("tree.npz", "phones.txt"):
        assert (tmp_path / "tree" / name).read_bytes() == (place / "tree" / name).read_bytes()
    tree = Tree.load(place / "tree" / "tree.npz")
    assert tree.num_pdfs == LEAVES and tree.phones == read_lang(toy.lang).phone_names


def test_graph_brings_the_leaves_along(toy: Toy, place: Path) -> None:
    graph = DenominatorGraph.load(place / "den.npz")
    assert graph.leaves == Tree.load(place / "tree" / "tree.npz").leaves()
    assert graph.num_pdfs == LEAVES == load_leaves(place).num_pdfs  # type: ignore[union-attr]
    assert DenominatorGraph.load(toy.den).leaves is None  # a graph without a tree


@pytest.mark.parametrize("damage", ["pdf", "phones"])
def test_graphs_with_damaged_leaves_are_refused(place: Path, tmp_path: Path, damage: str) -> None:
    with np.load(place / "den.npz") as data:
        arrays = {name: data[name] for name in data.files}
    table = arrays["leaves"]
    arrays["leaves"] = table + LEAVES if damage == "pdf" else table[:4, :3]
    np.savez(tmp_path / "den.npz", **arrays)
    with pytest.raises(UserError, match=r"not a readable den\.npz \(leaves"):
        load_leaves(tmp_path)


def test_objectives_of_alignments_are_not_positive(toy: Toy, place: Path) -> None:
    graph = DenominatorGraph.load(place / "den.npz")
    assert graph.leaves is not None
    compiler, loss = NumeratorCompiler(graph), ChainLoss(graph)
    aligned = read_alignments(place / "ali" / "ali.gz", read_lang(toy.lang).phones)
    generator = torch.Generator().manual_seed(0)
    for alignment in list(aligned.values())[:8]:
        phones, durations = map(list, zip(*alignment, strict=True))
        acceptor = aligned_acceptor(phones, durations, graph.leaves)
        assert acceptor is not None
        numerator = compiler.compile(acceptor)
        assert numerator is not None  # the phone LM was estimated from this very sentence
        length = numerator.frames
        outputs = 3 * torch.randn(1, length, LEAVES, generator=generator)
        found = loss.outcome(Outputs(outputs, torch.tensor([length])), NumeratorBatch([numerator]))
        assert float(found.objective[0]) <= 1e-6


def test_a_model_is_trained_and_decodes_with_no_more_said_of_its_tree(
    toy: Toy, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exp = tmp_path / "exp"
    assert run(*toy.arguments(exp, den=place / "den.npz")) == 0
    assert all(float(str(row["train_objf"])) <= 0.0 for row in rows(exp))
    assert json.loads((exp / "receipt.json").read_text())["num_pdfs"] == LEAVES
    assert run("combine", exp, "--device", "cpu") == 0
    decode = ["decode", exp, "--data", toy.dev, "--lang", toy.lang, "--nj", 1]
    assert run(*decode, "--out", exp / "decode_dev", "--lmwt", "10", "--wip", "0") == 0
    lines = (exp / "decode_dev" / "hyp_10_0.0").read_text().splitlines()
    assert len(lines) == len(FeatureReader(toy.dev).cuts)
    words = sum(len(line.split()) - 1 for line in lines)
    assert words > 6  # it does say something
    assert len((exp / "decode_dev" / "ctm").read_text().splitlines()) == words
    for more in ([], ["--weights"]):  # the phone LM can say what it was estimated from
        ali = tmp_path / f"ali{len(more)}"
        assert run("align", exp, "--data", toy.train, "--lang", toy.lang, "--out", ali, *more) == 0
        found = read_alignments(ali / "ali.gz", read_lang(toy.lang).phones)
        assert len(found) == len(FeatureReader(toy.train).cuts)
    capsys.readouterr()
    assert run("info", exp) == 0
    width = Tree.load(place / "tree" / "tree.npz").context_width
    assert f"14 leaves, context width {width}" in capsys.readouterr().out
    wavs = sorted((toy.place / "wav").glob("*/*.wav"))[:2]
    assert run("transcribe", exp, *wavs) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == list(map(str, wavs))
    assert sum(len(line.split()) for line in said) > len(wavs)  # words, too
    (graph,) = exp.glob("graph_lang_*")
    shutil.copy(toy.den, exp / "den.npz")  # a model with another number of pdfs, of no tree
    code, line = refusal(capsys, *decode, "--out", exp / "decode_again")
    assert code == 1 and "the graph wants 8 pdfs" in line
    assert len(list(exp.glob("graph_lang_*"))) == 2  # the tree counts in its name


def test_foreign_and_damaged_trees_are_refused(
    toy: Toy, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lexicon = tmp_path / "lexicon"
    lexicon.write_text("low L\nhigh X\n")
    assert run("lang", lexicon, "--grammar", "uniform", "--out", tmp_path / "lang") == 0
    graph = ["den-graph", toy.conf, "--data", toy.train, "--out", tmp_path / "den.npz"]
    code, line = refusal(capsys, *graph, "--lang", tmp_path / "lang", "--tree", place / "tree")
    assert code == 1 and "phone 2 is H in the one, L in the other" in line
    assert "run `chainstitch tree` again" in line
    code, line = refusal(capsys, *graph, "--lang", toy.lang, "--tree", tmp_path)
    assert code == 1 and "tree.npz does not exist; make it with `chainstitch tree`" in line
    content = (place / "tree" / "tree.npz").read_bytes()
    (tmp_path / "tree.npz").write_bytes(content[: len(content) // 2])
    code, line = refusal(capsys, *graph, "--lang", toy.lang, "--tree", tmp_path)
    assert code == 1 and "tree.npz is not a readable tree" in line
    assert not (tmp_path / "den.npz").exists()
    code, line = refusal(
        capsys, "train", toy.conf, "--data", toy.train, "--valid", toy.dev, "--out",
        tmp_path / "exp", "--lang", tmp_path / "lang", "--den", place / "den.npz",
    )  # fmt: skip
    assert code == 1 and "was made with 4 phones" in line


@pytest.mark.parametrize(
    ("replaced", "code", "wanted"),
    [
        ({"leaves": 3}, 2, "need a leaf each; ask for 4 or more"),
        ({"context-width": 1}, 2, "'--context-width': Input should be greater than or equal to 2"),
        ({"ali": "nowhere"}, 1, "nowhere/ali.gz does not exist; make it with `chainstitch align`"),
        ({"data": "nowhere"}, 2, "nowhere has no features.toml"),
        ({"lang": "nowhere"}, 2, "nowhere has no words.txt"),
        ({}, 2, "exists already"),
    ],
)
def test_bad_inputs_are_one_line(
    toy: Toy, place: Path, capsys: pytest.CaptureFixture[str],
    replaced: dict[str, object], code: int, wanted: str,
) -> None:  # fmt: skip
    out = {"out": place / "new"} if replaced else {}
    found, line = refusal(capsys, *arguments(toy, place, **(out | replaced)))
    assert (found, wanted in line) == (code, True), line
    assert not (place / "new").exists()


def test_alignments_of_other_features_are_refused(
    toy: Toy, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = dict(enumerate(read_lang(toy.lang).phone_names, 1))
    aligned = read_alignments(place / "ali" / "ali.gz", read_lang(toy.lang).phones)
    first = sorted(aligned)[0]
    aligned[first] = [*aligned[first], (1, 5)]
    ali = tmp_path / "ali"
    ali.mkdir()
    write_alignments(ali / "ali.gz", aligned, names)
    code, line = refusal(capsys, *arguments(toy, place, ali=ali, out=tmp_path / "tree"))
    assert code == 1 and f"{first} has " in line and "align again" in line
    write_alignments(ali / "ali.gz", {"other": [(1, 5)]}, names)
    code, line = refusal(capsys, *arguments(toy, place, ali=ali, out=tmp_path / "tree"))
    assert code == 1 and "none of its 24 utterances is among the 1 aligned ones" in line


def test_graph_needs_a_text(toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["den-graph", toy.conf, "--lang", toy.lang, "--out", tmp_path / "den.npz"]
    code, line = refusal(capsys, *command)
    assert code == 2 and "give --data SET or --ali DIR" in line
