"""A run of any task: begun, resumed, joined by other processes, reopened, and its model loaded.

    begin     `train`: makes the directory, or goes on in it where --resume says so
    join      other processes of the same training: ranks, and jobs that are averaged
    reopen    `combine`: network and examples, to try parameters with
    load      `decode`, `transcribe`, `align`, `classify`, `export`: final.pt in its network

A directory holds `config.toml inputs.toml receipt.json` and what its task writes; then `<iter>.pt
train.jsonl tensorboard/` from train/trainer.py and `final.pt` from combination. `inputs.toml` says
which data and seed it was trained with, so that nobody need be told again.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from chainstitch.nnet.nets.trainable import Trainable
from chainstitch.nnet.optim.build import Stepper
from chainstitch.nnet.parallel.ranks import Ranks
from chainstitch.nnet.tasks.candidates import Candidates
from chainstitch.nnet.tasks.run_directory import (
    CONFIG,
    INPUTS,
    check_new_or_same,
    pick_device,
    write_settings,
)
from chainstitch.nnet.tasks.task import AnyConfig, AnyInputs, Built, Place, Task
from chainstitch.nnet.train.averaged_jobs import AveragedJobs
from chainstitch.nnet.train.schedule import Schedule
from chainstitch.nnet.train.trainer import Trainer
from chainstitch.utils import checkpoint
from chainstitch.utils import config as configs
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_directory, directory_beside

logger = logging.getLogger(__name__)
AnyTask = Task[Any, Any, Any]

# by the name that stands in the config: module and class, imported when wanted
TASKS = {"speech": "speech.Speech", "images": "images.Images"}


def task_called(name: str, where: str) -> AnyTask:
    """The task of a name; `where` says what it was found in.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in TASKS:
        raise UsageError(f"{where}: task = {name!r} is not one of {', '.join(TASKS)}")
    module, _, of = TASKS[name].partition(".")
    task: AnyTask = getattr(importlib.import_module(f"chainstitch.nnet.tasks.{module}"), of)()
    return task


def load_config(path: Path, overrides: Sequence[str] = ()) -> AnyConfig:
    """A config of whatever task it says.

    Raises:
        UsageError: it names no task, or cannot be read; or from `utils.config.load`.
    """
    name = configs.read_toml(path).get("task")
    if name is None:
        raise UsageError(
            f"{path} has no task; write one above its first section, as in task = "
            f'"speech" (there are {", ".join(TASKS)}). An experiment without one was made by a '
            "version before 0.2.0: train it again"
        )
    config: AnyConfig = configs.load(path, task_called(str(name), str(path)).Config, overrides)
    if config.task != name:
        raise UsageError(
            f"--set task={config.task}: {path} is a config of task {name!r}; give one of "
            f"{config.task!r}"
        )
    return config


def make_inputs(name: str, seed: int, given: Mapping[str, Path | None]) -> AnyInputs:
    """The inputs of a task from the options that were given (None: not).

    Raises:
        UsageError: one is missing, or is not one of the task's; names it.
    """
    cls = task_called(name, "config").Inputs
    fields = {field.name: field for field in dataclasses.fields(cls) if field.name != "seed"}
    wanted = [n for n, field in fields.items() if field.default is dataclasses.MISSING]
    chosen = {n: str(path) for n, path in given.items() if path is not None}
    foreign = [n for n in chosen if n not in fields]
    missing = [n for n in wanted if n not in chosen]
    if foreign or missing:
        problem = f"does not take {_flag(foreign[0])}" if foreign else f"wants {_flag(missing[0])}"
        optional = [n for n in fields if n not in wanted]
        more = f", and may have {' '.join(map(_flag, optional))}" if optional else ""
        raise UsageError(
            f"task = {name!r} {problem}; its inputs are {' '.join(map(_flag, wanted))}{more}"
        )
    inputs: AnyInputs = cls(seed=seed, **chosen)
    return inputs


def _flag(field: str) -> str:
    return "--" + field.replace("_", "-")


def begin(
    config: AnyConfig,
    inputs: AnyInputs,
    out: Path,
    device: str = "auto",
    num_threads: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    jobs: AveragedJobs | None = None,
    ranks: Ranks | None = None,
    nj: int = 0,
) -> Trainer:
    """Makes (or reopens) the experiment directory `out` and a `Trainer` ready to `run()`.

    Of several `ranks` the first makes the directory, and the others read it. What a task makes once
    for all of them, numerators say, `nj` processes make (0: one for each core).

    Raises:
        UsageError: `out` exists and neither resume nor overwrite is asked for; a bad config.
        UserError: inputs are missing or damaged, or do not fit a run that is to be resumed.
    """
    ranks = ranks or Ranks()
    if ranks.size > 1 and max(config.training.jobs) > 1:
        raise UsageError(
            "training.jobs_final > 1 averages models of separate jobs, --processes (or torchrun) "
            "has them share each minibatch; set training.jobs_initial and jobs_final to 1, or "
            "leave that out"
        )
    if ranks.rank:
        ranks.wait()
        trainer = join(out, device, num_threads, ranks)
        if resume:
            trainer.resume()
        return trainer
    device = _settle(device, num_threads)
    task = task_called(config.task, "config")
    resuming = check_new_or_same(out, config, inputs, resume, overwrite)
    with directory_beside(out) as beside:
        place = Place(None, out if resuming else beside, nj or len(os.sched_getaffinity(0)))
        if resuming:
            task.check_same(out, config, inputs)
        built = task.build(config, inputs, place, device)
        trainer = _trainer(config, inputs, built, out, device, jobs, ranks)
        if not resuming:
            task.check_data(built)
            task.initialise(config, inputs, built)
            # everything was found good: now touch the disk
            with atomic_directory(out, "experiment", overwrite) as directory:
                more = task.write(directory, config, inputs, built)
                for kept in beside.iterdir() if beside.is_dir() else ():
                    kept.rename(directory / kept.name)
                write_settings(directory, config, inputs, **more)
        elif not trainer.resume():
            logger.info("%s has no checkpoint yet; starting from the beginning", out)
            task.initialise(config, inputs, built)
    ranks.wait()
    return trainer


def join(
    exp: Path, device: str = "auto", num_threads: int = 0, ranks: Ranks | None = None
) -> Trainer:
    """The training that `begin` began in `exp`, for another process of it.

    Raises:
        UserError: `exp` is no such directory, or the inputs are gone.
    """
    device = _settle(device, num_threads)
    config, inputs, built = _build(exp, device)
    return _trainer(config, inputs, built, exp, device, None, ranks)


def reopen(exp: Path, device: str) -> Candidates:
    """The run in `exp`, to measure parameters with, in float32 whatever it was trained in.

    Raises:
        UserError: `exp` is no such directory, or the inputs are gone.
    """
    config, _, built = _build(exp, device)
    built.network.bf16 = False  # candidates differ in digits that bf16 has not
    facts = {"task": config.task, **task_called(config.task, str(exp)).facts(config, built)}
    return Candidates(exp, device, built, facts)


def load(
    exp: Path, task: str, device: str = "cpu", name: str = "final.pt"
) -> tuple[Trainable, AnyConfig, dict[str, Any]]:
    """The model of a run of `task`: its network in evaluation mode, its config, its facts.

    Raises:
        UsageError: `exp` is a run of another task.
        UserError: a file is missing or damaged, or they do not belong together.
    """
    if not (exp / CONFIG).is_file():
        raise UserError(f"{exp} has no {CONFIG}; give a directory that `chainstitch train` wrote")
    config = load_config(exp / CONFIG)
    if config.task != task:
        raise UsageError(f"{exp} is a run of task {config.task!r}; wanted one of {task!r}")
    path = exp / name
    if not path.is_file():
        raise UserError(f"{exp} has no {name}; finish training and run `chainstitch combine {exp}`")
    facts = checkpoint.load(path, device, ("model", "num_outputs"))
    model = facts.pop("model")
    network = task_called(task, str(exp)).open_network(exp, config, facts)
    checkpoint.check_model(model, network.state_dict(), path, str(exp / CONFIG))
    network.load_state_dict(model)
    return network.to(device).eval(), config, facts


def inputs_of(exp: Path) -> Any:
    """What the run in `exp` was made from: the `Inputs` of its task.

    Raises:
        UsageError: it is no run.
    """
    config = load_config(exp / CONFIG)
    return configs.load(exp / INPUTS, task_called(config.task, str(exp)).Inputs)


def _settle(device: str, num_threads: int) -> str:
    if num_threads:
        torch.set_num_threads(num_threads)
    return pick_device(device)


def _build(exp: Path, device: str) -> tuple[AnyConfig, AnyInputs, Built]:
    config = load_config(exp / CONFIG)
    task = task_called(config.task, str(exp))
    inputs: AnyInputs = inputs_of(exp)
    return config, inputs, task.build(config, inputs, Place(exp, exp), device)


def _trainer(
    config: AnyConfig,
    inputs: AnyInputs,
    built: Built,
    out: Path,
    device: str,
    jobs: AveragedJobs | None,
    ranks: Ranks | None,
) -> Trainer:
    ranks = ranks or Ranks()
    stepper = Stepper(built.network, config.optim, config.optim.initial_lr, ranks.group)
    return Trainer(
        built.network, built.loss, built.train, built.valid, built.plan, stepper,
        Schedule(config.optim), out, inputs.seed, device, built.dropout, built.measured,
        jobs=jobs, accumulate=config.training.accumulate, ranks=ranks,
    )  # fmt: skip
