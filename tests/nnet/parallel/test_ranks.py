"""Data-parallel training: two processes that share minibatches, against one that has them whole."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from chainstitch.nnet.nets import Network
from chainstitch.nnet.parallel.ranks import Ranks
from chainstitch.nnet.train.plan import BatchPlan
from chainstitch.nnet.train.trainer import Trainer
from chainstitch.utils import checkpoint
from chainstitch.utils.stop_signals import Stopped
from tests.toy import XCONFIG, Toy, rows, same_tensors
from tests.training import make_trainer, settings

PROCESSES = 2
SCHEDULE = settings(5e-3, 1e-3, backstitch_scale=1.0, backstitch_interval=2, slow_start=2)
LSTM = "fast-lstmp-layer name=lstm1 cell-dim=8 delay=-3\n"
PLAIN = XCONFIG.replace(" dropout-proportion=0.1", "").replace(
    "output-layer", LSTM + "output-layer"
)
UNNORMALISED = XCONFIG.replace("batchnorm", "renorm")  # so that no layer spreads what is not finite
# what draws random numbers: dropout, ReLU's self-repair, the semi-orthogonal constraint
DRAWING = XCONFIG.replace("0.1", "0.3 self-repair-scale=1e-2").replace(
    "output-layer", "tdnnf-layer name=f dim=16 bottleneck-dim=6 time-stride=0\noutput-layer"
)


def made(
    toy: Toy, out: Path, ranks: Ranks, xconfig: str, passes: float = 4.0, **options: Any
) -> Trainer:
    """Minibatches of 5, the last of a pass of 4; 5 a pass, in 4 iterations."""
    out.mkdir(exist_ok=True)
    loss = toy.loss()
    torch.manual_seed(0)
    network = Network(xconfig, loss.denominator.num_pdfs)
    if ranks.rank:  # the first has the say
        torch.nn.init.zeros_(next(network.parameters()))
    examples = toy.examples()
    plan = BatchPlan(len(examples), 5, passes, 4, 0)
    return make_trainer(
        network, loss, examples, toy.examples(toy.dev), plan, SCHEDULE, out, ranks=ranks, **options
    )


def trained(*arguments: Any, **options: Any) -> Trainer:
    trainer = made(*arguments, **options)
    trainer.run()
    return trainer


def work(rank: int, toy: Toy, place: Path) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{place}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=PROCESSES)
    ranks = Ranks(rank, PROCESSES, dist.group.WORLD)

    def keep(name: str, trainer: Trainer) -> None:
        checkpoint.save(trainer._state(), place / f"{name}.{rank}.pt")

    keep("plain", trained(toy, place / "plain", ranks, PLAIN, 11.0))
    keep("parts", trained(toy, place / "parts", ranks, PLAIN, accumulate=2))
    keep("drawing", trained(toy, place / "drawing", ranks, DRAWING))

    # one process is told to stop, and both go on together
    trainer, step = made(toy, place / "stopped", ranks, DRAWING), 0
    batch = trainer.examples.batch

    def interrupted(indices: Any) -> Any:
        nonlocal step
        if trainer.network.training:
            step += 1
            if rank and step == 18:
                os.kill(os.getpid(), signal.SIGTERM)
        return batch(indices)

    trainer.examples.batch = interrupted  # type: ignore[method-assign]
    with pytest.raises(Stopped, match="SIGTERM" if rank else "another process"):
        trainer.run()
    ranks.wait()
    trainer = made(toy, place / "stopped", ranks, DRAWING)
    torch.manual_seed(rank)  # of no account
    assert trainer.resume()
    ranks.wait()
    trainer.run()
    keep("stopped", trainer)

    # output that is not finite, in one process only
    trainer, step = made(toy, place / "nonfinite", ranks, UNNORMALISED), 0
    clean = trainer.examples.batch

    def spoilt(indices: Any) -> Any:
        nonlocal step
        found = clean(indices)
        if trainer.network.training:
            step += 1
            if rank and step == 5:
                found.features[:] = float("nan")
        return found

    trainer.examples.batch = spoilt  # type: ignore[method-assign]
    trainer.run()
    keep("nonfinite", trainer)
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def place(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What both processes have saved of all runs."""
    where = tmp_path_factory.mktemp("ranks")
    mp.spawn(work, (toy, where), nprocs=PROCESSES)
    return where


def states(place: Path, name: str) -> list[dict[str, Any]]:
    return [checkpoint.load(place / f"{name}.{rank}.pt") for rank in range(PROCESSES)]


@pytest.mark.parametrize("name", ["plain", "parts", "drawing", "stopped", "nonfinite"])
def test_all_processes_hold_the_same_to_the_last_bit(place: Path, name: str) -> None:
    first, second = states(place, name)
    assert same_tensors(first["model"], second["model"])
    for layer, sides in first["stepper"]["natural_gradient"].items():
        for one, other in zip(sides, second["stepper"]["natural_gradient"][layer], strict=True):
            assert same_tensors(
                {k: v for k, v in one.items() if isinstance(v, torch.Tensor)},
                {k: v for k, v in other.items() if isinstance(v, torch.Tensor)},
            )
            assert one["num_updates"] == other["num_updates"] > 10


def test_two_processes_equal_one_over_fifty_steps_with_backstitch(
    toy: Toy, place: Path, tmp_path: Path
) -> None:
    alone = trained(toy, tmp_path / "alone", Ranks(), PLAIN, 11.0)
    assert alone.plan.total == 55
    model = states(place, "plain")[0]["model"]
    for name, value in alone.network.state_dict().items():
        torch.testing.assert_close(model[name], value, rtol=2e-5, atol=2e-5, msg=name)
    for one, both in zip(alone.rows, rows(place / "plain"), strict=True):
        for figure in ("train_objf", "step2_objf", "valid_objf", "frames", "alpha", "saturation"):
            a, b = both.get(figure), one.get(figure)
            assert a == (b and pytest.approx(b, rel=1e-5)), figure


def test_only_the_first_process_writes(place: Path) -> None:
    for name in ("plain", "stopped"):
        found = sorted(path.name for path in (place / name).iterdir())
        assert found == ["1.pt", "2.pt", "3.pt", "4.pt", "tensorboard", "train.jsonl"]
        assert len(list((place / "plain" / "tensorboard").iterdir())) == 1


def test_stopped_together_they_end_as_if_undisturbed(place: Path) -> None:
    assert same_tensors(states(place, "stopped")[0]["model"], states(place, "drawing")[0]["model"])
    for one, other in zip(rows(place / "stopped"), rows(place / "drawing"), strict=True):
        for figure in ("train_objf", "step2_objf", "num_log_z", "den_log_z", "output_l2"):
            a, b = one.pop(figure, None), other.pop(figure, None)  # added up in another order
            assert a == (b and pytest.approx(b, rel=1e-9)), figure
        assert one == other


def test_what_one_process_finds_not_finite_all_pass_over(place: Path) -> None:
    assert [row["nonfinite"] for row in rows(place / "nonfinite")] == [1, 0, 0, 0]
    for value in states(place, "nonfinite")[0]["model"].values():
        assert torch.isfinite(value).all()
