"""Training: iterations of natural-gradient, max-change, backstitch SGD on any loss.

Reads top to bottom. An *iteration* is a fixed share of the minibatches. Everything random within it
depends on (seed, iteration) alone, and a checkpoint is written after it; so a run that was killed
and resumed goes through the same numbers as one that was not. A run that is told to stop
(stop_signals.py) writes one between two minibatches, and goes on from there.

    for every iteration:
        lr, alpha, max-change and dropout for it; shrink; reseed; draw backstitch's phase
        for every minibatch: backstitch step or plain step
        objective on fixed training and validation examples
        checkpoint, a row of train.jsonl and of TensorBoard, a line in the log
"""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from chainstitch.nnet.nets.trainable import Trainable
from chainstitch.nnet.optim import SGD, Backstitch, NaturalGradient
from chainstitch.nnet.parallel.ranks import Ranks
from chainstitch.nnet.train import diagnostics, schedule
from chainstitch.nnet.train import saturation as units
from chainstitch.nnet.train.averaged_jobs import ParallelJobs, average, kept
from chainstitch.nnet.train.checkpoints import Checkpoints
from chainstitch.nnet.train.dropout_schedule import DropoutSchedule
from chainstitch.nnet.train.log import figures, line
from chainstitch.nnet.train.pause import Within, reenter
from chainstitch.nnet.train.plan import BatchPlan, Minibatch
from chainstitch.nnet.train.protocols import Examples, Loss
from chainstitch.nnet.train.shares import Shares
from chainstitch.nnet.train.step import MinibatchStep
from chainstitch.nnet.train.train_schedule import Schedule
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.report.tensorboard import Scalars
from chainstitch.utils.stop_signals import Stopped, StopSignals, stop_signals

logger = logging.getLogger(__name__)

MAX_NONFINITE = 0.01  # of an iteration's minibatches may have non-finite output; one always may
JOB_SEEDS = 10**12  # apart are the seeds of the jobs of an iteration
MAX_SKIPPED = 0.2  # of an iteration's updates may be non-finite before training gives up


class Trainer:
    """One training run in one directory.

    Args:
        network, loss, examples, valid: what to train, on what, validated on what.
        plan: the minibatches; schedule: the settings.
        out: experiment directory for `<iter>.pt`, train.jsonl and tensorboard/.
        seed: of everything random.
        natural_gradient: False trains without.
        keep: how many checkpoints to keep for model combination.
        parallel: what starts the jobs of iterations that have several.
        accumulate: into how many parts each minibatch is cut, see minibatch_step.py.
        ranks: the processes that train together, see ranks.py; only the first one writes.

    Raises:
        UsageError: a dropout schedule that cannot be read or does not fit the network.
    """

    def __init__(
        self,
        network: Trainable,
        loss: Loss,
        examples: Examples,
        valid: Examples,
        plan: BatchPlan | Shares,
        schedule: Schedule,
        out: Path,
        seed: int = 0,
        device: str = "cpu",
        natural_gradient: bool = True,
        momentum: float = 0.0,
        keep: int = 20,
        parallel: ParallelJobs | None = None,
        accumulate: int = 1,
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks = ranks or Ranks()
        self.ranks.join(network)
        self.network, self.loss, self.examples, self.valid = (
            network.to(device),
            loss,
            examples,
            valid,
        )
        self.plan = Shares(plan) if isinstance(plan, BatchPlan) else plan
        self.schedule, self.out, self.parallel = schedule, out, parallel
        self.seed, self.device = seed, device
        self.first = self.ranks.rank == 0
        self.checkpoints = Checkpoints(out, self.plan.num_iterations, keep, self.first)
        self.dropouts = network.dropouts()
        self.dropout = DropoutSchedule(schedule.dropout, list(self.dropouts))
        self.natural_gradient = (
            NaturalGradient(network, group=self.ranks.group) if natural_gradient else None
        )
        self.sgd = SGD(network, schedule.initial_lr, momentum, max_change=schedule.max_change)
        if not schedule.layer_max_change:
            for group in self.sgd.param_groups:
                group["max_change"] = 0.0
        self.optimizer = Backstitch(
            self.sgd, schedule.backstitch_scale, schedule.backstitch_interval,
            self.natural_gradient, network,
        )  # fmt: skip
        self.step = MinibatchStep(
            network, loss, examples, self.optimizer, device, accumulate, self.ranks
        )
        self.train_subset = diagnostics.subset(examples)
        self.valid_subset = diagnostics.subset(valid)
        self.rows: list[dict[str, Any]] = []
        self.next_iteration = 0
        self._within: Within | None = None  # the iteration that a paused run stands in

    def run(self) -> None:
        """Trains from the next iteration to the last.

        Raises:
            UserError: too many non-finite updates, or damaged features.
            Stopped: on a signal; what was done is saved.
        """
        logger.info(
            "%s, %d minibatches in %d iterations, %d parameters",
            str(self.examples),  # a kept record would keep its files open
            self.plan.total,
            self.plan.num_iterations,
            self.network.num_parameters(),
        )
        if self.plan.left_over:
            logger.warning(
                "%d examples of each epoch fill no minibatch and are left out; smaller sizes in "
                "training.minibatch_rule, as in 1:64, would keep them",
                self.plan.left_over,
            )
        if self.next_iteration == self.plan.num_iterations:
            return
        if max(len(m.indices) for m in self.plan.iteration(0)) < self.ranks.size:
            raise UsageError(
                f"minibatches are smaller than the number of processes, {self.ranks.size}; start "
                "fewer, or set a larger training.minibatch_size"
            )
        shown = Scalars(self.out, self.next_iteration) if self.first else nullcontext()
        with shown as scalars, stop_signals() as stop:
            self._run(scalars, stop)

    def _run(self, scalars: Scalars | None, stop: StopSignals) -> None:
        for iteration in range(self.next_iteration, self.plan.num_iterations):
            try:
                row = self._iteration(iteration, stop)
            except FloatingPointError as error:
                raise UserError(
                    f"the network's output is not finite ({error}); lower optim.initial_lr and "
                    "start again with --overwrite"
                ) from None
            self.rows.append(row)
            self.next_iteration, self._within = iteration + 1, None
            self.checkpoints.save(self._state())
            if self.parallel is not None:
                self.parallel.clear()
            self._write_rows()
            if scalars is not None:
                scalars.write(row)
            logger.info(line(row, self.plan.num_iterations))
            skipped = row["max_change"]["skipped"]
            if skipped > MAX_SKIPPED * len(self.plan.iteration(iteration)):
                raise UserError(
                    f"iteration {iteration}: {skipped} updates were not finite and were skipped; "
                    "lower optim.initial_lr (--set optim.initial_lr=...) and start again with "
                    "--overwrite"
                )

    def _iteration(self, iteration: int, stop: StopSignals) -> dict[str, Any]:
        began = time.perf_counter()
        lr, alpha, jobs = self._settings(iteration), self.optimizer.scale, self.plan.jobs(iteration)
        if jobs == 1:
            self.ranks.copy_first(self.network.state_dict().values())
            within = self._within or self._begin(iteration, lr)
            self._train(self.plan.iteration(iteration), within, stop)
        else:
            within = self._train_in_jobs(iteration, jobs, stop)
        self._add_up(within)  # waits for the device
        trained = within.seconds + time.perf_counter() - began
        arguments = (self.network, self.loss)
        diag = diagnostics.objective(*arguments, self.examples, self.train_subset, self.device)
        valid = diagnostics.objective(*arguments, self.valid, self.valid_subset, self.device)
        return {
            "iter": iteration,
            "unit": self.examples.unit,
            "epoch": self.plan.bounds(iteration)[1] / self.plan.per_epoch,
            "jobs": jobs,
            "lr": lr,
            "alpha": alpha,
            "dropout": {name: layer.p for name, layer in self.dropouts.items()},
            "saturation": within.saturation,
            "shrink": within.shrink,
            **figures(defaultdict(float, within.numbers())),
            "train_diag_objf": diag,
            "valid_objf": valid,
            "seconds": round(trained, 3),
            "parameters": self.network.num_parameters(),
            "max_change": self.sgd.statistics.summary(self.sgd.names),
            "natural_gradient": self.natural_gradient.statistics()
            if self.natural_gradient
            else None,
        }

    def _settings(self, iteration: int) -> float:
        """Sets what changes from iteration to iteration; the learning rate."""
        first, jobs = self.plan.bounds(iteration)[0], self.plan.jobs(iteration)
        # so that the last iteration has the final values
        total = max(1, self.plan.bounds(self.plan.num_iterations - 1)[0])
        lr = jobs * schedule.exponential(
            self.schedule.initial_lr, self.schedule.final_lr, first, total
        )
        self.sgd.set_lr(lr)
        self.sgd.max_change = schedule.first_iteration_max_change(
            self.schedule.max_change, iteration
        )
        self.optimizer.scale = schedule.slow_start(
            self.schedule.backstitch_scale, iteration, self.schedule.slow_start
        )
        for name, proportion in self.dropout.at(first / total).items():
            self.dropouts[name].p = proportion
        return lr

    def _train(
        self, minibatches: list[Minibatch], within: Within, stop: StopSignals, job: int = 0
    ) -> None:
        began = time.perf_counter()
        self.network.train()
        most = max(1, int(MAX_NONFINITE * len(minibatches)))
        for minibatch in minibatches[within.done :]:
            if self.ranks.any(bool(stop.received)):
                if job:
                    raise Stopped(f"stopped by {stop.received}; the job will begin again")
                within.seconds += time.perf_counter() - began
                self._pause(within, stop.received or "another process", len(minibatches))
            seeds = (self.seed, self.next_iteration, within.done)
            self.step(minibatch, within.totals, most, seeds)
            within.done += 1

    def _train_in_jobs(self, iteration: int, jobs: int, stop: StopSignals) -> Within:
        if self.parallel is None:
            raise ValueError("several jobs an iteration want something that starts them")
        saturation, shrink = self._shrinkage(iteration, self.sgd.param_groups[0]["lr"])
        if iteration == 0:  # what the jobs begin with; later ones have the last iteration's
            self.checkpoints.save(self._state())
        results = self.parallel.run(iteration, jobs, stop)
        chosen = [results[n] for n in kept(results, iteration)]
        self.network.load_state_dict(average([result["model"] for result in chosen]))
        if self.natural_gradient is not None:
            self.natural_gradient.load_state_dict(chosen[0]["natural_gradient"])
        self.sgd.statistics.reset()
        totals: dict[str, float | Tensor] = defaultdict(float)
        for result in chosen:
            self.sgd.statistics.merge(result["max_change"])
            for name, value in result["totals"].items():
                totals[name] += value
        return Within(saturation, shrink, totals=totals)

    def train_share(self, iteration: int, number: int) -> dict[str, Any]:
        """Job `number` of an iteration: what parallel_jobs.py has it write.

        The tensors are the network's own, good until it trains on.

        Raises:
            UserError: `<iteration>.pt` cannot be read, or belongs to a run of another length.
            FloatingPointError: the output is not finite, again and again.
        """
        self._restore(self.checkpoints.after(iteration, self.device))
        within = self._begin(iteration, self._settings(iteration), number)
        with stop_signals() as stop:
            self._train(self.plan.of_job(iteration, number), within, stop, number)
        return {
            **{k: v for k, v in self._state().items() if k in ("model", "natural_gradient")},
            "totals": within.numbers(), "max_change": vars(self.sgd.statistics),
        }  # fmt: skip

    def _add_up(self, within: Within) -> None:
        """Sums the figures over the processes, but for what each of them has counted whole."""
        numbers = within.numbers()
        counted = {"nonfinite": numbers.pop("nonfinite", 0.0)}
        within.totals = defaultdict(float, self.ranks.totals(numbers) | counted)

    def _shrinkage(self, iteration: int, lr: float) -> tuple[float, float]:
        """How saturated the network is, and what its parameters are to be multiplied by."""
        saturation = units.saturation(self.network)
        return saturation, schedule.shrinkage(
            self.schedule.shrink, self.schedule.proportional_shrink, lr,
            iteration == 0 or saturation > units.THRESHOLD,
        )  # fmt: skip

    def _begin(self, iteration: int, lr: float, job: int = 0) -> Within:
        """What is done once before the minibatches of an iteration."""
        self.sgd.statistics.reset()
        saturation, shrink = self._shrinkage(iteration, lr)
        units.forget(self.network)
        self._shrink(shrink)
        torch.manual_seed(self.seed * 1_000_003 + iteration + JOB_SEEDS * job)
        self.optimizer.start_iteration(int(torch.randint(100_000, ())))
        if self.natural_gradient is not None and self.schedule.reset_natural_gradient:
            self.natural_gradient.reset()
        return Within(saturation, shrink)

    @torch.no_grad()
    def _shrink(self, scale: float) -> None:
        if scale != 1.0:
            for p in self.network.parameters():
                if p.requires_grad:
                    p.mul_(scale)

    # -- checkpoints -------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.network.state_dict(),
            "optimizer": self.sgd.state_dict(),
            "natural_gradient": self.natural_gradient.state_dict()
            if self.natural_gradient
            else None,
            "next_iteration": self.next_iteration,
            "num_iterations": self.plan.num_iterations,
            "rows": json.dumps(self.rows),
        }

    def _pause(self, within: Within, received: str, minibatches: int) -> NoReturn:
        self._add_up(within)
        state = self._state() | {"within": within.saved(self.optimizer, self.sgd)}
        self.checkpoints.pause(state)
        raise Stopped(
            f"stopped by {received} in iteration {self.next_iteration + 1} of "
            f"{self.plan.num_iterations}, after {within.done} of {minibatches} minibatches; all "
            "is saved, run it again with --resume auto to go on"
        )

    def resume(self) -> bool:
        """Goes on from the newest readable checkpoint in `out`; False if there is none.

        Raises:
            UserError: the checkpoint belongs to a run of another length.
        """
        state = self.checkpoints.newest(self.device)
        if state is None:
            return False
        self._restore(state)
        self._write_rows()
        return True

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["model"])
        self.sgd.load_state_dict(state["optimizer"])
        if self.natural_gradient is not None:
            self.natural_gradient.load_state_dict(state["natural_gradient"])
        self.next_iteration = state["next_iteration"]
        self.rows = json.loads(state["rows"])
        if "within" in state:
            self._within = reenter(state["within"], self.optimizer, self.sgd)
            if not self.first:  # its figures are in those of the first
                for name in self._within.totals.keys() - {"nonfinite"}:
                    self._within.totals[name] = 0.0

    def _write_rows(self) -> None:
        if not self.first:
            return
        with atomic_file(self.out / "train.jsonl") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in self.rows)
