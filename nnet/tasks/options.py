"""The sections of a config that all tasks have in common: [optim], [training], [losses].

A config is a dataclass of a task (speech_config.py, image_config.py), whose first key is `task`.
Every field's meaning and bounds stand in its metadata, where `chainstitch train --help-config`
finds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from chainstitch.nnet.optim.build import StepOptions
from chainstitch.nnet.train.schedule import RateOptions
from chainstitch.utils.bounds import check_fields

PRECISIONS = ("float32", "bf16", "auto")


@dataclass
class Optim(StepOptions, RateOptions):
    """[optim]: learning rates are for summed gradients; per-layer limits stand in the network."""

    def __post_init__(self) -> None:
        RateOptions.__post_init__(self)
        StepOptions.__post_init__(self)


@dataclass
class Training:
    """[training], as far as it is the same for all tasks.

    A pass sees every example once. What Kaldi calls an epoch of a chain model is three passes, one
    for each frame shift (train/job_plan.py), which is why there is no key of that name.
    """

    GONE: ClassVar[dict[str, str]] = {
        "epochs": "write training.passes, how often every example is seen; Kaldi's epoch of a "
        "chain model is three passes, one for each frame shift, so its 4 epochs are 12 passes"
    }

    passes: float = field(
        default=6.0,
        metadata={
            "help": "passes over the data; Kaldi's epoch of a chain model is three of them",
            "bounds": "(0, 1000000]",
        },
    )
    minibatch_size: int = field(
        default=64, metadata={"help": "examples of a minibatch", "bounds": "[1, 1000000]"}
    )
    precision: str = field(
        default="float32",
        metadata={
            "help": "float32; bf16: matrix products in bf16, LSTMs and all updates in float32; "
            "auto: bf16 on a GPU"
        },
    )
    accumulate: int = field(
        default=1,
        metadata={
            "help": "parts in which a minibatch goes through the network",
            "bounds": "[1, 10000]",
        },
    )
    jobs_initial: int = field(
        default=1,
        metadata={
            "help": "jobs whose models are averaged, in the first iteration",
            "bounds": "[1, 1000]",
        },
    )
    jobs_final: int = field(default=1, metadata={"help": "and in the last", "bounds": "[1, 1000]"})

    def __post_init__(self) -> None:
        check_fields(self)
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"training.precision: wanted {', '.join(PRECISIONS)}, found {self.precision!r}"
            )

    @property
    def jobs(self) -> tuple[int, int]:
        """In the first and in the last iteration."""
        return self.jobs_initial, self.jobs_final
