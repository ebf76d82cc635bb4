"""How many iterations, and how many jobs each has: Kaldi's counting.

Kaldi cuts the training data into *archives* and in each iteration trains several copies of the
model in parallel, one archive for each, then averages them. The number of jobs grows in the course
of training. All counting is in archives processed; `plan.py` says which minibatches an archive's
share of the work, a *piece*, has. With one job an iteration is one piece.

What a Kaldi recipe calls an *epoch* is not always a pass over the data. Every archive is trained on
once in every *variant*: a chain model with each of its three frame shifts, a feed-forward network
by cross-entropy with each of the frames of an example, a recurrent one only once. So four epochs of
a chain recipe are twelve passes. Here all counting is in passes, and `training.passes = 12` is what
Kaldi's `num_epochs=4` is for a chain model whose output has every third frame.

Source: Kaldi steps/nnet3/chain/train.py, libs/nnet3/train, get_egs.sh (kaldi-facts 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass


def num_archives(total_frames: int, frames_per_iteration: int) -> int:
    """Into how many archives `total_frames` are cut, one for each job of an iteration.

    >>> num_archives(45_000_000, 1_500_000)
    31
    """
    return total_frames // frames_per_iteration + 1


def num_pieces(passes: float, archives: int) -> int:
    """How many archives' work there is in so many passes; at least 1.

    >>> num_pieces(12, 31), num_pieces(0.01, 31)
    (372, 1)
    """
    return max(1, int(passes * archives))


def counts(
    total_frames: int, frames_per_iteration: int, passes: float, jobs: tuple[int, int]
) -> dict[str, int]:
    """Archives and iterations of a training, before there are data.

    >>> counts(45_000_000, 1_500_000, 12, (2, 12))
    {'archives': 31, 'iterations': 53}
    """
    archives = num_archives(total_frames, frames_per_iteration)
    plan = JobPlan(num_pieces(passes, archives), *jobs)
    return {"archives": archives, "iterations": plan.num_iterations}


@dataclass(frozen=True)
class JobPlan:
    """How many jobs every iteration has.

    Attributes:
        to_process: archives in the whole of training: see `num_pieces`.
        initial_jobs, final_jobs: in the first and (nearly) in the last iteration.

    Raises:
        ValueError: a number out of range, or too little data for a single iteration.

    >>> plan = JobPlan(372, initial_jobs=2, final_jobs=12)
    >>> plan.num_iterations, plan.jobs(10), plan.processed(10)
    (53, 4, 29)
    """

    to_process: int
    initial_jobs: int = 1
    final_jobs: int = 1

    def __post_init__(self) -> None:
        if min(self.to_process, self.initial_jobs, self.final_jobs) < 1:
            raise ValueError(f"a job plan wants archives and jobs >= 1; got {self}")
        if self.num_iterations < 1:
            raise ValueError(
                f"{self.to_process} archives to process are less than one iteration of "
                f"{self.initial_jobs} to {self.final_jobs} jobs; use fewer jobs or more archives"
            )

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

    def done(self, iteration: int) -> float:
        """The share of all archives that was processed before an iteration."""
        return self.processed(iteration) / self.to_process
