"""Told to stop, a run saves what it has, and goes on as if nothing had been."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from chainstitch.nnet.train.plan import Minibatch
from chainstitch.nnet.train.trainer import Trainer
from chainstitch.utils import checkpoint
from chainstitch.utils.stop_signals import Stopped
from tests.toy import XCONFIG, Toy, same_tensors
from tests.toy import rows as rows_of
from tests.training import BACKSTITCH, SHRINKING, trained, trainer

LSTM = XCONFIG.replace(
    "output-layer",
    "fast-lstmp-layer name=lstm1 cell-dim=8 delay=-3 dropout-proportion=0.3\noutput-layer",
)


def stopped(made: Trainer, minibatch: int, number: signal.Signals = signal.SIGTERM) -> str:
    """Has the signal come as minibatch `minibatch` of the run begins; what was said."""
    step, seen = made.step.__call__, []

    def interrupted(of: Minibatch, *arguments: Any) -> None:
        seen.append(of)
        if len(seen) == minibatch:
            os.kill(os.getpid(), number)
        step(of, *arguments)

    parts = made.step.parts
    made.step = interrupted  # type: ignore[assignment]
    made.step.parts = parts  # type: ignore[method-assign]
    with pytest.raises(Stopped) as error:
        made.run()
    assert len(seen) == minibatch and error.value.exit_code == 144
    return str(error.value)


def continued(toy: Toy, out: Path, **options: Any) -> Trainer:
    made = trainer(toy, out, **options)
    torch.manual_seed(99)  # whatever state the generator is in
    assert made.resume()
    made.run()
    return made


@pytest.mark.parametrize(
    ("schedule", "number"), [(BACKSTITCH, signal.SIGTERM), (SHRINKING, signal.SIGUSR1)]
)
def test_wherever_it_was_stopped_it_ends_as_the_undisturbed_run(
    toy: Toy, tmp_path: Path, thorough: bool, schedule: Any, number: signal.Signals
) -> None:
    options = {"schedule": schedule, "xconfig": LSTM, "passes": 5.0}
    whole = trained(toy, tmp_path / "whole", **options)
    total, first = whole.plan.total, whole.plan.bounds(0)[1]
    assert total >= 9 and first >= 3
    everywhere = thorough or schedule is BACKSTITCH
    for minibatch in (1, first, total - 1) if everywhere else (first,):
        out = tmp_path / str(minibatch)
        said = stopped(trainer(toy, out, **options), minibatch, number)
        assert f"stopped by {number.name} in iteration" in said and "--resume auto" in said
        assert (out / "paused.pt").exists()
        made = continued(toy, out, **options)
        assert same_tensors(made.network.state_dict(), whole.network.state_dict()), minibatch
        assert rows_of(out) == rows_of(tmp_path / "whole")
        assert not (out / "paused.pt").exists()


def test_stopped_twice_in_one_iteration(toy: Toy, tmp_path: Path) -> None:
    options = {"schedule": BACKSTITCH, "passes": 5.0}
    whole = trained(toy, tmp_path / "whole", **options)
    stopped(trainer(toy, tmp_path / "cut", **options), 1)
    again = trainer(toy, tmp_path / "cut", **options)
    assert again.resume()
    assert "after 2 of" in stopped(again, 1)
    made = continued(toy, tmp_path / "cut", **options)
    assert same_tensors(made.network.state_dict(), whole.network.state_dict())
    assert rows_of(tmp_path / "cut") == rows_of(tmp_path / "whole")


def test_further_signals_do_not_disturb_the_saving(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"schedule": BACKSTITCH, "passes": 5.0}
    whole = trained(toy, tmp_path / "whole", **options)
    save = checkpoint.save

    def signalled(state: dict[str, Any], path: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        save(state, path)
        os.kill(os.getpid(), signal.SIGUSR1)

    made = trainer(toy, tmp_path / "cut", **options)
    monkeypatch.setattr(checkpoint, "save", signalled)
    assert "stopped by SIGTERM" in stopped(made, 2)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    made = continued(toy, tmp_path / "cut", **options)
    assert same_tensors(made.network.state_dict(), whole.network.state_dict())


@pytest.mark.parametrize("damage", ["truncated", "a bit", "a part"])
def test_of_a_damaged_pause_the_checkpoint_before_it_is_used(
    toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    options = {"schedule": BACKSTITCH, "passes": 5.0}
    whole = trained(toy, tmp_path / "whole", **options)
    out = tmp_path / "cut"
    stopped(trainer(toy, out, **options), whole.plan.bounds(1)[0] + 2)
    content = bytearray((out / "paused.pt").read_bytes())
    if damage == "a part":
        state = checkpoint.load(out / "paused.pt")
        del state["progress"]
        checkpoint.save(state, out / "paused.pt")
    elif damage == "truncated":
        (out / "paused.pt").write_bytes(content[:-100])
    else:
        weight = checkpoint.load(out / "paused.pt")["model"]["layers.output.weight"]
        content[content.index(weight.numpy().tobytes()) + 2] ^= 1
        (out / "paused.pt").write_bytes(content)
    with caplog.at_level(logging.INFO):
        made = continued(toy, out, **options)
    assert "paused.pt" in caplog.text and f"resumed from {out}/1.pt" in caplog.text
    assert same_tensors(made.network.state_dict(), whole.network.state_dict())
    assert rows_of(out) == rows_of(tmp_path / "whole")


def test_a_pause_of_an_iteration_that_is_done_is_passed_over(toy: Toy, tmp_path: Path) -> None:
    options = {"schedule": BACKSTITCH, "passes": 5.0}
    out = tmp_path / "cut"
    stopped(trainer(toy, out, **options), 2)
    old = (out / "paused.pt").read_bytes()
    continued(toy, out, **options)
    (out / "paused.pt").write_bytes(old)
    made = trainer(toy, out, **options)
    assert made.resume() and made.next_iteration == made.plan.num_iterations
