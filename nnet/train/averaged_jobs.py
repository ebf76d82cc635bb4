"""Kaldi's parallel training: jobs on different data from one model, averaged every iteration.

The jobs share nothing but a disk, so any queue can run them. In every iteration

    the driver (`chainstitch train`) starts the jobs through a command with the grammar of
        `chainstitch run`, and waits
    each job (`chainstitch train-job`) reads `<iter>.pt`, trains on a piece of the data at a
        learning rate times the number of jobs (averaging n models divides each step by n), and
        writes `jobs/<iter>.<job>.pt`
    the driver averages those whose objective is within 1.0 of the best; of iteration 0, where the
        models are too far apart, it takes the best alone

What a job writes depends on the checkpoint, the seed, the iteration and its number alone. So a job
that is started again, by a queue or by a driver that was killed, does nothing if its file is whole,
and the same again if it is not.

Natural gradient's estimates, and AdaDelta's, go on from the best job's. Momentum starts from zero
in each job.

Source: Kaldi steps/libs/nnet3/train (kaldi-facts 4.2, 4.3), nnet3bin/nnet3-average.cc.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chainstitch.utils import checkpoint
from chainstitch.utils.children import die_with_us
from chainstitch.utils.errors import UserError
from chainstitch.utils.stop_signals import Stopped, StopSignals

logger = logging.getLogger(__name__)

KEYS = ("model", "stepper", "totals")
TOLERANCE = 1.0  # objective per frame; a job that is worse by more is left out
POLL_SECONDS = 0.05
GRACE_SECONDS = 60.0


def result_of(exp: Path, iteration: int, job: int) -> Path:
    """Where a job leaves its model."""
    return exp / "jobs" / f"{iteration}.{job}.pt"


def finished(path: Path) -> bool:
    """Whether a job has left a whole file there."""
    try:
        checkpoint.load(path, keys=KEYS)
    except UserError:
        return False
    return True


class AveragedJobs:
    """Starts the jobs of an iteration and waits for them.

    Args:
        exp: the experiment directory, on a disk that the jobs see under the same name.
        command: with the grammar of `chainstitch run`, split: ["chainstitch", "run"].
        program: how a job starts chainstitch.
        options: more arguments of `chainstitch train-job`.
    """

    def __init__(
        self,
        exp: Path,
        command: Sequence[str],
        program: Sequence[str],
        options: Sequence[str] = (),
    ) -> None:
        self.exp, self.command = exp, list(command)
        self.program, self.options = list(program), list(options)

    def run(self, iteration: int, jobs: int, stop: StopSignals) -> list[dict[str, Any]]:
        """What each job wrote.

        Raises:
            UserError: a job failed, or left no file; names its log.
            Stopped: on a signal; the jobs are stopped, too.
        """
        log = self.exp / "log" / f"train.{iteration}.JOB.log"
        command = [
            *self.command, f"JOB=1:{jobs}", str(log),
            *self.program, "train-job", str(self.exp), "--iteration", str(iteration),
            "--job", "JOB", *self.options,
        ]  # fmt: skip
        # told to end where this process is killed: the jobs would train on beside the next run's
        process = subprocess.Popen(
            command,
            start_new_session=True,
            preexec_fn=partial(die_with_us, os.getpid(), signal.SIGTERM),
        )
        while True:
            try:
                code = process.wait(POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if stop.received:
                    self._stop(process, stop.received)
            except BaseException:
                process.terminate()
                raise
        if code:
            raise UserError(
                f"iteration {iteration}: a job failed (code {code}), see {log} with its number for "
                "JOB; --resume auto goes on from the iteration before"
            )
        return [checkpoint.load(result_of(self.exp, iteration, n + 1), keys=KEYS)
                for n in range(jobs)]  # fmt: skip

    def _stop(self, process: subprocess.Popen[bytes], received: str) -> None:
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise Stopped(
            f"stopped by {received} while jobs were training; run it again with --resume auto to "
            "go on from the iteration before"
        )

    def clear(self) -> None:
        """Deletes what the jobs wrote."""
        for path in (self.exp / "jobs").glob("*.pt"):
            path.unlink()


def objective(result: Mapping[str, Any]) -> float:
    """A job's, per frame, over its piece of the data."""
    return float(result["totals"]["objf"] / result["totals"]["count"])


def kept(results: Sequence[Mapping[str, Any]], iteration: int) -> list[int]:
    """Which jobs' models are averaged, the best first (numbers from 0).

    Raises:
        UserError: none has a finite objective.
    """
    scores = [objective(result) for result in results]
    scores = [score if math.isfinite(score) else -math.inf for score in scores]
    if max(scores) == -math.inf:
        raise UserError(
            f"iteration {iteration}: no job has a finite objective; lower optim.initial_lr and "
            "start again with --overwrite"
        )
    order = sorted(range(len(scores)), key=lambda n: (-scores[n], n))
    if iteration == 0:
        return order[:1]
    good = [n for n in order if scores[n] > scores[order[0]] - TOLERANCE]
    for n in sorted(set(order) - set(good)):
        logger.warning(
            "iteration %d: job %d is left out, its objective is %.4f, the best one's %.4f",
            iteration, n + 1, scores[n], scores[order[0]],
        )  # fmt: skip
    return good


def average(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of models; counts, which have none, from the first."""
    return {
        name: torch.stack([state[name] for state in states]).mean(0)
        if value.is_floating_point()
        else value
        for name, value in states[0].items()
    }
