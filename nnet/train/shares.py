"""The shares that training is cut into: one for each job of each iteration.

With one job an iteration is a share. With several (Kaldi's way of using many machines) each job of
an iteration starts from the same model and trains on a share of its own; the models are averaged.
How many jobs an iteration has, and so which shares are its own, says `JobPlan`.
"""

from __future__ import annotations

import math

from chainstitch.nnet.train.job_plan import JobPlan
from chainstitch.nnet.train.plan import BatchPlan, Minibatch
from chainstitch.utils.errors import UsageError


class Shares:
    """Iterations of several jobs each, over the minibatches of a plan.

    Args:
        plan: its iterations are the shares.
        initial_jobs, final_jobs: in the first and in the last iteration; see `JobPlan`.

    Raises:
        UsageError: too few shares for a single iteration.

    >>> shares = Shares(BatchPlan(100, 1, 1.0, 20), 1, 3)
    >>> shares.num_iterations, [shares.jobs(i) for i in range(10)]
    (10, [1, 1, 1, 2, 2, 2, 2, 2, 3, 3])
    >>> shares.bounds(3), [m.indices for m in shares.of_job(3, 2)] == [
    ...     m.indices for m in shares.iteration(3)[5:]]
    ((15, 25), True)
    """

    def __init__(self, plan: BatchPlan, initial_jobs: int = 1, final_jobs: int = 1) -> None:
        self.plan = plan
        try:
            self._jobs = JobPlan(plan.num_iterations, 1, initial_jobs, final_jobs, variants=1)
        except ValueError as error:
            raise UsageError(f"training.jobs_initial and jobs_final: {error}") from None
        self.num_iterations = self._jobs.num_iterations
        self.per_epoch, self.total, self.left_over = plan.per_epoch, plan.total, plan.left_over

    def jobs(self, iteration: int) -> int:
        """How many jobs an iteration has."""
        return self._jobs.jobs(iteration)

    def bounds(self, iteration: int) -> tuple[int, int]:
        """First and one past the last minibatch number of an iteration."""
        first = self._jobs.processed(iteration)
        return self.plan.bounds(first)[0], self.plan.bounds(first + self.jobs(iteration))[0]

    def iteration(self, iteration: int) -> list[Minibatch]:
        """The minibatches of an iteration, of all its jobs."""
        return [m for n in range(self.jobs(iteration)) for m in self.of_job(iteration, n + 1)]

    def of_job(self, iteration: int, number: int) -> list[Minibatch]:
        """Those of job 1 .. jobs(iteration); in the last iteration they may be of a next epoch."""
        return self.plan.iteration(self._jobs.processed(iteration) + number - 1)


def num_iterations(total_frames: int, epochs: float, frames_per_iteration: int) -> int:
    """How many iterations `epochs` passes over `total_frames` input frames make; at least 1."""
    return max(1, math.ceil(total_frames * epochs / frames_per_iteration))
