"""The learning rate from iteration to iteration, when to stop, and the shrinking of parameters.

One *iteration* is a fixed amount of data. The rate is a function of how much has been processed and
of the held-out objectives so far, which stand in the rows that every checkpoint holds; so a resumed
run goes on with the same rates, and there is nothing else to save.

    exponential   from the initial to the final rate, exponentially in the data processed; the last
                  iteration has the final rate, as in Kaldi
    plateau       multiplied by `factor` after an iteration whose held-out objective was not better
                  than the best one before by `least`, from iteration `wait` on
    constant      the initial rate

Dropout has a notation of its own, in dropout_schedule.py.
Source: Kaldi steps/nnet3/chain/train.py and libs/nnet3/train (kaldi-facts 3.5, 4.2, 4.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chainstitch.utils.bounds import check_fields


@dataclass
class PlateauOptions:
    """[optim.plateau]"""

    factor: float = field(
        default=0.5, metadata={"help": "what the rate is multiplied by", "bounds": "(0, 1)"}
    )
    least: float = field(
        default=0.0,
        metadata={"help": "the least gain in held-out objective that counts", "bounds": "[0, inf)"},
    )
    wait: int = field(
        default=1,
        metadata={"help": "iterations before the rate may fall", "bounds": "[1, 1000000]"},
    )

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass
class RateOptions:
    """[optim], as far as it moves from iteration to iteration."""

    initial_lr: float = field(
        default=1e-3,
        metadata={"help": "the first learning rate, of summed gradients", "bounds": "(0, inf)"},
    )
    final_lr: float = field(
        default=1e-4, metadata={"help": "the last one, if exponential", "bounds": "(0, inf)"}
    )
    schedule: str = field(
        default="exponential", metadata={"help": "exponential, plateau or constant"}
    )
    patience: int = field(
        default=0,
        metadata={
            "help": "stop after so many iterations without a better held-out one; 0: never",
            "bounds": "[0, 1000000]",
        },
    )
    shrink: float = field(
        default=1.0,
        metadata={
            "help": "parameters are multiplied by it while sigmoids and tanhs saturate",
            "bounds": "(0, 1]",
        },
    )
    proportional_shrink: float = field(
        default=0.0,
        metadata={
            "help": "and by 1 minus this times the learning rate, always",
            "bounds": "[0, inf)",
        },
    )
    plateau: PlateauOptions = field(default_factory=PlateauOptions)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f"optim.schedule: wanted {' or '.join(SCHEDULES)}, found {self.schedule!r}"
            )
        largest = max(self.initial_lr, self.final_lr)
        if not 1.0 - self.proportional_shrink * largest > 0.5:
            raise ValueError(
                "optim: proportional_shrink times the learning rate must be below 0.5, found "
                f"{self.proportional_shrink} times {largest}"
            )


class Exponential:
    """From `initial_lr` to `final_lr` with the data processed."""

    def __init__(self, options: RateOptions) -> None:
        self.options = options

    def rate(self, done: float, history: Sequence[float]) -> float:
        """The learning rate when the share `done` of all data has been."""
        return exponential(self.options.initial_lr, self.options.final_lr, done)


class Plateau:
    """Falls where the held-out objective no longer rises."""

    def __init__(self, options: RateOptions) -> None:
        self.options = options

    def rate(self, done: float, history: Sequence[float]) -> float:
        """The learning rate after iterations with these held-out objectives."""
        rate, best = self.options.initial_lr, -math.inf
        for number, objective in enumerate(history, 1):
            better = objective > best + self.options.plateau.least
            if not better and number >= self.options.plateau.wait:
                rate *= self.options.plateau.factor
            best = max(best, objective)
        return rate


class Constant:
    """`initial_lr` always."""

    def __init__(self, options: RateOptions) -> None:
        self.options = options

    def rate(self, done: float, history: Sequence[float]) -> float:
        """The learning rate."""
        return self.options.initial_lr


class Rate(Protocol):
    """How the learning rate moves."""

    def rate(self, done: float, history: Sequence[float]) -> float:
        """The learning rate, a share of all data `done` with these held-out objectives."""


SCHEDULES: dict[str, Callable[[RateOptions], Rate]] = {
    "exponential": Exponential,
    "plateau": Plateau,
    "constant": Constant,
}


class Schedule:
    """What `RateOptions` say, for an iteration."""

    def __init__(self, options: RateOptions) -> None:
        self.options = options
        self.rate = SCHEDULES[options.schedule](options).rate

    def over(self, history: Sequence[float]) -> bool:
        """Whether to stop early: no better held-out objective for `patience` iterations."""
        patience = self.options.patience
        if not patience or len(history) <= patience:
            return False
        return max(history[-patience:]) <= max(history[:-patience])

    def shrinkage(self, lr: float, saturated: bool) -> float:
        """What all parameters are multiplied by before an iteration."""
        return shrinkage(self.options.shrink, self.options.proportional_shrink, lr, saturated)


def exponential(initial: float, final: float, done: float) -> float:
    """initial at done = 0, final at done = 1 and after it, exponential in between.

    >>> round(exponential(1e-3, 1e-4, 0.5), 6)
    0.000316
    """
    if initial <= 0 or final <= 0:
        raise ValueError(f"learning rates must be positive, got {initial} and {final}")
    return initial * math.exp(min(1.0, done) * math.log(final / initial))


def shrinkage(shrink: float, proportional_shrink: float, lr: float, saturated: bool) -> float:
    """What all parameters are multiplied by before an iteration.

    `shrink` counts only where sigmoid and tanh units are `saturated` (saturation.py), which Kaldi
    takes for granted in iteration 0; the proportional part always.

    Raises:
        ValueError: proportional_shrink * lr is half or more.

    >>> [shrinkage(0.9, 20.0, 1e-3, saturated) for saturated in (True, False)]
    [0.9, 0.98]
    """
    base = 1.0 - proportional_shrink * lr
    if not base > 0.5:
        raise ValueError(
            f"proportional shrink {proportional_shrink} at a learning rate of {lr} would multiply "
            f"the parameters by {base}; it must be above 0.5"
        )
    return min(shrink, base) if saturated else base
