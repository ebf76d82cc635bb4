"""What held-out objectives decide, through training: the learning rate, and an early end."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from chainstitch.nnet.loss.outcome import Outcome, Outputs
from chainstitch.nnet.nets import Network
from chainstitch.nnet.train import diagnostics
from chainstitch.nnet.train.plan import BatchPlan
from chainstitch.nnet.train.schedule import PlateauOptions
from chainstitch.nnet.train.trainer import Trainer
from chainstitch.utils import checkpoint
from tests.toy import XCONFIG, Toy, fingerprint, rows, run, same_tensors
from tests.training import make_trainer, settings

OBJECTIVES = [-5.0, -4.0, -4.5, -4.2, -3.0, -3.5, -3.0]


class Told:
    """A loss that measures what it was told, for each iteration of a trainer."""

    taps = ()
    trainer: Trainer

    def outcome(self, outputs: Outputs, targets: Any) -> Outcome:
        objective = OBJECTIVES[self.trainer.next_iteration]
        return Outcome(torch.zeros(()), torch.tensor([objective]), 1)


def made(toy: Toy, out: Path, **optim: Any) -> Trainer:
    """Seven iterations of a pass each."""
    out.mkdir(exist_ok=True)
    loss, measured = toy.loss(), Told()
    torch.manual_seed(0)
    network, examples = Network(XCONFIG, loss.denominator.num_pdfs), toy.examples()
    plan = BatchPlan(len(examples), 8, 7.0, 7, 0)
    measured.trainer = make_trainer(
        network, loss, examples, toy.examples(toy.dev), plan, settings(0.01, 0.01, **optim), out,
        measured=measured,
    )  # fmt: skip
    return measured.trainer


PLATEAU = {"schedule": "plateau", "plateau": PlateauOptions(0.5, 0.0, 1)}


def test_a_plateau_goes_on_with_the_same_rates_after_a_stop(toy: Toy, tmp_path: Path) -> None:
    whole = made(toy, tmp_path / "whole", **PLATEAU)
    whole.run()
    falls = [0, 0, 0, 1, 2, 2, 3]  # after the third, fourth and sixth iteration
    assert [row["lr"] for row in whole.rows] == [0.01 * 0.5**n for n in falls]
    for last in (1, 3, 6):
        cut = made(toy, tmp_path / str(last), **PLATEAU)
        state = checkpoint.load(tmp_path / "whole" / f"{last}.pt")
        checkpoint.save(state, tmp_path / str(last) / f"{last}.pt")
        assert cut.resume()
        cut.run()
        assert same_tensors(cut.network.state_dict(), whole.network.state_dict())
        assert rows(tmp_path / str(last)) == rows(tmp_path / "whole")


@pytest.mark.parametrize(("patience", "done"), [(1, 3), (2, 4), (3, 7), (0, 7)])
def test_it_ends_early_and_is_finished_then(
    toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture, patience: int, done: int
) -> None:
    with caplog.at_level(logging.INFO):
        made(toy, tmp_path, patience=patience).run()
    early = f"no better held-out objective in {patience} iterations"
    assert (early in caplog.text) == (done < 7)
    numbers = checkpoint.iterations(tmp_path)
    finished = [checkpoint.load(tmp_path / f"{n}.pt")["finished"] for n in numbers]
    assert finished == [False] * (done - 1) + [True]
    before = fingerprint(tmp_path)
    again = made(toy, tmp_path, patience=patience)
    assert again.resume()
    again.run()
    assert fingerprint(tmp_path) == before and len(again.rows) == done


def test_a_run_that_ended_early_is_combined_without_a_warning(
    toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnostics, "objective", lambda *_: -1.0)
    exp = tmp_path / "exp"
    arguments = toy.arguments(
        exp, "--set", "optim.patience=1", "--set", "training.passes=5", "--resume", "auto"
    )
    assert run(*arguments) == 0 and len(rows(exp)) == 2
    monkeypatch.undo()
    before = fingerprint(exp)
    assert run(*arguments) == 0
    assert fingerprint(exp) == before
    caplog.clear()
    assert run("combine", exp, "--device", "cpu") == 0
    assert "unfinished" not in caplog.text and (exp / "final.pt").exists()
    (exp / "2.pt").unlink()
    assert run("combine", exp, "--device", "cpu", "--overwrite") == 0
    assert "training is unfinished: 1 of" in caplog.text
