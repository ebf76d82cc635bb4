"""How a step of training is taken: options to a `Stepper`, which the training loop drives.

    optimiser           plain descent with max-change (sgd.py), or AdaDelta          OPTIMIZERS
    natural gradient    preconditions the gradients (natural_gradient.py)
    wrapper             how often and how far one minibatch moves (backstitch.py)    WRAPPERS

The loop knows none of them. A new optimiser or wrapper is a file, a row in one of the dicts below
and a field of `StepOptions`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from chainstitch.nnet.optim import generators
from chainstitch.nnet.optim.backstitch import Backstitch
from chainstitch.nnet.optim.natural_gradient import NaturalGradient
from chainstitch.nnet.optim.saved_state import check_natural_gradient, check_optimizer
from chainstitch.nnet.optim.sgd import SGD
from chainstitch.nnet.optim.strength import effect, strength
from chainstitch.utils.bounds import check_fields

logger = logging.getLogger(__name__)

LONG_RISE = 0.2  # of a run: a slow start that is longer is warned of


@dataclass
class BackstitchOptions:
    """[optim.backstitch]"""

    scale: float = field(
        default=0.0, metadata={"help": "alpha; 0 switches backstitch off", "bounds": "[0, inf)"}
    )
    interval: int = field(
        default=4,
        metadata={"help": "every so many minibatches are treated", "bounds": "[1, 1000000]"},
    )
    slow_start: int = field(
        default=15,
        metadata={
            "help": "iterations in which alpha rises from 0 to `scale`; at most",
            "bounds": "[0, 1000000]",
        },
    )
    slow_start_share: float = field(
        default=0.1,
        metadata={
            "help": "and at most this share of all iterations; Kaldi's slow start has 1.0",
            "bounds": "[0, 1]",
        },
    )

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass
class StepOptions:
    """[optim], as far as it is about single steps."""

    optimizer: str = field(default="sgd", metadata={"help": "sgd or adadelta"})
    wrapper: str = field(
        default="backstitch", metadata={"help": "what drives the optimizer: backstitch"}
    )
    momentum: float = field(
        default=0.0, metadata={"help": "of sgd; not with backstitch", "bounds": "[0, 1)"}
    )
    max_change: float = field(
        default=2.0,
        metadata={
            "help": "of sgd: limit of a step of all parameters, Euclidean; 0: none",
            "bounds": "[0, inf)",
        },
    )
    layer_max_change: bool = field(
        default=True, metadata={"help": "of sgd: false ignores the limits of the layers themselves"}
    )
    natural_gradient: bool = field(
        default=True, metadata={"help": "precondition the gradients by online natural gradient"}
    )
    reset_natural_gradient: bool = field(
        default=False,
        metadata={"help": "start its estimates afresh in every iteration, as Kaldi does"},
    )
    backstitch: BackstitchOptions = field(default_factory=BackstitchOptions)

    def __post_init__(self) -> None:
        for name, rows in (("optimizer", OPTIMIZERS), ("wrapper", WRAPPERS)):
            if getattr(self, name) not in rows:
                raise ValueError(
                    f"optim.{name}: wanted {' or '.join(rows)}, found {getattr(self, name)!r}"
                )
        check_fields(self)
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"optim.momentum is of sgd; {self.optimizer} has none, set it to 0")
        if self.momentum and self.backstitch.scale:
            raise ValueError("optim: backstitch does not go with momentum; set one of them to 0")


class Wrapper(Protocol):
    """What takes the steps of a minibatch by an optimiser."""

    def plan(self, rates: Sequence[float]) -> None:
        """Hears the learning rates that all iterations will have, as far as they are known."""

    def announce(self) -> None:
        """Logs what it is going to do, before training."""

    def set_iteration(self, iteration: int) -> None:
        """Sets what moves from iteration to iteration."""

    def begin_iteration(self, draw: Callable[[int], int]) -> None:
        """Before the first minibatch of an iteration; `draw(n)` is a random number below n."""

    def step(self, closure: Callable[[], Tensor]) -> Any:
        """One minibatch; calls `closure`, which makes gradients, once or more often."""

    def figures(self) -> dict[str, float]:
        """Its settings in this iteration, for train.jsonl."""

    def state_dict(self) -> dict[str, Any]:
        """What a run that stops within an iteration has to keep; the optimiser's state apart."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from `state_dict`."""


class ScheduledBackstitch:
    """Backstitch as it is in training: alpha rises slowly, the phase is drawn in each iteration."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        options: StepOptions,
        natural_gradient: NaturalGradient | None,
        network: nn.Module,
    ) -> None:
        self.options = options.backstitch
        self.backstitch = Backstitch(
            optimizer, self.options.scale, self.options.interval, natural_gradient, network
        )
        self._rates: Sequence[float] = ()

    def plan(self, rates: Sequence[float]) -> None:
        """How many iterations there are says how long the slow start may be."""
        self._rates = rates

    @property
    def _rise(self) -> float:
        """Iterations in which alpha rises."""
        return min(self.options.slow_start, self.options.slow_start_share * len(self._rates))

    def announce(self) -> None:
        """How strong it is, and a warning where the slow start takes most of it away."""
        if not self.options.scale:
            return
        count = len(self._rates)
        alphas = [slow_start(self.options.scale, number, self._rise) for number in range(count)]
        logger.info(
            "backstitch %g on one minibatch of %d: alpha rises over %.3g of %d iterations, which "
            "leaves %.0f %% of its strength",
            self.options.scale, self.options.interval, self._rise, count,
            100 * strength(alphas, self._rates, self.options.scale),
        )  # fmt: skip
        if self._rise > LONG_RISE * count:
            logger.warning(
                "the slow start of backstitch takes more than a fifth of the run, so it has little "
                "effect; train longer, or lower optim.backstitch.slow_start_share"
            )

    def set_iteration(self, iteration: int) -> None:
        """Alpha by its slow start."""
        self.backstitch.scale = slow_start(self.options.scale, iteration, self._rise)

    def begin_iteration(self, draw: Callable[[int], int]) -> None:
        """A new phase."""
        self.backstitch.start_iteration(draw(100_000))

    def step(self, closure: Callable[[], Tensor]) -> Any:
        """One minibatch, in one step or in two."""
        return self.backstitch.step(closure)

    def figures(self) -> dict[str, float]:
        """alpha, and the share of backstitch's effect that it has."""
        full = self.options.scale
        share = effect(self.backstitch.scale) / effect(full) if full else 0.0
        return {"alpha": self.backstitch.scale, "backstitch_share": share}

    def state_dict(self) -> dict[str, Any]:
        """The place in its turn."""
        return {"phase": self.backstitch.phase, "count": self.backstitch.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from `state_dict`."""
        self.backstitch.phase, self.backstitch.count = state["phase"], state["count"]


def slow_start(scale: float, iteration: int, rise: float = 15) -> float:
    """Backstitch's alpha, rising linearly from 0 over `rise` iterations (paper, section 4.7).

    >>> slow_start(1.0, 3), slow_start(1.0, 20)
    (0.2, 1.0)
    """
    return scale * iteration / rise if iteration < rise else scale


def first_iteration_max_change(max_change: float, iteration: int) -> float:
    """The global limit: divided by sqrt(2) in iteration 0, when the network is all noise."""
    return max_change / math.sqrt(2.0) if iteration == 0 else max_change


def _sgd(network: nn.Module, lr: float, options: StepOptions) -> SGD:
    sgd = SGD(network, lr, options.momentum, max_change=options.max_change)
    if not options.layer_max_change:
        for group in sgd.param_groups:
            group["max_change"] = 0.0
    return sgd


def _adadelta(network: nn.Module, lr: float, options: StepOptions) -> torch.optim.Optimizer:
    parameters = [p for p in network.parameters() if p.requires_grad]
    return torch.optim.Adadelta(parameters, lr, rho=0.95)


OPTIMIZERS: dict[str, Callable[[nn.Module, float, StepOptions], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "adadelta": _adadelta,
}
WRAPPERS: dict[str, Callable[..., Wrapper]] = {"backstitch": ScheduledBackstitch}


class Stepper:
    """Takes the steps of a training run; owns all that has a state besides the network.

    Args:
        network: what is trained.
        options: see `StepOptions`.
        lr: the first learning rate, of summed gradients.
        group: process group of data-parallel training, see parallel/ranks.py.
    """

    def __init__(
        self, network: nn.Module, options: StepOptions, lr: float, group: Any = None
    ) -> None:
        self.options = options
        self.natural_gradient = (
            NaturalGradient(network, group=group) if options.natural_gradient else None
        )
        self.optimizer = OPTIMIZERS[options.optimizer](network, lr, options)
        self.wrapper = WRAPPERS[options.wrapper](
            self.optimizer, options, self.natural_gradient, network
        )

    @property
    def _limited(self) -> SGD | None:
        """The optimiser, if it has max-change and its statistics."""
        return self.optimizer if isinstance(self.optimizer, SGD) else None

    def plan(self, rates: Sequence[float]) -> None:
        """Hears the learning rates that all iterations will have, as far as they are known."""
        self.wrapper.plan(rates)

    def announce(self) -> None:
        """Logs what is going to be done, before training."""
        self.wrapper.announce()

    def set_iteration(self, iteration: int, lr: float) -> None:
        """Sets the learning rate, and what else moves from iteration to iteration."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        if self._limited:
            self._limited.max_change = first_iteration_max_change(
                self.options.max_change, iteration
            )
        self.wrapper.set_iteration(iteration)

    def begin_iteration(self, draw: Callable[[int], int]) -> None:
        """Before the first minibatch of an iteration; `draw(n)` is a random number below n."""
        self._forget_counts()
        self.wrapper.begin_iteration(draw)
        if self.natural_gradient is not None and self.options.reset_natural_gradient:
            self.natural_gradient.reset()

    def _forget_counts(self) -> None:
        if self._limited:
            self._limited.statistics.reset()

    def step(self, closure: Callable[[], Tensor], num_sequences: int) -> None:
        """One minibatch of so many examples."""
        if self._limited:
            self._limited.num_sequences = num_sequences
        self.wrapper.step(closure)

    def drop(self) -> None:
        """Forgets what was seen of a minibatch that has no usable gradient."""
        if self.natural_gradient is not None:
            self.natural_gradient.drop()

    def figures(self) -> dict[str, Any]:
        """What train.jsonl says of an iteration's steps; waits for the device."""
        found: dict[str, Any] = self.wrapper.figures()
        if self._limited:
            found["max_change"] = self._limited.statistics.summary(self._limited.names)
        if self.natural_gradient is not None:
            found["natural_gradient"] = self.natural_gradient.statistics()
        return found

    # -- what checkpoints hold -------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All of it: optimiser, estimates, place in turn, counts, and torch's generators."""
        random, random_cuda = generators.states()
        return {
            "optimizer": self.optimizer.state_dict(),
            "natural_gradient": _state_of(self.natural_gradient),
            "wrapper": self.wrapper.state_dict(),
            "max_change": vars(self._limited.statistics) if self._limited else None,
            "random": random,
            "random_cuda": random_cuda,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from `state_dict`.

        Raises:
            ValueError, KeyError, TypeError, RuntimeError: it is of something else.
        """
        check_optimizer(state["optimizer"], self.optimizer)
        check_natural_gradient(state["natural_gradient"], self.natural_gradient)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.natural_gradient is not None:
            self.natural_gradient.load_state_dict(state["natural_gradient"])
        self.wrapper.load_state_dict(state["wrapper"])
        if self._limited:
            vars(self._limited.statistics).update(state["max_change"])
        generators.rewind((state["random"], state["random_cuda"]))

    # -- jobs that are averaged (train/averaged_jobs.py) -----------------------------------------

    def result(self) -> dict[str, Any]:
        """What a job leaves for the one that averages, besides its model."""
        return {
            "natural_gradient": _state_of(self.natural_gradient),
            "optimizer": None if self._limited else self.optimizer.state_dict(),
            "max_change": vars(self._limited.statistics) if self._limited else None,
        }

    def take_results(self, best_first: Sequence[Mapping[str, Any]]) -> None:
        """Goes on with the estimates of the best job and the counts of all.

        Kaldi's momentum begins anew in every job; the accumulators of AdaDelta are estimates.
        """
        best = best_first[0]
        if self.natural_gradient is not None:
            self.natural_gradient.load_state_dict(best["natural_gradient"])
        if best["optimizer"] is not None:
            self.optimizer.load_state_dict(best["optimizer"])
        self._forget_counts()
        if self._limited:
            for result in best_first:
                self._limited.statistics.merge(result["max_change"])


def _state_of(natural_gradient: NaturalGradient | None) -> dict[str, Any] | None:
    return None if natural_gradient is None else natural_gradient.state_dict()
