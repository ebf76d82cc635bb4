"""`chainstitch train-job`: one of the parallel jobs of an iteration, which `train` starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_job(
    exp: Annotated[Path, typer.Argument(help="Experiment directory of a `train` under way.")],
    iteration: Annotated[int, typer.Option(min=0, max=10**9, help="The iteration, from 0.")],
    job: Annotated[int, typer.Option(min=1, max=1000, help="Which of its jobs, from 1.")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    num_threads: Annotated[
        int, typer.Option(min=0, max=4096, help="CPU threads; 0: torch's own choice.")
    ] = 0,
) -> None:
    """Train one job of an iteration, from EXP/<iteration>.pt to EXP/jobs/<iteration>.<job>.pt.

    `chainstitch train` starts these itself, where the config has training.jobs_final > 1.

    Example: chainstitch train-job exp/tdnn_1a --iteration 7 --job 2
    """
    from chainstitch.nnet.tasks.run import join
    from chainstitch.nnet.train.averaged_jobs import finished, objective, result_of
    from chainstitch.utils import checkpoint
    from chainstitch.utils.errors import UsageError, UserError

    result = result_of(exp, iteration, job)
    if finished(result):
        print(f"{result} is there already")
        return
    trainer = join(exp, device, num_threads)
    last = trainer.plan.num_iterations - 1
    if iteration > last or job > trainer.plan.jobs(min(iteration, last)):
        raise UsageError(
            f"{exp} has iterations 0 to {last}, and iteration {min(iteration, last)} has "
            f"{trainer.plan.jobs(min(iteration, last))} jobs; found --iteration {iteration} "
            f"--job {job}"
        )
    try:
        state = trainer.train_job(iteration, job)
    except FloatingPointError as error:
        raise UserError(
            f"the network's output is not finite ({error}); lower optim.initial_lr"
        ) from None
    result.parent.mkdir(exist_ok=True)
    checkpoint.save(state, result)
    objf = objective(state)
    print(f"{result}: objective per {trainer.examples.unit} {objf:.4f}")
