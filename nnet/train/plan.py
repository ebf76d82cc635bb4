"""Which examples make up which minibatch of which iteration: a function of the seed alone.

The whole of training is one long sequence of minibatches, pass after pass, cut into *pieces* of
(nearly) equal length. With one job an iteration is a piece. With several (averaged_jobs.py) each
job of an iteration trains on a piece of its own; how many jobs an iteration has says job_plan.py.
Any iteration's minibatches can be computed without replaying the ones before, so resuming costs
nothing and is exact.

`BatchPlan` shuffles all examples in every pass. Its minibatches have a fixed number of examples,
or as many as rules for their length say (minibatch_rules.py). Rules may leave examples over that
fill no minibatch: what each shuffle puts last, or always the same ones where a rule has too few for
its smallest size. `StreamPlan` takes the examples in order, for those that carry a state from one
to the next (carried_state.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from chainstitch.nnet.train.job_plan import JobPlan
from chainstitch.nnet.train.minibatch_rules import MinibatchRules
from chainstitch.utils.errors import UsageError

MAX_ITERATIONS = 100_000


class Minibatch(NamedTuple):
    """Example numbers, and the frame shift that this minibatch is trained with."""

    indices: list[int]
    shift: int


class Plan:
    """Passes of minibatches, cut into iterations. Subclasses say what a pass's minibatches are.

    Args:
        passes: passes over the data; a fraction is allowed.
        num_pieces: into how many pieces to cut; at most one for each minibatch.
        jobs: in the first and in the last iteration; see `JobPlan`.
        shifts: frame shifts that minibatches are trained with in turn; see `frame_shifts`.

    Attributes:
        num_iterations: how many there are, each of as many pieces as it has jobs.
        per_pass, total: minibatches; left_over: examples of each pass that fill none.

    Raises:
        UsageError: fewer pieces than the jobs of a single iteration, or too many iterations.
    """

    def __init__(
        self,
        passes: float,
        num_pieces: int,
        jobs: tuple[int, int] = (1, 1),
        shifts: Sequence[int] = (0,),
    ) -> None:
        self.shifts = shifts
        self._pass = lru_cache(maxsize=2)(self.one_pass)
        first = self._pass(0)  # the others have as many
        self.per_pass = len(first)
        self.left_over = self.num_examples() - sum(map(len, first))
        self.total = max(1, round(passes * self.per_pass))
        self._num_pieces = min(num_pieces, self.total)
        try:
            self._jobs = JobPlan(self._num_pieces, *jobs)
        except ValueError as error:
            raise UsageError(f"training.jobs_initial and jobs_final: {error}") from None
        self.num_iterations = self._jobs.num_iterations
        if self.num_iterations > MAX_ITERATIONS:
            raise UsageError(
                f"training would have {self.num_iterations} iterations, each with a checkpoint and "
                f"a row in the log, and {MAX_ITERATIONS} is the most; set training.passes lower, "
                "or more frames (or images) per iteration"
            )

    def one_pass(self, number: int) -> list[list[int]]:
        """The minibatches of a pass, from 0: example numbers."""
        raise NotImplementedError

    def num_examples(self) -> int:
        """How many examples there are."""
        raise NotImplementedError

    def jobs(self, iteration: int) -> int:
        """How many jobs an iteration has."""
        return self._jobs.jobs(iteration)

    def done(self, iteration: int) -> float:
        """The share of training that is done before an iteration, in pieces."""
        return self._jobs.done(iteration)

    def bounds(self, iteration: int) -> tuple[int, int]:
        """First and one past the last minibatch number of an iteration."""
        first = self._jobs.processed(iteration)
        return self._begin(first), self._begin(first + self.jobs(iteration))

    def iteration(self, iteration: int) -> list[Minibatch]:
        """The minibatches of iteration 0 .. num_iterations - 1, of all its jobs, in order."""
        return [self._minibatch(number) for number in range(*self.bounds(iteration))]

    def of_job(self, iteration: int, number: int) -> list[Minibatch]:
        """Those of job 1 .. jobs(iteration); in the last iteration they may be of a next pass."""
        piece = self._jobs.processed(iteration) + number - 1
        return [self._minibatch(n) for n in range(self._begin(piece), self._begin(piece + 1))]

    def _begin(self, piece: int) -> int:
        return piece * self.total // self._num_pieces

    def _minibatch(self, number: int) -> Minibatch:
        done, k = divmod(number, self.per_pass)
        shift = self.shifts[(k + done) % len(self.shifts)]
        return Minibatch(self._pass(done)[k], shift)


class BatchPlan(Plan):
    """Minibatches of shuffled examples.

    Args:
        num_examples: in the training set.
        minibatch_size: examples per minibatch; the last one of a pass may be smaller.
        passes, num_pieces, jobs, shifts: as of `Plan`.
        seed: of the shuffles.
        rules: if given, they decide the size of minibatches, by `lengths`.
        lengths: in frames, of every example; only rules want them.

    Raises:
        ValueError: nothing to train on, a number out of range, rules without all lengths.
        UsageError: by the rules, the examples do not make a single minibatch; too many jobs.

    >>> plan = BatchPlan(100, 1, 1.0, 20, jobs=(1, 3))
    >>> plan.num_iterations, [plan.jobs(i) for i in range(10)]
    (10, [1, 1, 1, 2, 2, 2, 2, 2, 3, 3])
    >>> plan.bounds(3), plan.of_job(3, 2) == plan.iteration(3)[5:]
    ((15, 25), True)
    """

    def __init__(
        self,
        num_examples: int,
        minibatch_size: int,
        passes: float,
        num_pieces: int,
        seed: int = 0,
        shifts: Sequence[int] = (0, 1, -1),
        rules: MinibatchRules | None = None,
        lengths: Sequence[int] = (),
        jobs: tuple[int, int] = (1, 1),
    ) -> None:
        if num_examples < 1 or minibatch_size < 1 or passes <= 0 or num_pieces < 1:
            raise ValueError(
                "batches want at least one example, minibatch size, piece and passes > 0; "
                f"got {num_examples=}, {minibatch_size=}, {passes=}, {num_pieces=}"
            )
        if rules is not None and len(lengths) != num_examples:
            raise ValueError(f"{len(lengths)} lengths for {num_examples} examples")
        self._count, self.minibatch_size = num_examples, minibatch_size
        self.seed, self.rules, self.lengths = seed, rules, lengths
        super().__init__(passes, num_pieces, jobs, shifts)

    def num_examples(self) -> int:
        """As given."""
        return self._count

    def one_pass(self, number: int) -> list[list[int]]:
        """A fresh shuffle, cut."""
        generator = np.random.default_rng([self.seed, number])
        order: list[int] = generator.permutation(self._count).tolist()
        if self.rules is not None:
            merged = self.rules.merge([self.lengths[i] for i in order])
            if not merged:
                raise UsageError(
                    f"minibatch_rule {self.rules.text!r}: {self._count} utterances do not fill "
                    "a single minibatch; allow smaller ones, as in 1:64"
                )
            return [[order[position] for position in batch] for batch in merged]
        size = self.minibatch_size
        return [order[begin : begin + size] for begin in range(0, len(order), size)]


class StreamPlan(Plan):
    """Streams side by side, a chunk of each in every minibatch, from the beginning to the end.

    Example k * rows + r is chunk k of stream r.

    Args:
        rows: how many streams; chunks: of each.
        passes, num_pieces: as of `Plan`. There is one job: a stream's state goes from one piece to
            the next.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(self, rows: int, chunks: int, passes: float, num_pieces: int) -> None:
        if min(rows, chunks, num_pieces) < 1 or passes <= 0:
            raise ValueError(
                "streams want at least one row, chunk and piece and passes > 0; got "
                f"{rows=}, {chunks=}, {passes=}, {num_pieces=}"
            )
        self.rows, self.chunks = rows, chunks
        super().__init__(passes, num_pieces)

    def num_examples(self) -> int:
        """All chunks."""
        return self.rows * self.chunks

    def one_pass(self, number: int) -> list[list[int]]:
        """Chunk by chunk."""
        return [list(range(k * self.rows, (k + 1) * self.rows)) for k in range(self.chunks)]


def frame_shifts(subsampling: int) -> tuple[int, ...]:
    """The shifts that show a subsampled network each input frame in turn, as small as can be.

    >>> [frame_shifts(n) for n in (1, 2, 3, 4)]
    [(0,), (0, 1), (0, 1, -1), (0, 1, 2, -1)]
    """
    return tuple(n if n <= subsampling // 2 else n - subsampling for n in range(subsampling))
