"""What a task is: what has to be said of a new kind of training, and nothing more.

A task is a file in this folder with a class, and a row in `TASKS` (run.py). The class says

    Config, Inputs     what conf/*.toml may say; what else a run is made from, by option of `train`
    build              network, loss, examples and plan from them
    write              what the directory holds besides what all runs have
    facts              what final.pt holds besides the model
    open_network       the network of a directory, for use

and run.py does with it what can be done with any run: begin, resume, join, reopen, load.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from chainstitch.nnet.loss.outcome import Loss
from chainstitch.nnet.nets.trainable import Trainable
from chainstitch.nnet.tasks.options import Optim, Training
from chainstitch.nnet.train.plan import Plan
from chainstitch.nnet.train.protocols import Examples


class AnyConfig(Protocol):
    """What the configs of all tasks have."""

    task: str
    optim: Optim

    @property
    def training(self) -> Training: ...


class AnyInputs(Protocol):
    """What the inputs of all tasks have: a dataclass of strings, which may have defaults."""

    seed: int


C = TypeVar("C")
In = TypeVar("In")
B = TypeVar("B", bound="Built")


@dataclass(frozen=True)
class Place:
    """Where a task finds and keeps its files while it builds.

    Attributes:
        written: the directory that `Task.write` has written to; None: it has not yet.
        keep: a directory for what took long to make and is to be found by other processes of the
            run, and by later ones. What is there before `Task.write` moves to the run's directory.
        nj: how many processes may make it.
    """

    written: Path | None
    keep: Path
    nj: int = 1


@dataclass
class Built:
    """What a run trains.

    Attributes:
        network: initialised by the seed.
        loss: what is minimised; measured: the objective alone, without penalties.
        train, valid: examples; plan: the minibatches of training.
        num_statistics: examples of `train` that batch-norm statistics are taken over when models
            are combined.
        dropout: a dropout schedule, or empty.
    """

    network: Trainable
    loss: Loss
    measured: Loss
    train: Examples
    valid: Examples
    plan: Plan
    num_statistics: int
    dropout: str = ""


class Task(Generic[C, In, B]):
    """A kind of training; see the module's text.

    Attributes:
        Config: dataclass of a whole conf/*.toml; its first key is `task`.
        Inputs: dataclass of what else a run is made from, `seed` among it. A field is an option of
            `chainstitch train` of that name, "" where it is not given.
    """

    Config: type[C]
    Inputs: type[In]

    def build(self, config: C, inputs: In, place: Place, device: str) -> B:
        """What the run trains, from `inputs`, or from what `write` left in a directory.

        Raises:
            UsageError: a config that cannot be, or does not fit the inputs.
            UserError: inputs are missing or damaged.
        """
        raise NotImplementedError

    def check_data(self, built: B) -> None:
        """Looks for damaged data before a new run begins.

        Raises:
            UserError: some are; named.
        """

    def initialise(self, config: C, inputs: In, built: B) -> None:
        """Sets parameters that are estimated from data, before the first iteration.

        Raises:
            UserError: the data are damaged or too few.
        """

    def write(self, directory: Path, config: C, inputs: In, built: B) -> dict[str, Any]:
        """Writes what the task keeps in a new run's directory.

        Returns what receipt.json is to say besides what it says of every run.
        """
        raise NotImplementedError

    def check_same(self, directory: Path, config: C, inputs: In) -> None:
        """Whether a run that is to be resumed is given what it was begun with.

        Settings and inputs are the same by then; this is about what the inputs hold.

        Raises:
            UserError: it is not.
        """

    def facts(self, config: C, built: B) -> dict[str, Any]:
        """What final.pt holds besides the model: numbers, strings and tensors."""
        raise NotImplementedError

    def open_network(self, exp: Path, config: C, facts: dict[str, Any]) -> Trainable:
        """The network of a run's directory, without its parameters."""
        raise NotImplementedError
