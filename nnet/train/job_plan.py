"""Iterations of several jobs each: how many, on what data, with what learning rate.

Kaldi cuts the training data into *archives* and in each iteration trains several copies of the
model in parallel, one archive for each, then averages them. The number of jobs grows in the course
of training. `trainer.py` counts in minibatches (`plan.py`); this is for training with parallel
jobs, whose driver starts the jobs and averages.

All counting is in archives processed, and once through the data means every archive once in every
variant: with the three frame shifts of a chain model, or with each of the frames of an example when
those are trained on one at a time.

Source: Kaldi steps/nnet3/chain/train.py, libs/nnet3/train (kaldi-facts 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass

from chainstitch.nnet.train.schedule import exponential


def num_archives(total_frames: int, frames_per_iteration: int) -> int:
    """Into how many archives `total_frames` are cut, one for each job of an iteration.

    >>> num_archives(45_000_000, 1_500_000)
    31
    """
    return total_frames // frames_per_iteration + 1


@dataclass(frozen=True)
class JobPlan:
    """What every job of every iteration does.

    Attributes:
        num_archives: see above.
        epochs: passes over the data; a fraction is allowed.
        initial_jobs, final_jobs: in the first and (nearly) in the last iteration.
        variants: how often an archive is trained on in one epoch, each time differently: the
            subsampling factor of a chain model (frame shifts), 1 for recurrent models.

    Raises:
        ValueError: a number out of range, or too little data for a single iteration.

    >>> plan = JobPlan(num_archives=31, epochs=4, initial_jobs=2, final_jobs=12)
    >>> plan.num_iterations, plan.jobs(10), plan.processed(10), plan.job(10, 3)
    (53, 4, 29, (1, 2))
    """

    num_archives: int
    epochs: float
    initial_jobs: int
    final_jobs: int
    variants: int = 3

    def __post_init__(self) -> None:
        whole = (self.num_archives, self.initial_jobs, self.final_jobs, self.variants)
        if min(whole) < 1 or self.epochs <= 0:
            raise ValueError(
                f"a job plan wants archives, jobs and variants >= 1 and epochs > 0; got {self}"
            )
        if self.num_iterations < 1:
            raise ValueError(
                f"{self.to_process} archives to process are less than one iteration of "
                f"{self.initial_jobs} to {self.final_jobs} jobs; use fewer jobs or more archives"
            )

    @property
    def to_process(self) -> int:
        """Archives in the whole of training, each variant counted."""
        return int(self.epochs * self.num_archives * self.variants)

    @property
    def num_iterations(self) -> int:
        """How often models are trained and averaged."""
        return 2 * self.to_process // (self.initial_jobs + self.final_jobs)

    def jobs(self, iteration: int) -> int:
        """Jobs of an iteration 0 .. num_iterations - 1."""
        growth = (self.final_jobs - self.initial_jobs) * iteration / self.num_iterations
        return int(0.5 + self.initial_jobs + growth)

    def processed(self, iteration: int) -> int:
        """Archives that were processed before an iteration."""
        return sum(map(self.jobs, range(iteration)))

    def lr(self, iteration: int, initial: float, final: float) -> float:
        """The learning rate for each job: the effective one times the number of jobs.

        Averaging n models divides each one's step by n; this makes good for it.
        """
        last = iteration == self.num_iterations - 1
        processed = self.to_process if last else self.processed(iteration)
        return self.jobs(iteration) * exponential(initial, final, processed, self.to_process)

    def job(self, iteration: int, number: int) -> tuple[int, int]:
        """Archive (from 1) and variant (from 0) of job 1 .. jobs(iteration).

        The variant changes from archive to archive and, for an archive, from pass to pass. For a
        chain model, variants 0, 1, 2 are frame shifts of 0, 1, -1.
        """
        passes, index = divmod(self.processed(iteration) + number - 1, self.num_archives)
        archive = index + 1
        return archive, (archive + passes) % self.variants
