#!/usr/bin/env python3
"""Averaging jobs against a single one: objectives after equal passes over the data.

The same config, data and seed with one job and with J in every iteration (train/averaged_jobs.py).
Here the jobs run one after another in this process; what each computes is what `chainstitch
train-job` does (tests/nnet/train/test_averaged_jobs.py), without the time that starting it takes.
What is compared is the final model, the best average of the last ones (`chainstitch combine`), and
the last one, with batch-norm statistics taken afresh as for the final one. What has been trained
under --out is gone on with.

Example:
    python tests/bench/averaging.py egs/digits/conf/tdnn_1a.toml --data DIR --valid DIR \\
      --lang DIR --den den.npz --out DIR --jobs 4 --grow --seeds 0,1,2,3,4 \\
      --set training.frames_per_iteration=25000
"""

from __future__ import annotations

import argparse
import logging
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from chainstitch.nnet.combine.final_model import combine_models
from chainstitch.nnet.tasks.run import begin, join, load_config, make_inputs, reopen
from chainstitch.nnet.train.averaged_jobs import AveragedJobs
from chainstitch.nnet.train.trainer import Trainer
from chainstitch.utils import log
from chainstitch.utils.stop_signals import StopSignals


class InProcess(AveragedJobs):
    """Runs the jobs in this process."""

    worker: Trainer | None = None

    def run(self, iteration: int, jobs: int, stop: StopSignals) -> list[dict[str, Any]]:
        """What the jobs of an iteration would have written."""
        if self.worker is None:
            self.worker = join(self.exp, "cpu", 1)
        # a job's result is the worker's own network, which trains on for the next one
        return [deepcopy(self.worker.train_job(iteration, n + 1)) for n in range(jobs)]


def final_objectives(options: argparse.Namespace, jobs: int, seed: int) -> list[float]:
    """Held-out objectives per frame of the last model and of the final one."""
    first = 1 if options.grow else jobs
    sets = [f"training.jobs_initial={first}", f"training.jobs_final={jobs}"]
    out = options.out / f"seed{seed}" / f"jobs{jobs}"
    given = {name: getattr(options, name) for name in ("data", "valid", "lang", "den")}
    trainer = begin(
        load_config(options.conf, [*options.set, *sets]), make_inputs("speech", seed, given), out,
        "cpu", num_threads=1, resume=True, jobs=InProcess(out, [], []),
    )  # fmt: skip
    trainer.run()
    combined = combine_models(out, "cpu")["combined"]
    run, objectives = reopen(out, "cpu"), []
    for name in (f"{trainer.next_iteration}.pt", "final.pt"):
        run.load(run.parameters(name))
        objectives.append(run.objective(run.valid))
    print(
        f"seed {seed}, {jobs} jobs, {trainer.next_iteration} iterations: last model "
        f"{objectives[0]:.5f}, best {combined} averaged {objectives[1]:.5f}"
    )
    return objectives


def main() -> int:
    """Trains with one job and with several, from every seed, and prints the objectives."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("conf", type=Path)
    for name in ("data", "valid", "lang", "den", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--grow", action="store_true", help="from 1 job to JOBS, as recipes do")
    parser.add_argument("--seeds", default="0,1,2", help="e.g. 0,1,2")
    parser.add_argument("--set", action="append", default=[], help="as of `chainstitch train`")
    options = parser.parse_args()
    log.setup()
    logging.getLogger("chainstitch.nnet.train.checkpoints").setLevel(logging.WARNING)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    found = np.array(  # (seed, one job or several, last or final model)
        [[final_objectives(options, jobs, seed) for jobs in (1, options.jobs)] for seed in seeds]
    )
    behind = 100 * (found[:, 1] / found[:, 0] - 1)  # objectives are below 0: more is worse
    for which, what in enumerate(("last", "final")):
        one, several = found[:, :, which].mean(0)
        each = " ".join(f"{percent:+.1f}" for percent in behind[:, which])
        print(
            f"{what} model, mean of {len(seeds)} seeds: {one:.5f} with one job, {several:.5f} with "
            f"{options.jobs}: {100 * (several / one - 1):+.2f} % (each seed: {each}; sd of one "
            f"job's seeds {100 * spread(found[:, 0, which]):.1f} %)"
        )
    print(log.environment())
    return 0


def spread(objectives: np.ndarray) -> float:
    """Standard deviation in units of the mean's size; nan for a single seed."""
    if len(objectives) < 2:
        return float("nan")
    return float(objectives.std(ddof=1) / abs(objectives.mean()))


if __name__ == "__main__":
    sys.exit(main())
