"""One minibatch: what is counted, parts of it, output that is not finite, bf16."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.toy import XCONFIG, Toy, same_tensors
from tests.training import BACKSTITCH, PLAIN, settings, trained, trainer


def test_l2_of_a_layer_is_counted_per_sequence(toy: Toy, tmp_path: Path) -> None:
    text = XCONFIG.replace("name=output", "name=output l2-regularize=0.01")
    assert text != XCONFIG
    weights = []
    for name, xconfig in (("plain", XCONFIG), ("l2", text)):
        made = trainer(toy, tmp_path / name, settings(1e-2, 1e-2), xconfig=xconfig)
        made.stepper.optimizer.max_change = 0.0
        layer = made.network.layers["output"]
        with torch.no_grad():
            layer.weight.fill_(0.01)
        made.step(
            made.plan.iteration(0)[0], made.step.parts(made.plan.iteration(0)[0]), Counter(), 1
        )
        weights.append(layer.weight.detach().clone())
    sequences = len(made.plan.iteration(0)[0].indices)
    wanted = weights[0] - 2 * 1e-2 * 0.01 * sequences * 0.01
    torch.testing.assert_close(weights[1], wanted, rtol=1e-5, atol=1e-9)


def test_a_minibatch_that_is_not_finite_is_passed_over_counted_and_named(
    toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    schedule = settings(5e-3, 1e-3, backstitch_scale=1.0, backstitch_interval=1)
    made = trainer(toy, tmp_path / "exp", schedule)
    before = {name: value.clone() for name, value in made.network.state_dict().items()}
    first = made.plan.iteration(0)[0]
    batch = made.examples.batch

    def damaged(indices: list[int]) -> Any:
        whole = batch(indices)
        return dataclasses.replace(whole, features=whole.features * float("inf"))

    made.examples.batch = damaged  # type: ignore[method-assign,assignment]
    sums: Any = Counter()
    made.network.train()
    made.stepper.wrapper.backstitch.scale = 0.0
    made.step(first, made.step.parts(first), sums, 1)
    assert same_tensors(made.network.state_dict(), before)  # batch-norm's statistics too
    assert sums["nonfinite"] == 1 and sums["objf"] == -10.0 * sums["count"]
    assert made.examples.cuts[first.indices[0]].id in caplog.text
    with pytest.raises(FloatingPointError, match="NaN or an infinity"):  # more than 1 % of 100
        made.step(first, made.step.parts(first), sums, 1)
    made.examples.batch = batch  # type: ignore[method-assign]
    made.network.load_state_dict(before)
    made.step(first, made.step.parts(first), sums, 1)
    assert not same_tensors(made.network.state_dict(), before)


NO_MASKS = XCONFIG.replace(" dropout-proportion=0.1", "").replace("batchnorm", "renorm")


def test_a_minibatch_in_parts_is_the_minibatch(toy: Toy, tmp_path: Path) -> None:
    # from the first iteration on, as natural gradient begins with the rows of a part
    whole = trained(toy, tmp_path / "whole", BACKSTITCH, xconfig=NO_MASKS)
    parts = trainer(toy, tmp_path / "parts", BACKSTITCH, xconfig=NO_MASKS, accumulate=3)
    shutil.copy(tmp_path / "whole" / "1.pt", tmp_path / "parts")
    assert parts.resume()
    parts.run()
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(
            parts.network.state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name
        )
    assert parts.rows[-1]["train_objf"] == pytest.approx(whole.rows[-1]["train_objf"], rel=1e-5)
    assert [row["frames"] for row in parts.rows] == [row["frames"] for row in whole.rows]
    assert not same_tensors(parts.network.state_dict(), whole.network.state_dict())


def test_a_part_that_is_not_finite_has_the_whole_minibatch_passed_over(
    toy: Toy, tmp_path: Path
) -> None:
    made = trainer(toy, tmp_path / "exp", PLAIN, accumulate=4)
    minibatches = made.plan.iteration(0)
    made.network.train()
    sums: Any = Counter()
    for minibatch in minibatches[:2]:
        made.step(minibatch, made.step.parts(minibatch), sums, 1)
    before = {name: value.clone() for name, value in made.network.state_dict().items()}
    assert made.stepper.natural_gradient is not None
    estimates = made.stepper.natural_gradient.statistics()
    batch, seen = made.examples.batch, []

    def damaged(indices: list[int]) -> Any:
        whole = batch(indices)
        seen.append(indices)
        spoilt = whole.features * (float("inf") if len(seen) == 3 else 1.0)
        return dataclasses.replace(whole, features=spoilt)

    made.examples.batch = damaged  # type: ignore[method-assign,assignment]
    frames = sums["count"]
    made.step(minibatches[1], made.step.parts(minibatches[1]), sums, 1)
    assert sorted(len(indices) for indices in seen) == [1, 1, 1, 1]
    assert sums["nonfinite"] == 1 and sums["count"] > frames
    assert same_tensors(made.network.state_dict(), before)
    assert made.stepper.natural_gradient.statistics() == estimates


LSTM = "fast-lstmp-layer name=lstm1 cell-dim=8 delay=-3\noutput-layer"


def test_bf16_is_near_float32_and_leaves_updates_in_float32(toy: Toy, tmp_path: Path) -> None:
    text = XCONFIG.replace("output-layer", LSTM)
    rows = {}
    for half in (False, True):
        made = trainer(toy, tmp_path / str(half), BACKSTITCH, xconfig=text, passes=6.0)
        made.network.bf16 = half
        kinds: set[torch.dtype] = set()
        made.network.layers["tdnn2"].register_forward_hook(lambda *a, k=kinds: k.add(a[2].dtype))
        made.run()
        assert kinds == {torch.bfloat16 if half else torch.float32}
        rows[half] = made.rows
        state = made._state()
        assert all(p.dtype == torch.float32 for p in made.network.parameters())
        for sides in state["stepper"]["natural_gradient"].values():
            assert all(side["w"].dtype == torch.float32 for side in sides)
    for name in ("train_objf", "valid_objf"):
        values = [rows[half][-1][name] for half in (False, True)]
        assert values[0] != values[1] == pytest.approx(values[0], abs=0.02), name
