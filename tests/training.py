"""Trainers for tests, on the toy corpus, without the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from chainstitch.nnet.loss import Loss
from chainstitch.nnet.nets import Network
from chainstitch.nnet.nets.trainable import Trainable
from chainstitch.nnet.optim.build import BackstitchOptions, Stepper
from chainstitch.nnet.parallel.ranks import Ranks
from chainstitch.nnet.tasks.options import Optim
from chainstitch.nnet.train.plan import BatchPlan, Plan
from chainstitch.nnet.train.protocols import Examples
from chainstitch.nnet.train.schedule import Schedule
from chainstitch.nnet.train.trainer import Trainer
from tests.toy import XCONFIG, Toy


@dataclass(frozen=True)
class Settings:
    """[optim], and the dropout schedule."""

    optim: Optim
    dropout: str = ""


def settings(
    initial_lr: float,
    final_lr: float,
    backstitch_scale: float = 0.0,
    backstitch_interval: int = 4,
    slow_start: int = 15,
    dropout: str = "",
    **more: Any,
) -> Settings:
    """Of [optim] `more`."""
    backstitch = BackstitchOptions(backstitch_scale, backstitch_interval, slow_start, 1.0)
    optim = Optim(initial_lr=initial_lr, final_lr=final_lr, backstitch=backstitch, **more)
    return Settings(optim, dropout)


PLAIN = settings(5e-3, 1e-3)
BACKSTITCH = settings(5e-3, 1e-3, backstitch_scale=1.0, backstitch_interval=2, slow_start=2)
SHRINKING = settings(5e-3, 1e-3, shrink=0.95, proportional_shrink=20.0, dropout="0,0.4,0.2")


def make_trainer(
    network: Trainable,
    loss: Loss,
    examples: Examples,
    valid: Examples,
    plan: Plan,
    settings: Settings,
    out: Path,
    seed: int = 0,
    ranks: Ranks | None = None,
    **options: Any,
) -> Trainer:
    """A trainer with these settings."""
    ranks = ranks or Ranks()
    optim = settings.optim
    stepper = Stepper(network, optim, optim.initial_lr, ranks.group)
    return Trainer(
        network, loss, examples, valid, plan, stepper, Schedule(optim), out, seed,
        dropout=settings.dropout, ranks=ranks, **options,
    )  # fmt: skip


def trainer(
    toy: Toy, out: Path, schedule: Settings, seed: int = 0, passes: float = 2.0, **options: Any
) -> Trainer:
    """Of the toy's network, or of `xconfig`; minibatches of 4, or by `rules`."""
    out.mkdir(exist_ok=True)
    loss = toy.loss()
    torch.manual_seed(seed)
    network = Network(options.pop("xconfig", XCONFIG), loss.denominator.num_pdfs)
    examples, valid = toy.examples(), toy.examples(toy.dev)
    rules = options.pop("rules", None)
    lengths = examples.frames.tolist()
    plan = BatchPlan(len(examples), 4, passes, 3, seed, rules=rules, lengths=lengths)
    return make_trainer(network, loss, examples, valid, plan, schedule, out, seed, **options)


def trained(toy: Toy, out: Path, schedule: Settings, **options: Any) -> Trainer:
    """After its run."""
    made = trainer(toy, out, schedule, **options)
    made.run()
    return made
