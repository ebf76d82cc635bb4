"""Training by alignments, LF-MMI and cross-entropy, from command to words; and what it wants."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

from chainstitch.nnet import infer
from chainstitch.nnet.chain import NumeratorGraph
from chainstitch.nnet.chain.graph_file import to_bytes
from chainstitch.nnet.tasks.chunk_targets import Makings
from chainstitch.nnet.tasks.run import begin, load_config, make_inputs
from chainstitch.utils.data.alignments import read_alignments
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.ivectors import STORE, write_ivectors
from chainstitch.utils.data.lattice_file import LatticeFile, lattice_writer
from chainstitch.utils.data.phone_lattice import PhoneLattice, from_alignment
from chainstitch.utils.lang.directory import read_lang
from tests.toy import XCONFIG, Toy, align_evenly, make_ivectors, rows, run

CHUNKS = ("--set", "training.chunk_widths=40,25", "--set", "training.left_context=9")
CROSS_ENTROPY = ("--set", "training.criterion=cross_entropy")


@pytest.fixture
def ali(toy: Toy, tmp_path: Path) -> tuple[str, ...]:
    align_evenly(toy, toy.train, tmp_path / "ali")
    align_evenly(toy, toy.dev, tmp_path / "dev")
    return ("--ali", str(tmp_path / "ali"), "--valid-ali", str(tmp_path / "dev"))


@pytest.mark.parametrize("criterion", [(), CROSS_ENTROPY])
@pytest.mark.parametrize("method", ["average", "bfgs"])
def test_aligned_systems_train_combine_and_decode(
    toy: Toy, tmp_path: Path, ali: tuple[str, ...], criterion: tuple[str, ...], method: str
) -> None:
    out = tmp_path / "exp"
    backstitch = ("--set", "optim.backstitch.scale=1.0", "--set", "optim.backstitch.slow_start=0")
    assert run(*toy.arguments(out, *ali, *CHUNKS, *criterion, *backstitch)) == 0
    lines = rows(out)
    objectives = [float(row["valid_objf"]) for row in lines]  # type: ignore[arg-type]
    assert all(value <= 0 for value in objectives) and objectives[-1] > objectives[0]
    accuracies = [row.get("accuracy") for row in lines]
    assert all(0 < a < 1 for a in accuracies) if criterion else accuracies[0] is None  # type: ignore[operator]
    assert run("combine", out, "--method", method) == 0
    state = torch.load(out / "final.pt", weights_only=True)
    if criterion:
        assert state["log_prior"].exp().sum().item() == pytest.approx(1.0)
        assert state["acoustic_scale"] == pytest.approx(0.3)
    else:
        assert "log_prior" not in state
    decode = ("decode", out, "--data", toy.dev, "--lang", toy.lang, "--nj", "1")
    assert run(*decode, "--out", out / "decode_dev") == 0
    assert run("score", out / "decode_dev") == 0
    # resumed at its end, nothing is left to do
    assert run(*toy.arguments(out, *ali, *CHUNKS, *criterion, *backstitch, "--resume", "auto")) == 0
    assert rows(out) == lines


def test_log_likelihoods_of_a_softmax_are_without_the_prior_and_scaled(
    toy: Toy, tmp_path: Path, ali: tuple[str, ...]
) -> None:
    out = tmp_path / "exp"
    assert run(*toy.arguments(out, *ali, *CROSS_ENTROPY)) == 0
    assert run("combine", out) == 0
    model = infer.load_model(out)
    features, lengths = torch.randn(1, 30, 13), torch.tensor([30])
    found, _ = model(features, lengths)
    outputs, _ = model.network(features, lengths)
    state = torch.load(out / "final.pt", weights_only=True)
    torch.testing.assert_close(found, 0.3 * (outputs.log_softmax(2) - state["log_prior"]))


def test_a_killed_run_goes_through_the_same_numbers(
    toy: Toy, tmp_path: Path, ali: tuple[str, ...]
) -> None:
    options = (*ali, *CHUNKS)
    for name in ("a", "b"):
        assert run(*toy.arguments(tmp_path / name, *options)) == 0
    wanted = rows(tmp_path / "a")
    for path in (tmp_path / "b").glob("[2-9]*.pt"):
        path.unlink()
    assert run(*toy.arguments(tmp_path / "b", *options, "--resume", "auto")) == 0
    assert rows(tmp_path / "b") == wanted


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (CROSS_ENTROPY, "wants alignments; make them with `chainstitch align` and give --ali DIR"),
        (CHUNKS, "chunk_widths = '40,25' wants alignments"),
        (("--set", "training.criterion=mmi"), "wanted lfmmi or cross_entropy, found 'mmi'"),
        (("--set", "training.left_context=-1"), "training.left_context wants 0 to 10000, found -1"),
        (("--set", "chain.tolerance=-1"), "chain.tolerance wants 0 to 10000, found -1"),
    ],
)
def test_wrong_settings_are_one_line(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...], wanted: str,
) -> None:  # fmt: skip
    assert run(*toy.arguments(tmp_path / "exp", *options)) == 2
    assert wanted in capsys.readouterr().err
    assert not (tmp_path / "exp").exists()


def test_other_alignments_are_not_what_a_run_is_resumed_with(
    toy: Toy, tmp_path: Path, ali: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "exp"
    assert run(*toy.arguments(out, *ali)) == 0
    assert json.loads((out / "receipt.json").read_text())["num_pdfs"] == 8
    assert run(*toy.arguments(out, "--resume", "auto")) == 2
    assert "ali" in capsys.readouterr().err


def lattices_of(toy: Toy, ali: str, more: Iterable[tuple[int, int, int, int]] = ()) -> None:
    """Lattices of one path beside the alignments of a directory; the first gets more arcs."""
    phones = read_lang(toy.lang).phones
    names = {number: name for name, number in phones.items()}
    place = Path(ali)
    (place / "lattices.gz").unlink(missing_ok=True)
    with lattice_writer(place / "lattices.gz", names) as add:
        for name, alignment in read_alignments(place / "ali.gz", phones).items():
            lattice = from_alignment(alignment)
            add(name, PhoneLattice([*lattice.arcs, *more]))
            more = ()


def test_lattices_of_one_path_train_as_alignments_do_and_others_do_not(
    toy: Toy, tmp_path: Path, ali: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    short = ("--set", "training.passes=1", *CHUNKS)
    for place in ali[1::2]:
        lattices_of(toy, place)
    lattice = ("--ali-lattice", *ali[1:])
    assert run(*toy.arguments(tmp_path / "one", *ali, *short)) == 0
    assert run(*toy.arguments(tmp_path / "same", *lattice, *short)) == 0
    assert rows(tmp_path / "same") == rows(tmp_path / "one")
    capsys.readouterr()
    assert run(*toy.arguments(tmp_path / "same", *ali, *short, "--resume", "auto")) == 2
    assert "ali" in capsys.readouterr().err
    first = next(
        iter(read_alignments(Path(ali[1]) / "ali.gz", read_lang(toy.lang).phones).values())
    )
    # the first utterance may also begin without its silence
    lattices_of(toy, ali[1], [(0, 2, first[1][0], first[0][1] + first[1][1])])
    assert run(*toy.arguments(tmp_path / "other", *lattice, *short)) == 0
    assert rows(tmp_path / "other") != rows(tmp_path / "one")


def test_lattices_that_cannot_be_used_are_one_line(
    toy: Toy, tmp_path: Path, ali: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    lattice = ("--ali-lattice", *ali[1:])

    def refused(code: int, *options: str) -> str:
        assert run(*toy.arguments(tmp_path / "exp", *options)) == code
        assert not (tmp_path / "exp").exists()
        return capsys.readouterr().err

    assert "give one of them" in refused(2, *ali, "--ali-lattice", ali[1])
    assert "give --ali DIR in place of --ali-lattice" in refused(2, *lattice, *CROSS_ENTROPY)
    assert "does not exist; make it with `chainstitch align --lattices`" in refused(1, *lattice)
    for place in ali[1::2]:
        lattices_of(toy, place)
    path = Path(ali[1]) / "lattices.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)
    for text, wanted in (
        ("".join(lines[:12]), "13 of 24 utterances cannot be used (mostly: it has no alignment)"),
        ("".join(lines).replace(" L ", " AA "), "line 1: s0-0 has the phone 'AA', which the lang"),
        ("".join(lines).replace("SIL 6 ;", "SIL 2 ;"), "(mostly: its alignment has another number"),
    ):
        path.write_bytes(gzip.compress(text.encode()))
        assert wanted in refused(1, *lattice)
    path.write_bytes(gzip.compress("".join(lines).encode())[:-40])
    assert "damaged near line" in refused(1, *lattice)


def test_lattices_of_another_subsampling_are_of_the_same_times(toy: Toy, tmp_path: Path) -> None:
    phones = read_lang(toy.lang).phones
    found = align_evenly(toy, toy.train, tmp_path)  # no multiples of three frames
    lattices_of(toy, str(tmp_path))
    lattices = LatticeFile(tmp_path / "lattices.gz", phones)
    for subsampling in (1, 2, 3):
        makings = Makings(toy.store().leaves, toy.store().compiler, "", 5, subsampling, 0)
        for name in list(found)[:3]:
            piece = [(0, -(-lattices[name].frames // subsampling))]
            (one,), (other,) = (makings.targets(s, piece) for s in (found[name], lattices[name]))
            assert isinstance(one, NumeratorGraph) and isinstance(other, NumeratorGraph)
            assert to_bytes(one) == to_bytes(other)


XENT = XCONFIG.replace("output-layer", "output-layer name=output-xent input=tdnn2\noutput-layer")


def with_branch(toy: Toy, tmp_path: Path, factor: str = "") -> Path:
    conf = tmp_path / "xent.toml"
    branch = XENT.replace("input=tdnn2", f"input=tdnn2 {factor}")
    conf.write_text(toy.conf.read_text().replace(XCONFIG, branch))
    return conf


def test_the_xent_branch_trains_with_its_own_rate_and_is_not_decoded(
    toy: Toy, tmp_path: Path
) -> None:
    conf, out = with_branch(toy, tmp_path), tmp_path / "exp"
    arguments = toy.arguments(out, "--set", "chain.xent_regularize=0.1", conf=conf)
    assert run(*arguments) == 0
    xent = [float(row["xent"]) for row in rows(out)]  # type: ignore[arg-type]
    assert 0 < xent[-1] < xent[0]
    assert run("combine", out, "--method", "bfgs") == 0
    model = infer.load_model(out)
    assert model.num_outputs == 8
    assert model(torch.randn(1, 30, 13), torch.tensor([30]))[0].shape == (1, 10, 8)


@pytest.mark.parametrize(("factor", "wanted"), [("", 5.0), ("learning-rate-factor=2", 2.0)])
def test_the_branch_learns_at_half_over_the_factor_or_as_the_xconfig_says(
    toy: Toy, tmp_path: Path, factor: str, wanted: float
) -> None:
    conf = load_config(with_branch(toy, tmp_path, factor), ["chain.xent_regularize=0.1"])
    given = {"data": toy.train, "valid": toy.dev, "lang": toy.lang, "den": toy.den}
    trainer = begin(conf, make_inputs("speech", 0, given), tmp_path / "exp")
    layers = trainer.network.layers
    assert layers["output-xent"].learning_rate_factor == wanted
    assert layers["output"].learning_rate_factor == 1.0


@pytest.mark.parametrize("there", [False, True])
def test_branch_and_factor_go_together(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str], there: bool
) -> None:
    factor = "0" if there else "0.1"
    conf = with_branch(toy, tmp_path) if there else toy.conf
    arguments = toy.arguments(
        tmp_path / "exp", "--set", f"chain.xent_regularize={factor}", conf=conf
    )
    assert run(*arguments) == 2
    assert f"has {'an' if there else 'no'} output-layer name=output-xent" in capsys.readouterr().err


@pytest.mark.parametrize("aligned", [False, True])
def test_networks_with_ivectors_train_combine_and_decode(
    toy: Toy, tmp_path: Path, ali: tuple[str, ...], capsys: pytest.CaptureFixture[str],
    aligned: bool,
) -> None:  # fmt: skip
    conf, out = tmp_path / "ivector.toml", tmp_path / "exp"
    text = XCONFIG.replace("input name=input", "input name=ivector dim=3\ninput name=input")
    text = text.replace("(-1,0,1)", "(-1,0,1,ReplaceIndex(ivector,t,0))")
    conf.write_text(toy.conf.read_text().replace(XCONFIG, text))
    shutil.copytree(toy.train, tmp_path / "train")
    shutil.copytree(toy.dev, tmp_path / "dev_hires")
    sets = {"data": tmp_path / "train", "valid": tmp_path / "dev_hires"}
    for directory in sets.values():
        make_ivectors(directory, 3, "mine")
    more = (*ali, *CHUNKS) if aligned else ()
    assert run(*toy.arguments(out, *more, conf=conf, **sets)) == 0
    assert run("combine", out) == 0
    model = infer.load_model(out)
    features = [np.zeros((30, 13), np.float32)]
    one, other = (infer.log_likes(model, features, [np.full(3, x, np.float32)]) for x in (0, 1))
    assert not np.allclose(one, other)
    decode = ("decode", out, "--data", tmp_path / "dev_hires", "--lang", toy.lang, "--nj", "1")
    assert run(*decode, "--out", out / "decode_dev") == 0
    align = ("align", out, "--data", tmp_path / "dev_hires")
    assert run(*align, "--out", tmp_path / "own") == 0
    aligned_with = (tmp_path / "own" / "scores").read_text()
    make_ivectors(tmp_path / "dev_hires", 3, "another")
    for command in (decode, align):
        capsys.readouterr()
        assert run(*command, "--out", tmp_path / "other") == 1
        assert "not of the extractor that the model was trained with" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    # an i-vector of the model's own extractor, but of another voice, tells
    swapped = np.random.default_rng(0).normal(size=(1, 3))
    names = (cut.id for cut in FeatureReader(tmp_path / "dev_hires").cuts)
    store = tmp_path / "dev_hires" / STORE
    write_ivectors(store, ((n, swapped) for n in names), 0, 3, b"mine", overwrite=True)
    assert run(*align, "--out", tmp_path / "own", "--overwrite") == 0
    assert (tmp_path / "own" / "scores").read_text() != aligned_with


def with_lda(toy: Toy, tmp_path: Path) -> Path:
    conf = tmp_path / "lda.toml"
    first = "fixed-affine-layer name=lda input=Append(-1,0,1)\nrelu-batchnorm-layer"
    text = XCONFIG.replace("relu-batchnorm-layer", first, 1)
    text = text.replace("input=Append(-1,0,1) drop", "drop")
    conf.write_text(toy.conf.read_text().replace(XCONFIG, text))
    return conf


def test_the_first_layer_is_estimated_once_and_stays(
    toy: Toy, tmp_path: Path, ali: tuple[str, ...]
) -> None:
    conf, out = with_lda(toy, tmp_path), tmp_path / "exp"
    assert run(*toy.arguments(out, *ali, *CHUNKS, conf=conf)) == 0
    states = [torch.load(out / f"{n}.pt", weights_only=True)["model"] for n in (1, 2)]
    weight = states[0]["layers.lda.weight"]
    assert torch.equal(weight, states[1]["layers.lda.weight"])
    assert not torch.allclose(weight, torch.eye(39))
    # killed before the first checkpoint, it comes out the same
    wanted = rows(out)
    for path in out.glob("[0-9]*.pt"):
        path.unlink()
    assert run(*toy.arguments(out, *ali, *CHUNKS, "--resume", "auto", conf=conf)) == 0
    assert rows(out) == wanted
    assert run("combine", out) == 0
    assert torch.equal(infer.load_model(out).layers["lda"].weight, weight)


def test_a_first_layer_without_alignments_is_refused(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*toy.arguments(tmp_path / "exp", conf=with_lda(toy, tmp_path))) == 2
    assert "estimated from alignments; give --ali DIR" in capsys.readouterr().err
    assert not (tmp_path / "exp").exists()
