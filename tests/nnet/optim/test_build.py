"""Steppers from their options: AdaDelta through training, and names that there are not."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from chainstitch.nnet.nets import Network
from chainstitch.nnet.optim.build import OPTIMIZERS, WRAPPERS, StepOptions, Stepper
from chainstitch.utils import checkpoint
from tests.nnet.train.test_averaged_jobs import made as in_jobs
from tests.nnet.train.test_stopping import continued, stopped
from tests.toy import XCONFIG, Toy, rows, run, same_tensors
from tests.training import settings, trained, trainer

ADADELTA = settings(1.0, 0.5, optimizer="adadelta", natural_gradient=False)
STITCHED = settings(1.0, 0.5, 0.3, 2, slow_start=1, optimizer="adadelta")


def test_adadelta_is_the_plain_loop(
    toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        made = trained(toy, tmp_path / "exp", ADADELTA)
    assert "max-change" not in caplog.text
    assert all("max_change" not in row and "natural_gradient" not in row for row in made.rows)
    torch.manual_seed(0)
    network, loss = Network(XCONFIG, made.network.num_outputs), toy.loss()  # type: ignore[arg-type]
    adadelta = torch.optim.Adadelta(network.parameters(), 1.0, rho=0.95, eps=1e-6)
    for iteration in range(made.plan.num_iterations):
        adadelta.param_groups[0]["lr"] = made.rows[iteration]["lr"]
        torch.manual_seed(iteration)
        torch.randint(100_000, ())  # backstitch's phase
        for minibatch in made.plan.iteration(iteration):
            batch = made.examples.batch(minibatch.indices)
            network.zero_grad()
            outputs, lengths = network(batch.features, batch.lengths, minibatch.shift)  # type: ignore[attr-defined]
            loss(outputs, lengths, batch.targets).backward()  # type: ignore[attr-defined]
            adadelta.step()
    assert same_tensors(made.network.state_dict(), network.state_dict())


@pytest.mark.parametrize("schedule", [ADADELTA, STITCHED], ids=["plain", "backstitch"])
def test_adadelta_goes_on_to_the_same_bits_after_a_stop(
    toy: Toy, tmp_path: Path, schedule: Any
) -> None:
    options: dict[str, Any] = {"schedule": schedule, "passes": 5.0}
    whole = trained(toy, tmp_path / "whole", **options)
    assert whole.rows[-1]["train_objf"] > whole.rows[0]["train_objf"]
    for minibatch in (1, whole.plan.bounds(0)[1] + 3, whole.plan.total - 1):
        out = tmp_path / str(minibatch)
        stopped(trainer(toy, out, **options), minibatch)
        made = continued(toy, out, **options)
        assert same_tensors(made.network.state_dict(), whole.network.state_dict()), minibatch
        assert rows(out) == rows(tmp_path / "whole")
    accumulators = checkpoint.load(tmp_path / "whole" / "3.pt")["stepper"]["optimizer"]["state"]
    assert len(accumulators) == len(list(whole.network.parameters()))
    assert all(state["square_avg"].any() for state in accumulators.values())
    # without them it would end elsewhere
    last = whole.plan.total - 1
    stopped(trainer(toy, tmp_path / "without", **options), last)
    made = trainer(toy, tmp_path / "without", **options)
    assert made.resume()
    made.stepper.optimizer.state.clear()
    made.run()
    assert not same_tensors(made.network.state_dict(), whole.network.state_dict())


def test_accumulators_go_on_from_the_best_of_parallel_jobs(toy: Toy, tmp_path: Path) -> None:
    in_jobs(toy, tmp_path, ADADELTA, (2, 2)).run()
    counts = [
        {int(state["step"]) for state in found["stepper"]["optimizer"]["state"].values()}
        for found in (checkpoint.load(tmp_path / f"{n}.pt") for n in (1, 2, 3, 4))
    ]
    assert counts == [{3}, {6}, {9}, {12}]  # of three minibatches a job


@pytest.mark.parametrize(
    ("name", "known"),
    [("optimizer", list(OPTIMIZERS)), ("wrapper", list(WRAPPERS))],
    ids=["optimizer", "wrapper"],
)
def test_names_that_there_are_not_are_refused(
    toy: Toy,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    known: list[str],
) -> None:
    said = f"optim.{name}: wanted {' or '.join(known)}, found 'adam'"
    with pytest.raises(ValueError, match=said):
        StepOptions(**{name: "adam"})
    assert run(*toy.arguments(tmp_path / "exp", "--set", f"optim.{name}=adam")) == 2
    shown = capsys.readouterr().err
    assert said in shown and shown.count("\n") == 1
    assert not (tmp_path / "exp").exists()


def test_a_steppers_state_is_all_that_the_next_steps_depend_on() -> None:
    def made() -> tuple[torch.nn.Module, Stepper]:
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Dropout(), torch.nn.Tanh())
        return network, Stepper(network, STITCHED.optim, 1.0)

    def train(network: torch.nn.Module, stepper: Stepper, steps: range) -> None:
        for n in steps:
            x = torch.sin(torch.arange(24.0) + n).view(6, 4)

            def closure(x: torch.Tensor = x) -> torch.Tensor:
                network.zero_grad()
                loss = network(x).square().sum()
                loss.backward()
                return loss

            stepper.step(closure, 6)

    network, stepper = made()
    stepper.set_iteration(1, 0.7)
    stepper.begin_iteration(lambda below: below // 2 + 1)
    train(network, stepper, range(5))
    model = {name: value.clone() for name, value in network.state_dict().items()}
    stream = io.BytesIO()
    torch.save(stepper.state_dict(), stream)
    stream.seek(0)
    state = torch.load(stream, weights_only=True)
    train(network, stepper, range(5, 10))
    again, other = made()
    torch.manual_seed(9)
    again.load_state_dict(model)
    other.load_state_dict(state)
    other.set_iteration(1, 0.7)
    train(again, other, range(5, 10))
    assert same_tensors(dict(network.state_dict()), dict(again.state_dict()))
