"""Training: iterations of steps on minibatches of any examples, by any loss.

Reads top to bottom. An *iteration* is a fixed share of the minibatches. Everything random within it
depends on (seed, iteration) alone, and a checkpoint is written after it; so a run that was killed
and resumed goes through the same numbers as one that was not. A run that is told to stop
(stop_signals.py) writes one between two minibatches, and goes on from there.

    for every iteration:
        learning rate and dropout for it; shrink; reseed; the stepper's own settings
        for every minibatch: a step (step.py), while the next ones are read (read_ahead.py)
        objective on fixed training and validation examples
        checkpoint, a row of train.jsonl and of TensorBoard, a line in the log

What is trained says tasks/; how a step is taken, optim/build.py; which examples when, plan.py; with
which learning rate and how long, schedule.py.
"""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from chainstitch.nnet.loss.outcome import Loss
from chainstitch.nnet.nets.trainable import Trainable
from chainstitch.nnet.optim.build import Stepper
from chainstitch.nnet.parallel.ranks import Ranks
from chainstitch.nnet.train import diagnostics
from chainstitch.nnet.train import saturation as units
from chainstitch.nnet.train.averaged_jobs import AveragedJobs, average, kept, result_of
from chainstitch.nnet.train.checkpoints import Checkpoints
from chainstitch.nnet.train.dropout_schedule import DropoutSchedule
from chainstitch.nnet.train.log import figures, line, names
from chainstitch.nnet.train.pause import Progress
from chainstitch.nnet.train.plan import Minibatch, Plan
from chainstitch.nnet.train.protocols import Batch, Examples, Stateless
from chainstitch.nnet.train.read_ahead import Reader
from chainstitch.nnet.train.schedule import Schedule
from chainstitch.nnet.train.step import MinibatchStep
from chainstitch.utils import checkpoint
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
        plan: the minibatches; stepper: what moves the parameters; schedule: how fast.
        out: experiment directory for `<iter>.pt`, train.jsonl and tensorboard/.
        seed: of everything random.
        dropout: a dropout schedule; empty leaves the layers' own proportions.
        measured: the loss that objectives are measured by; default: `loss`.
        keep: how many checkpoints to keep for model combination.
        jobs: what starts the jobs of iterations that have several.
        accumulate: into how many parts each minibatch is cut, see step.py.
        ranks: the processes that train together, see parallel/ranks.py; only the first one writes.

    Raises:
        UsageError: a dropout schedule that cannot be read or does not fit the network; a loss that
            wants a layer which the network does not have; several processes for examples with a
            state.
    """

    def __init__(
        self,
        network: Trainable,
        loss: Loss,
        examples: Examples,
        valid: Examples,
        plan: Plan,
        stepper: Stepper,
        schedule: Schedule,
        out: Path,
        seed: int = 0,
        device: str = "cpu",
        dropout: str = "",
        measured: Loss | None = None,
        keep: int = 20,
        jobs: AveragedJobs | None = None,
        accumulate: int = 1,
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks = ranks or Ranks()
        if self.ranks.size > 1 and not isinstance(examples, Stateless):
            raise UsageError(
                "these examples carry a state from minibatch to minibatch, of which checkpoints "
                "hold one process's; train this network with one process"
            )
        self.ranks.join(network)
        network.check_taps(loss.taps)
        self.network, self.loss, self.measured = network.to(device), loss, measured or loss
        self.examples, self.valid = examples, valid
        self.plan, self.stepper, self.schedule = plan, stepper, schedule
        self.out, self.jobs, self.seed, self.device = out, jobs, seed, device
        self.first = self.ranks.rank == 0
        self.checkpoints = Checkpoints(out, plan.num_iterations, keep, self.first)
        self.dropouts = network.dropouts()
        self.dropout = DropoutSchedule(dropout, list(self.dropouts))
        self.step = MinibatchStep(network, loss, examples, stepper, device, accumulate, self.ranks)
        self.reader: Reader[Minibatch, list[Batch]] = Reader(self.step.parts, device)
        self.train_subset = diagnostics.subset(examples)
        self.valid_subset = diagnostics.subset(valid)
        self.rows: list[dict[str, Any]] = []
        self.next_iteration = 0
        self._progress: Progress | None = None  # in the iteration that a paused run stands in
        stepper.plan([self._rate(iteration, []) for iteration in range(plan.num_iterations)])

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
        self.stepper.announce()
        if self.plan.left_over:
            logger.warning(
                "%d examples of each pass fill no minibatch and are left out; smaller sizes in "
                "training.minibatch_rule, as in 1:64, would keep them",
                self.plan.left_over,
            )
        if self._finished():
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
            self.next_iteration, self._progress = iteration + 1, None
            self.checkpoints.save(self._state())
            if self.jobs is not None:
                self.jobs.clear()
            self._write_rows()
            if scalars is not None:
                scalars.write(row)
            logger.info(line(row, self.plan.num_iterations))
            skipped = row.get("max_change", {}).get("skipped", 0)
            if skipped > MAX_SKIPPED * len(self.plan.iteration(iteration)):
                raise UserError(
                    f"iteration {iteration}: {skipped} updates were not finite and were skipped; "
                    "lower optim.initial_lr (--set optim.initial_lr=...) and start again with "
                    "--overwrite"
                )
            if self._finished():
                if self.next_iteration < self.plan.num_iterations:
                    logger.info(
                        "stopped early: no better held-out objective in %d iterations",
                        self.schedule.options.patience,
                    )
                return

    def _finished(self) -> bool:
        """Whether there is nothing left to train, or no more to be gained by it."""
        last = self.next_iteration == self.plan.num_iterations
        return last or self.schedule.over(self._history())

    def _history(self) -> list[float]:
        """The held-out objectives so far."""
        return [float(row["valid_objf"]) for row in self.rows]

    def _iteration(self, iteration: int, stop: StopSignals) -> dict[str, Any]:
        began = time.perf_counter()
        lr, jobs = self._settings(iteration), self.plan.jobs(iteration)
        if jobs == 1:
            self.ranks.copy_first(self.network.state_dict().values())
            progress = self._progress or self._begin(iteration, lr)
            self._train(self.plan.iteration(iteration), progress, stop)
        else:
            progress = self._train_in_jobs(iteration, jobs, lr, stop)
        self._add_up(progress)  # waits for the device
        trained = progress.seconds + time.perf_counter() - began
        arguments = (self.network, self.measured)
        diag = diagnostics.objective(*arguments, self.examples, self.train_subset, self.device)
        valid = diagnostics.objective(*arguments, self.valid, self.valid_subset, self.device)
        return {
            "iter": iteration,
            "unit": self.examples.unit,
            "passes": self.plan.bounds(iteration)[1] / self.plan.per_pass,
            "jobs": jobs,
            "lr": lr,
            "dropout": {name: layer.p for name, layer in self.dropouts.items()},
            "saturation": progress.saturation,
            "shrink": progress.shrink,
            **figures(progress.numbers(), self.examples.unit),
            "figures": names(progress.totals),
            "train_diag_objf": diag,
            "valid_objf": self.ranks.of_first(valid),  # rates and the end depend on it
            "seconds": round(trained, 3),
            "parameters": self.network.num_parameters(),
            **self.stepper.figures(),
        }

    def _settings(self, iteration: int) -> float:
        """Sets what changes from iteration to iteration; the learning rate."""
        lr = self._rate(iteration, self._history())
        self.stepper.set_iteration(iteration, lr)
        for name, proportion in self.dropout.at(self.plan.done(iteration)).items():
            self.dropouts[name].p = proportion
        return lr

    def _rate(self, iteration: int, history: list[float]) -> float:
        """The learning rate of each job: where n models are averaged, a step of one counts 1/n."""
        last = iteration == self.plan.num_iterations - 1
        done = 1.0 if last else self.plan.done(iteration)
        return self.plan.jobs(iteration) * self.schedule.rate(done, history)

    def _train(
        self, minibatches: list[Minibatch], progress: Progress, stop: StopSignals, job: int = 0
    ) -> None:
        began = time.perf_counter()
        self.network.train()
        most = max(1, int(MAX_NONFINITE * len(minibatches)))
        with closing(self.reader(minibatches[progress.done :])) as ready:
            for minibatch, parts in ready:
                if self.ranks.any(bool(stop.received)):
                    if job:
                        raise Stopped(f"stopped by {stop.received}; the job will begin again")
                    progress.seconds += time.perf_counter() - began
                    self._pause(progress, stop.received or "another process", len(minibatches))
                seeds = (self.seed, self.next_iteration, progress.done)
                self.step(minibatch, parts, progress.totals, most, seeds)
                progress.done += 1

    def _train_in_jobs(self, iteration: int, jobs: int, lr: float, stop: StopSignals) -> Progress:
        if self.jobs is None:
            raise ValueError("several jobs an iteration want something that starts them")
        saturation, shrink = self._shrinkage(iteration, lr)
        if iteration == 0:  # what the jobs begin with; later ones have the last iteration's
            self.checkpoints.save(self._state())
        results = self.jobs.run(iteration, jobs, stop)
        own = self.network.state_dict()
        for n, result in enumerate(results, 1):
            path = result_of(self.out, iteration, n)
            checkpoint.check_model(result["model"], own, path, str(self.out))
        chosen = [results[n] for n in kept(results, iteration)]
        self.network.load_state_dict(average([result["model"] for result in chosen]))
        self.stepper.take_results([result["stepper"] for result in chosen])
        totals: dict[str, float | Tensor] = defaultdict(float)
        for result in chosen:
            for name, value in result["totals"].items():
                totals[name] += value
        return Progress(saturation, shrink, totals=totals)

    def train_job(self, iteration: int, number: int) -> dict[str, Any]:
        """Job `number` of an iteration: what averaged_jobs.py has it write.

        The tensors are the network's own, good until it trains on.

        Raises:
            UserError: `<iteration>.pt` cannot be read, or belongs to a run of another length.
            FloatingPointError: the output is not finite, again and again.
        """
        self._restore(self.checkpoints.after(iteration, self.device))
        progress = self._begin(iteration, self._settings(iteration), number)
        with stop_signals() as stop:
            self._train(self.plan.of_job(iteration, number), progress, stop, number)
        return {
            "model": self.network.state_dict(),
            "stepper": self.stepper.result(),
            "totals": progress.numbers(),
        }

    def _add_up(self, progress: Progress) -> None:
        """Sums the figures over the processes, but for what each of them has counted whole."""
        numbers = progress.numbers()
        counted = {"nonfinite": numbers.pop("nonfinite", 0.0)}
        progress.totals = defaultdict(float, self.ranks.totals(numbers) | counted)

    def _shrinkage(self, iteration: int, lr: float) -> tuple[float, float]:
        """How saturated the network is, and what its parameters are to be multiplied by."""
        saturation = units.saturation(self.network)
        saturated = iteration == 0 or saturation > units.THRESHOLD
        return saturation, self.schedule.shrinkage(lr, saturated)

    def _begin(self, iteration: int, lr: float, job: int = 0) -> Progress:
        """What is done once before the minibatches of an iteration."""
        saturation, shrink = self._shrinkage(iteration, lr)
        units.forget(self.network)
        self._shrink(shrink)
        seed = self.seed * 1_000_003 + iteration
        torch.manual_seed(seed)  # as in Kaldi, all jobs of an iteration draw the same phase
        self.stepper.begin_iteration(lambda below: int(torch.randint(below, ())))
        if job:
            torch.manual_seed(seed + JOB_SEEDS * job)
        return Progress(saturation, shrink)

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
            "stepper": self.stepper.state_dict(),
            "examples": self.examples.state_dict(),
            "next_iteration": self.next_iteration,
            "num_iterations": self.plan.num_iterations,
            "finished": self._finished(),
            "rows": json.dumps(self.rows),
        }

    def _pause(self, progress: Progress, received: str, minibatches: int) -> NoReturn:
        self._add_up(progress)
        self.checkpoints.pause(self._state() | {"progress": progress.state_dict()})
        raise Stopped(
            f"stopped by {received} in iteration {self.next_iteration + 1} of "
            f"{self.plan.num_iterations}, after {progress.done} of {minibatches} minibatches; all "
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
        path = self.checkpoints.opened
        checkpoint.check_model(state["model"], self.network.state_dict(), path, str(self.out))
        try:
            self._go_on_from(state)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
            said = f"no {error}" if isinstance(error, KeyError) else error
            raise UserError(
                f"{path} is not of this run ({said}); delete it, and training resumes from the one "
                "before, or start afresh with --overwrite"
            ) from None

    def _go_on_from(self, state: dict[str, Any]) -> None:
        different = checkpoint.difference(state["stepper"], self.stepper.state_dict(), "stepper")
        if different:
            raise ValueError(different)
        if not 0 <= state["next_iteration"] <= self.plan.num_iterations:
            raise ValueError(f"it is after {state['next_iteration']} iterations")
        rows = json.loads(state["rows"])
        if len(rows) != state["next_iteration"]:
            raise ValueError(f"{len(rows)} rows after {state['next_iteration']} iterations")
        self.network.load_state_dict(state["model"])
        self.stepper.load_state_dict(state["stepper"])
        self.examples.load_state_dict(state["examples"])
        self.next_iteration, self.rows = state["next_iteration"], rows
        if "progress" in state:
            self._progress = Progress(**state["progress"])
            if not self.first:  # its figures are in those of the first
                for name in self._progress.totals.keys() - {"nonfinite"}:
                    self._progress.totals[name] = 0.0

    def _write_rows(self) -> None:
        if not self.first:
            return
        with atomic_file(self.out / "train.jsonl") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in self.rows)
