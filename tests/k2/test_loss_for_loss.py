"""Training with k2 and with the native back end goes through the same losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chainstitch.nnet.chain import ChainLoss
from chainstitch.nnet.loss import Outcome
from tests.k2.needed import needs_k2
from tests.toy import Toy, rows, run

# one iteration of eighteen minibatches, and backstitch's second passes over half of them
ONE = {
    "chain.leaky": "0", "training.passes": "3", "training.frames_per_iteration": "1000000",
    "optim.backstitch.scale": "0.5", "optim.backstitch.interval": "2",
    "optim.backstitch.slow_start": "0",
}  # fmt: skip


@needs_k2
def test_an_iteration_with_k2_has_the_losses_of_one_without(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    losses: dict[str, list[float]] = {"k2": [], "cpu": []}
    outcome = ChainLoss.outcome

    def recorded(self: ChainLoss, *arguments: object) -> Outcome:
        found = outcome(self, *arguments)  # type: ignore[arg-type]
        losses[self.backend].append(float(found.objective.sum()))
        return found

    monkeypatch.setattr(ChainLoss, "outcome", recorded)
    caplog.set_level("INFO")
    for backend in losses:
        options = {**ONE, "chain.backend": backend}
        settings = [word for k, v in options.items() for word in ("--set", f"{k}={v}")]
        assert run(*toy.arguments(tmp_path / backend, *settings)) == 0
    assert len(losses["k2"]) == len(losses["cpu"]) > 25
    np.testing.assert_allclose(losses["k2"], losses["cpu"], rtol=1e-4)
    (one,), (other,) = rows(tmp_path / "k2"), rows(tmp_path / "cpu")
    for name in ("train_objf", "step2_objf", "valid_objf"):
        assert one[name] == pytest.approx(other[name], rel=1e-4)
    assert caplog.text.count("k2 agrees with the cpu back end") == 1
