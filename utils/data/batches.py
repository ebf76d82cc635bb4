"""Which utterances make up which minibatch of which iteration: a function of the seed alone.

The whole of training is one long sequence of minibatches, a fresh shuffle of all utterances for
every epoch, cut into iterations of (nearly) equal length. Any iteration's minibatches can be
computed without replaying the ones before, so resuming costs nothing and is exact.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np


class Minibatch(NamedTuple):
    """Utterance numbers, and the frame shift (-1, 0 or 1) that this minibatch is trained with."""

    indices: list[int]
    shift: int


class BatchPlan:
    """The minibatches of every iteration.

    Args:
        num_utterances: in the training set.
        minibatch_size: utterances per minibatch; the last one of an epoch may be smaller.
        epochs: passes over the data; a fraction is allowed.
        num_iterations: into how many iterations to cut.
        seed: of the shuffles.
        frame_shift: vary the shift from minibatch to minibatch and from epoch to epoch.

    Raises:
        ValueError: nothing to train on, or a number out of range.
    """

    def __init__(
        self,
        num_utterances: int,
        minibatch_size: int,
        epochs: float,
        num_iterations: int,
        seed: int = 0,
        frame_shift: bool = True,
    ) -> None:
        if num_utterances < 1 or minibatch_size < 1 or epochs <= 0 or num_iterations < 1:
            raise ValueError(
                "batches want at least one utterance, minibatch size, iteration and epochs > 0; "
                f"got {num_utterances=}, {minibatch_size=}, {epochs=}, {num_iterations=}"
            )
        self.num_utterances, self.minibatch_size = num_utterances, minibatch_size
        self.seed, self.frame_shift = seed, frame_shift
        self.per_epoch = -(-num_utterances // minibatch_size)
        self.total = max(1, round(epochs * self.per_epoch))
        self.num_iterations = min(num_iterations, self.total)

    def bounds(self, iteration: int) -> tuple[int, int]:
        """First and one past the last minibatch number of an iteration."""
        return (
            iteration * self.total // self.num_iterations,
            (iteration + 1) * self.total // self.num_iterations,
        )

    def iteration(self, iteration: int) -> list[Minibatch]:
        """The minibatches of iteration 0 .. num_iterations - 1, in order."""
        return [self._minibatch(number) for number in range(*self.bounds(iteration))]

    def _minibatch(self, number: int) -> Minibatch:
        epoch, k = divmod(number, self.per_epoch)
        order = _order(self.num_utterances, self.seed, epoch)
        shift = (0, 1, -1)[(k + epoch) % 3] if self.frame_shift else 0
        return Minibatch(order[k * self.minibatch_size : (k + 1) * self.minibatch_size], shift)


@lru_cache(maxsize=2)
def _order(num_utterances: int, seed: int, epoch: int) -> list[int]:
    order: list[int] = np.random.default_rng([seed, epoch]).permutation(num_utterances).tolist()
    return order
