"""Which utterances make up which minibatch of which iteration: a function of the seed alone.

The whole of training is one long sequence of minibatches, a fresh shuffle of all utterances for
every epoch, cut into iterations of (nearly) equal length. Any iteration's minibatches can be
computed without replaying the ones before, so resuming costs nothing and is exact.

A minibatch has a fixed number of utterances, or as many as rules for their length say
(minibatch_rules.py). Rules may leave utterances over that fill no minibatch: what each shuffle puts
last, or always the same ones where a rule has too few for its smallest size.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from chainstitch.nnet.train.minibatch_rules import MinibatchRules
from chainstitch.utils.errors import UsageError


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
        rules: if given, they decide the size of minibatches, by `lengths`.
        lengths: in frames, of every utterance; only rules want them.

    Attributes:
        per_epoch, total: minibatches; left_over: utterances of each epoch that fill none.

    Raises:
        ValueError: nothing to train on, a number out of range, rules without all lengths.
        UsageError: by the rules, the utterances do not make a single minibatch.
    """

    def __init__(
        self,
        num_utterances: int,
        minibatch_size: int,
        epochs: float,
        num_iterations: int,
        seed: int = 0,
        frame_shift: bool = True,
        rules: MinibatchRules | None = None,
        lengths: Sequence[int] = (),
    ) -> None:
        if num_utterances < 1 or minibatch_size < 1 or epochs <= 0 or num_iterations < 1:
            raise ValueError(
                "batches want at least one utterance, minibatch size, iteration and epochs > 0; "
                f"got {num_utterances=}, {minibatch_size=}, {epochs=}, {num_iterations=}"
            )
        if rules is not None and len(lengths) != num_utterances:
            raise ValueError(f"{len(lengths)} lengths for {num_utterances} utterances")
        self.num_utterances, self.minibatch_size = num_utterances, minibatch_size
        self.seed, self.frame_shift, self.rules, self.lengths = seed, frame_shift, rules, lengths
        self._epoch = lru_cache(maxsize=2)(self._cut)
        first = self._epoch(0)  # the others have as many
        if rules is not None and not first:
            raise UsageError(
                f"minibatch_rule {rules.text!r}: {num_utterances} utterances do not fill "
                "a single minibatch; allow smaller ones, as in 1:64"
            )
        self.per_epoch = len(first)
        self.left_over = num_utterances - sum(map(len, first))
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
        shift = (0, 1, -1)[(k + epoch) % 3] if self.frame_shift else 0
        return Minibatch(self._epoch(epoch)[k], shift)

    def _cut(self, epoch: int) -> list[list[int]]:
        """The minibatches of an epoch."""
        generator = np.random.default_rng([self.seed, epoch])
        order: list[int] = generator.permutation(self.num_utterances).tolist()
        if self.rules is not None:
            merged = self.rules.merge([self.lengths[i] for i in order])
            return [[order[position] for position in batch] for batch in merged]
        size = self.minibatch_size
        return [order[begin : begin + size] for begin in range(0, len(order), size)]
