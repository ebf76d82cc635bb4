#!/usr/bin/env python3
"""Backstitch in PyTorch Lightning, as it is: automatic optimisation calls `step(closure)`.

On a backstitched minibatch training_step runs twice, so what it logs or counts it does twice. Here
the loss of every pass is kept, and that of the first is the minibatch's.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import lightning
import torch
from task import BATCHES, EPOCHS, OVER, Model, batches, check, optimizer, scheduler


class Module(lightning.LightningModule):
    """Trains the model of the task."""

    def __init__(self, over: str) -> None:
        super().__init__()
        self.model, self.over = Model(), over
        self.passes: list[list[float]] = []  # losses, one list a minibatch

    def training_step(self, batch, batch_idx):
        loss = self.model(**batch)["loss"]
        self.passes[-1].append(loss.item())
        return loss

    def configure_optimizers(self):
        backstitch = optimizer(self.model, self.over)
        return [backstitch], [{"scheduler": scheduler(backstitch), "interval": "step"}]

    def on_train_batch_start(self, batch, batch_idx):
        self.passes.append([])
        torch.manual_seed(self.trainer.global_step)


def trainer(epochs: int, out: str) -> lightning.Trainer:
    return lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=out,
    )


def main() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    loader = torch.utils.data.DataLoader(batches(), batch_size=None)
    with tempfile.TemporaryDirectory() as out:
        for over in OVER:
            module = Module(over)
            trainer(EPOCHS, out).fit(module, loader)
            losses = [passes[0] for passes in module.passes]
            assert [len(passes) for passes in module.passes] == [2, 1] * (BATCHES * EPOCHS // 2)
            check("Lightning", module.model, losses, over)
        # half of the epochs, and the rest from a checkpoint
        begun, path = Module("adadelta"), Path(out) / "half.ckpt"
        first = trainer(EPOCHS // 2, out)
        first.fit(begun, loader)
        first.save_checkpoint(path)
        module = Module("adadelta")
        trainer(EPOCHS, out).fit(module, loader, ckpt_path=path, weights_only=True)
        losses = [passes[0] for passes in begun.passes + module.passes]
        check("Lightning, resumed half-way,", module.model, losses, "adadelta")


if __name__ == "__main__":
    main()
