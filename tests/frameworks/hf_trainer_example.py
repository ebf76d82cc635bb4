#!/usr/bin/env python3
"""Backstitch in Hugging Face's Trainer, by a subclass of twenty lines.

The Trainer runs `training_step`, forward and backward, and then calls `optimizer.step()` without a
closure. Here `training_step` takes the whole step, with the Trainer's own one as the closure, and
the call without one does nothing.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
import transformers
from task import BATCH, BATCHES, EPOCHS, OVER, Model, check, examples, optimizer, scheduler

from chainstitch.nnet.optim import Backstitch


class BackstitchOfTrainer(Backstitch):
    """Leaves the Trainer's own call of `step`, after the step has been taken, without effect."""

    def step(self, closure=None):
        return None if closure is None else super().step(closure)


class BackstitchTrainer(transformers.Trainer):
    """A Trainer whose optimiser is a `BackstitchOfTrainer`."""

    def __init__(self, *arguments, args, **keywords):
        super().__init__(*arguments, args=args, **keywords)
        found = (args.gradient_accumulation_steps, args.max_grad_norm, args.fp16)
        if found != (1, 0, False):
            raise ValueError(
                "BackstitchTrainer wants gradient_accumulation_steps=1, max_grad_norm=0 and "
                f"fp16=False, found {found}; they act between the passes and the step, one here"
            )

    def training_step(self, model, inputs, num_items_in_batch=None):
        def closure():
            self.optimizer.zero_grad()
            return super(BackstitchTrainer, self).training_step(model, inputs, num_items_in_batch)

        # that of accelerate, around ours, does not return the loss
        return self.optimizer.optimizer.step(closure)


class Watch(transformers.TrainerCallback):
    """Seeds as the plain loop does; for the comparison only."""

    def on_step_begin(self, args, state, control, **_):
        torch.manual_seed(state.global_step)


class Recording(BackstitchTrainer):
    """Keeps the examples in order and the losses; for the comparison only."""

    losses: list[float]

    def training_step(self, *arguments):
        loss = super().training_step(*arguments)
        self.losses.append(loss.item())
        return loss

    def _get_train_sampler(self, train_dataset=None):
        return torch.utils.data.SequentialSampler(self.train_dataset)


def trainer(over: str, out: Path) -> Recording:
    model = Model()
    backstitch = optimizer(model, over, BackstitchOfTrainer)
    made = Recording(
        model,
        args=transformers.TrainingArguments(
            output_dir=str(out),
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=BATCH,
            max_grad_norm=0.0,
            save_steps=BATCHES * EPOCHS // 2 + 1,  # odd, so in the middle of an interval
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            logging_strategy="no",
        ),
        train_dataset=examples(),
        optimizers=(backstitch, scheduler(backstitch)),
        callbacks=[Watch()],
    )
    made.losses = []
    return made


def main() -> None:
    with tempfile.TemporaryDirectory() as out:
        for over in OVER:
            whole = trainer(over, Path(out) / over)
            whole.train()
            check("Hugging Face's Trainer", whole.model, whole.losses, over)
        half = len(whole.losses) // 2 + 1
        resumed = trainer("adadelta", Path(out) / "resumed")
        resumed.train(resume_from_checkpoint=str(Path(out) / f"adadelta/checkpoint-{half}"))
        losses = whole.losses[:half] + resumed.losses
        check("Hugging Face's Trainer, resumed half-way,", resumed.model, losses, "adadelta")


if __name__ == "__main__":
    main()
