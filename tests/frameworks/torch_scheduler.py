#!/usr/bin/env python3
"""Backstitch in a loop of one's own, under a scheduler of torch's, stopped half-way and resumed."""

from __future__ import annotations

import io
import warnings

import torch
from task import BATCHES, EPOCHS, OVER, Model, batches, check, optimizer, scheduler

HALF = BATCHES * EPOCHS // 2 + 1  # odd, so in the middle of an interval


class Run:
    """What a checkpoint is of."""

    def __init__(self, over: str) -> None:
        self.model = Model().train()
        self.optimizer = optimizer(self.model, over)
        self.scheduler = scheduler(self.optimizer)
        self.parts = [self.model, self.optimizer, self.scheduler]
        if self.optimizer.natural_gradient is not None:  # its state is its own
            self.parts.append(self.optimizer.natural_gradient)

    def train(self, first: int, end: int) -> list[float]:
        losses = []
        for step, batch in list(enumerate(batches() * EPOCHS))[first:end]:

            def closure(batch=batch):
                self.optimizer.zero_grad()
                loss = self.model(**batch)["loss"]
                loss.backward()
                return loss

            torch.manual_seed(step)
            losses.append(self.optimizer.step(closure).item())
            self.scheduler.step()
        return losses


def main() -> None:
    warnings.simplefilter("error")  # a scheduler warns where `step` is not what it patched
    for over in OVER:
        run, file = Run(over), io.BytesIO()
        losses = run.train(0, HALF)
        torch.save([part.state_dict() for part in run.parts], file)
        file.seek(0)
        again = Run(over)
        for part, state in zip(again.parts, torch.load(file, weights_only=True), strict=True):
            part.load_state_dict(state)
        losses += again.train(HALF, BATCHES * EPOCHS)
        check("torch's scheduler, resumed half-way,", again.model, losses, over)


if __name__ == "__main__":
    main()
