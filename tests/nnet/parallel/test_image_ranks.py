"""Images in two processes that share minibatches, against one process that has them whole."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from chainstitch.nnet.layers import BatchNorm, BatchNorm2d
from chainstitch.nnet.loss.outcome import Outcome, Outputs
from chainstitch.nnet.parallel.ranks import Ranks
from chainstitch.nnet.train.trainer import Trainer
from chainstitch.utils import checkpoint
from chainstitch.utils.errors import UsageError
from chainstitch.utils.stop_signals import Stopped
from tests import images
from tests.toy import rows, same_tensors
from tests.training import settings

PROCESSES = 2
SCHEDULE = settings(2e-2, 5e-3, backstitch_scale=0.5, backstitch_interval=2, slow_start=2)
DRAWING: dict[str, Any] = {"augment": True, "accumulate": 2, "passes": 4.0}
SHAPES: dict[str, tuple[type[nn.Module], tuple[int, ...]]] = {
    "rows": (BatchNorm, (7, 3)), "places": (BatchNorm2d, (7, 3, 4, 2))
}  # fmt: skip


def trained(*arguments: Any, **options: Any) -> Trainer:
    trainer = images.trainer(*arguments, **options)
    trainer.run()
    return trainer


@contextmanager
def double() -> Iterator[None]:
    """New tensors are in float64: digits enough to see through many steps of batch-norms."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def normalised(name: str, ranks: Ranks, dtype: torch.dtype) -> dict[str, Any]:
    """What a batch-norm makes of this process's rows, their derivatives, and what it keeps."""
    cls, shape = SHAPES[name]
    torch.manual_seed(0)
    layer, x, dy = cls(3), (1 + torch.randn(shape)).to(dtype), torch.randn(shape).to(dtype)
    ranks.join(layer)
    ours = x[ranks.rank :: ranks.size].requires_grad_()
    y = layer(ours)
    y.backward(dy[ranks.rank :: ranks.size])
    return {"y": y.detach(), "dx": ours.grad, **layer.state_dict()}


def work(rank: int, place: Path) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{place}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=PROCESSES)
    ranks = Ranks(rank, PROCESSES, dist.group.WORLD)

    def keep(name: str, state: dict[str, Any]) -> None:
        checkpoint.save(state, place / f"{name}.{rank}.pt")

    for name in SHAPES:
        for dtype in (torch.float32, torch.bfloat16):
            keep(f"{name}.{dtype}", {"model": normalised(name, ranks, dtype)})
    assert ranks.of_first(0.1 + rank) == 0.1
    with double():
        keep("plain", trained(place / "plain", SCHEDULE, ranks, passes=5.0)._state())

    # in parts, and with random shifts and flips
    trainer = images.trainer(place / "drawing", SCHEDULE, ranks, **DRAWING)
    draws, drawn = trainer.examples.images, []  # type: ignore[attr-defined]

    def watched(chosen: torch.Tensor, augment: bool) -> torch.Tensor:
        if augment:
            drawn.append(torch.get_rng_state())
        return draws(chosen, augment)

    trainer.examples.images = watched  # type: ignore[attr-defined]
    trainer.run()
    keep("drawing", trainer._state() | {"drawn": drawn})

    # one process is told to stop, and both go on together
    trainer, steps = images.trainer(place / "stopped", SCHEDULE, ranks, **DRAWING), 0
    batch = trainer.examples.batch

    def interrupted(indices: Any) -> Any:
        nonlocal steps
        if trainer.network.training:
            steps += 1
            if rank and steps == 15:
                os.kill(os.getpid(), signal.SIGTERM)
        return batch(indices)

    trainer.examples.batch = interrupted  # type: ignore[method-assign]
    with pytest.raises(Stopped, match="SIGTERM" if rank else "another process"):
        trainer.run()
    ranks.wait()
    trainer = images.trainer(place / "stopped", SCHEDULE, ranks, **DRAWING)
    torch.manual_seed(rank)  # of no account
    assert trainer.resume()
    ranks.wait()
    trainer.run()
    keep("stopped", trainer._state())

    # a loss that is not finite, in one process only
    trainer, steps = images.trainer(place / "lost", settings(2e-2, 5e-3), ranks, passes=4.0), 0
    outcome = trainer.loss.outcome

    def spoilt(outputs: Outputs, targets: Any) -> Outcome:
        nonlocal steps
        found = outcome(outputs, targets)
        steps += trainer.network.training
        if rank and trainer.network.training and steps == 3:
            lost = found.objective.clone()
            lost[0] = float("nan")
            return dataclasses.replace(found, value=found.value * torch.nan, objective=lost)
        return found

    trainer.loss.outcome = spoilt  # type: ignore[method-assign]
    trainer.measured = images.ClassLoss()
    trainer.run()
    keep("lost", trainer._state())
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What both processes have saved of all runs."""
    where = tmp_path_factory.mktemp("ranks")
    mp.spawn(work, (where,), nprocs=PROCESSES)
    return where


def states(place: Path, name: str) -> list[dict[str, Any]]:
    return [checkpoint.load(place / f"{name}.{rank}.pt") for rank in range(PROCESSES)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", SHAPES)
def test_batch_norm_of_spread_rows_is_that_of_all(
    place: Path, name: str, dtype: torch.dtype
) -> None:
    alone = normalised(name, Ranks(), dtype)
    spread = [state["model"] for state in states(place, f"{name}.{dtype}")]
    for key, value in alone.items():
        found = [state[key] for state in spread]
        if key in ("y", "dx"):  # of process 0 rows 0, 2, ...; of process 1 the others
            together = torch.empty_like(value)
            together[0::2], together[1::2] = found
            found = [together]
        for each in found:
            near = {} if value.dtype == torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-5}
            torch.testing.assert_close(each, value, msg=key, **near)


@pytest.mark.parametrize("name", ["plain", "drawing", "stopped", "lost"])
def test_all_processes_hold_the_same_to_the_last_bit(place: Path, name: str) -> None:
    first, second = states(place, name)
    assert same_tensors(first["model"], second["model"])
    for layer, sides in first["stepper"]["natural_gradient"].items():
        for one, other in zip(sides, second["stepper"]["natural_gradient"][layer], strict=True):
            assert torch.equal(one["w"], other["w"]) and torch.equal(one["d"], other["d"])
            assert one["num_updates"] == other["num_updates"] > 10


def test_two_processes_equal_one_over_25_steps_with_backstitch(place: Path, tmp_path: Path) -> None:
    with double():
        alone = trained(tmp_path / "alone", SCHEDULE, passes=5.0)
    assert alone.plan.total == 25
    model = states(place, "plain")[0]["model"]
    for name, value in alone.network.state_dict().items():
        torch.testing.assert_close(model[name], value, rtol=1e-7, atol=1e-7, msg=name)
    for one, both in zip(alone.rows, rows(place / "plain"), strict=True):
        for figure in ("train_objf", "step2_objf", "valid_objf", "accuracy", "images", "alpha"):
            assert (figure in one) == (figure in both)
            if figure in one:
                assert both[figure] == pytest.approx(one[figure], rel=1e-6), figure  # a float32 sum


def test_each_process_draws_its_own_shifts_and_the_second_pass_those_of_the_first(
    place: Path,
) -> None:
    first, second = ([bytes(each.numpy()) for each in s["drawn"]] for s in states(place, "drawing"))
    assert len(first) == len(second) > 45  # 20 minibatches, most in 2 parts, some in 2 passes
    assert not set(first) & set(second)
    assert len(first) - len(set(first)) > 8  # which second passes have again


def test_stopped_together_they_end_as_if_undisturbed(place: Path) -> None:
    assert same_tensors(states(place, "stopped")[0]["model"], states(place, "drawing")[0]["model"])
    for one, other in zip(rows(place / "stopped"), rows(place / "drawing"), strict=True):
        for figure in ("train_objf", "step2_objf"):  # added up in another order
            assert one.pop(figure, 0) == pytest.approx(other.pop(figure, 0), rel=1e-6)
        assert one == other


def test_a_loss_that_is_not_finite_in_one_process_is_an_update_of_none(place: Path) -> None:
    found = rows(place / "lost")
    assert [row["nonfinite"] for row in found] == [1, 0, 0, 0]
    assert [row["max_change"]["skipped"] for row in found] == [1, 0, 0, 0]
    for value in states(place, "lost")[0]["model"].values():
        assert torch.isfinite(value).all()


def test_a_minibatch_in_parts_is_the_minibatch_where_nothing_normalises(tmp_path: Path) -> None:
    # but for the output layer's natural gradient, which begins with the rows of a part
    whole, parts = (
        trained(tmp_path / str(n), SCHEDULE, normalise=False, accumulate=n) for n in (1, 2)
    )
    for one, other in zip(whole.rows, parts.rows, strict=True):
        for figure in ("train_objf", "valid_objf"):
            assert one[figure] == pytest.approx(other[figure], abs=1e-2), figure
    assert not same_tensors(parts.network.state_dict(), whole.network.state_dict())


def test_a_minibatch_that_is_lost_counts_once_whatever_its_parts(tmp_path: Path) -> None:
    trainer = images.trainer(tmp_path, SCHEDULE, accumulate=3, passes=4.0)
    outcome, seen = trainer.loss.outcome, []

    def spoilt(outputs: Outputs, targets: Any) -> Outcome:
        found = outcome(outputs, targets)
        if trainer.network.training:
            seen.append(len(targets))
        if len(seen) in (2, 3) and trainer.network.training:  # two parts of the first minibatch
            return dataclasses.replace(
                found, value=found.value * torch.nan, objective=found.objective * torch.nan
            )
        return found

    trainer.loss.outcome = spoilt  # type: ignore[method-assign]
    trainer.run()
    assert seen[:3] == [2, 2, 1] and [row["nonfinite"] for row in trainer.rows] == [1, 0, 0, 0]


def test_other_batch_norms_are_refused_in_several_processes() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    Ranks().join(network)
    with pytest.raises(UsageError, match=r"layer 1 \(BatchNorm1d\) sees its own process's share"):
        Ranks(0, 2, object()).join(network)


def test_alone_it_is_torchs_to_the_last_bit() -> None:
    ours, theirs = BatchNorm2d(3), nn.BatchNorm2d(3, eps=1e-3, affine=False)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        x = torch.randn(4, 3, 5, 6).relu()
        assert torch.equal(ours(x), theirs(x))
        assert same_tensors(ours.state_dict(), theirs.state_dict())
