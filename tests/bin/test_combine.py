"""`chainstitch combine` at the terminal, and the model it leaves."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from chainstitch.nnet import infer
from chainstitch.nnet.train import diagnostics
from chainstitch.utils import checkpoint
from chainstitch.utils.errors import UserError
from tests.toy import Toy, fingerprint, run


@pytest.fixture(scope="module")
def trained(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of four iterations."""
    out = tmp_path_factory.mktemp("combine") / "exp"
    assert run(*toy.arguments(out)) == 0
    return out


@pytest.fixture
def exp(trained: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(trained, tmp_path / "exp"))


def test_final_model_loads_and_scores_what_was_said(
    toy: Toy, exp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("combine", exp, "--device", "cpu") == 0
    said = capsys.readouterr().out
    state = checkpoint.load(exp / "final.pt")
    assert f"the last {state['combined']} of 4 models averaged" in said
    assert f"-> {state['valid_objf']:.4f}" in said
    network = infer.load_model(exp)
    assert not network.training
    valid = toy.examples(toy.dev)
    objective = diagnostics.objective(network, toy.loss(), valid, list(range(6)), "cpu")
    assert objective == pytest.approx(state["valid_objf"])
    naive = torch.stack(
        [checkpoint.load(exp / f"{4 - n}.pt")["model"]["layers.output.weight"].double()
         for n in range(state["combined"])]
    ).mean(0)  # fmt: skip
    torch.testing.assert_close(network.layers["output"].weight.double(), naive)


def test_log_likes_do_not_depend_on_the_batch(toy: Toy, exp: Path) -> None:
    assert run("combine", exp, "--device", "cpu") == 0
    network, reader = infer.load_model(exp), toy.examples(toy.dev).reader
    arrays = [reader.load(cut) for cut in reader.cuts]
    together = infer.log_likes(network, arrays)
    for one, array in zip(together, arrays, strict=True):
        assert one.dtype == np.float32 and one.shape == (-(-len(array) // 3), 8)
        np.testing.assert_allclose(infer.log_likes(network, [array])[0], one, atol=1e-5)


def test_max_models_counts_from_the_newest(exp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (exp / "1.pt").write_bytes(b"damaged, but not needed")
    assert run("combine", exp, "--max-models", 2, "--device", "cpu") == 0
    assert "of 2 models averaged" in capsys.readouterr().out


def test_the_same_run_combines_to_the_same_bytes(trained: Path, exp: Path, tmp_path: Path) -> None:
    again = Path(shutil.copytree(trained, tmp_path / "again"))
    for place in (exp, again):
        assert run("combine", place, "--device", "cpu") == 0
    assert (exp / "final.pt").read_bytes() == (again / "final.pt").read_bytes()


def test_existing_final_model_is_left_alone_unless_told(
    exp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (exp / "final.pt").write_text("precious")
    before = fingerprint(exp)
    assert run("combine", exp) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "final.pt exists already" in line and "--overwrite" in line
    assert fingerprint(exp) == before
    assert run("combine", exp, "--overwrite", "--device", "cpu") == 0
    infer.load_model(exp)


def test_unfinished_training_is_said(exp: Path, caplog: pytest.LogCaptureFixture) -> None:
    (exp / "4.pt").unlink()
    with caplog.at_level(logging.WARNING):
        assert run("combine", exp, "--device", "cpu") == 0
    assert "training is unfinished: 3 of 4" in caplog.text


@pytest.mark.parametrize(
    ("lost", "code", "wanted"),
    [
        (("config.toml",), 2, "has no config.toml; give a directory that `chainstitch train`"),
        (("1.pt", "2.pt", "3.pt", "4.pt"), 1, "has no <iter>.pt; run `chainstitch train"),
        (("den.npz",), 1, "den.npz does not exist"),
    ],
)
def test_what_is_missing_is_named(
    exp: Path, capsys: pytest.CaptureFixture[str], lost: tuple[str, ...], code: int, wanted: str
) -> None:
    for name in lost:
        (exp / name).unlink()
    before = fingerprint(exp)
    assert run("combine", exp, "--device", "cpu") == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("chainstitch combine: error: ") and wanted in line
    assert fingerprint(exp) == before


def test_damaged_checkpoint_is_named(exp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (exp / "2.pt").write_bytes((exp / "2.pt").read_bytes()[:999])
    before = fingerprint(exp)
    assert run("combine", exp, "--device", "cpu") == 1
    assert "2.pt cannot be read" in capsys.readouterr().err
    assert fingerprint(exp) == before


def test_model_with_a_nan_is_an_error(exp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = checkpoint.load(exp / "2.pt")
    next(iter(state["model"].values())).fill_(float("nan"))
    checkpoint.save(state, exp / "2.pt")
    assert run("combine", exp, "--device", "cpu") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "output is not finite" in line and "lower optim.initial_lr" in line
    assert not (exp / "final.pt").exists()


def test_model_that_is_not_combined_or_does_not_fit_is_refused(exp: Path) -> None:
    with pytest.raises(UserError, match=r"no final\.pt; finish training and run `chainstitch comb"):
        infer.load_model(exp)
    assert run("combine", exp, "--device", "cpu") == 0
    text = (exp / "config.toml").read_text()
    (exp / "config.toml").write_text(text.replace("tdnn2 dim=16", "tdnn2 dim=17"))
    with pytest.raises(UserError, match="of another network"):
        infer.load_model(exp)


@pytest.mark.parametrize("on", ["valid", "train"])
def test_bfgs_writes_the_best_of_three_with_statistics_of_its_own(
    toy: Toy,
    exp: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    on: str,
) -> None:
    with caplog.at_level(logging.INFO):
        assert run("combine", exp, "--method", "bfgs", "--on", on, "--device", "cpu") == 0
    said = capsys.readouterr().out
    state = checkpoint.load(exp / "final.pt")
    assert state["method"] == "bfgs" and state["models"] == [4, 3]  # half of the iterations
    assert state["scores"][state["winner"]] == max(state["scores"].values())
    assert state["valid_objf"] == state["valid_objfs"][state["winner"]]
    (weights,) = state["weights"].values()
    assert sum(weights) == pytest.approx(1)
    assert f"of 2 models, {state['evaluations']} evaluations" in said
    assert (state["scores"] == state["valid_objfs"]) == (on == "valid")
    assert f"  {on} {state['scores']['last']:.4f} (last alone)" in said
    assert f"-> {max(state['scores'].values()):.4f}" in said
    assert f"-> {state['valid_objf']:.4f}" in said
    assert f"all {weights[0]:.3f} {weights[1]:.3f}" in said
    assert "2 models as 2 inputs" in caplog.text and "iteration 1: objective" in caplog.text

    network = infer.load_model(exp)
    for key, value in network.named_parameters():
        parts = [checkpoint.load(exp / f"{n}.pt")["model"][key].double() for n in state["models"]]
        mixed = sum(w * part for w, part in zip(weights, parts, strict=True))
        torch.testing.assert_close(value.double(), mixed, rtol=1e-5, atol=1e-6)
    valid = toy.examples(toy.dev)
    objective = diagnostics.objective(network, toy.loss(), valid, list(range(6)), "cpu")
    assert objective == pytest.approx(state["valid_objf"])
    # batch-norm statistics are those of the mixture, not a mixture of statistics
    written = {k: v.clone() for k, v in network.named_buffers() if "running" in k}
    diagnostics.refresh_statistics(network, toy.examples(), list(range(24)), "cpu")
    for key, value in written.items():
        torch.testing.assert_close(value, network.state_dict()[key], rtol=1e-5, atol=1e-6)
    assert written


def test_bfgs_for_each_component_and_again_to_the_same_bytes(
    trained: Path, exp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = Path(shutil.copytree(trained, tmp_path / "again"))
    for place in (exp, again):
        command = ("combine", place, "--method", "bfgs", "--per-component", "--device", "cpu")
        assert run(*command) == 0
    assert (exp / "final.pt").read_bytes() == (again / "final.pt").read_bytes()
    weights = checkpoint.load(exp / "final.pt")["weights"]
    assert list(weights) == ["layers.tdnn1.0", "layers.tdnn2.0", "layers.output"]
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in weights)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--method", "newton"), "--method wants average or bfgs, found 'newton'"),
        (("--per-component",), "--per-component is about optimised weights; add --method bfgs"),
        (("--on", "train"), "--on train is about optimised weights; add --method bfgs"),
        (("--method", "bfgs", "--on", "test"), "--on wants valid or train, found 'test'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    exp: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], wanted: str
) -> None:
    assert run("combine", exp, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"chainstitch combine: error: {wanted}"
    assert not (exp / "final.pt").exists()


def test_bfgs_names_the_model_that_is_not_finite(
    exp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = checkpoint.load(exp / "3.pt")
    state["model"]["layers.output.weight"][0, 0] = float("inf")
    checkpoint.save(state, exp / "3.pt")
    assert run("combine", exp, "--method", "bfgs", "--device", "cpu") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "model 3.pt is not finite in layers.output.weight" in line
    assert "lower optim.initial_lr" in line
    assert not (exp / "final.pt").exists()
