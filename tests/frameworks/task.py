"""What all the examples train, and the plain loop that they must agree with.

Random numbers are seeded before each minibatch, here and in the examples, so that the dropout masks
of a framework's training can be compared with those of the loop, whatever else draws numbers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chainstitch.nnet.optim import SGD, Backstitch, NaturalGradient

EPOCHS, BATCHES, BATCH = 6, 20, 16
STEPS = EPOCHS * BATCHES
OVER = ("sgd", "adadelta")


def examples() -> list[dict[str, Tensor]]:
    """Training examples, in the order in which every epoch has them."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCHES * BATCH, 8, generator=generator)
    y = (x @ torch.randn(8, 3, generator=generator)).argmax(1)
    return [{"x": a, "labels": b} for a, b in zip(x, y, strict=True)]


def batches() -> list[dict[str, Tensor]]:
    """One epoch's."""
    every = examples()
    return [
        {key: torch.stack([each[key] for each in every[n : n + BATCH]]) for key in every[0]}
        for n in range(0, len(every), BATCH)
    ]


class Model(nn.Module):
    """Dropout and batch-norm, which two passes must not notice; returns the summed loss."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(
            nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3)
        )

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"loss": F.cross_entropy(self.layers(x), labels, reduction="sum")}


def optimizer(model: Model, over: str, cls: type[Backstitch] = Backstitch) -> Backstitch:
    """Backstitch over our SGD with natural gradient, or over AdaDelta; every second minibatch."""
    if over == "sgd":
        natural_gradient = NaturalGradient(model)
        return cls(SGD(model, lr=0.02), 0.5, 2, natural_gradient, module=model)
    return cls(torch.optim.Adadelta(model.parameters(), lr=2.0), 0.5, 2, module=model)


def scheduler(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    """One of torch's, stepped after every minibatch."""
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)


def plain_loop(over: str) -> tuple[Model, list[float]]:
    """The trained model and the loss of every minibatch."""
    model = Model().train()
    backstitch, losses = optimizer(model, over), []
    rate = scheduler(backstitch)
    for step, batch in enumerate(batches() * EPOCHS):

        def closure(batch: dict[str, Tensor] = batch) -> Tensor:
            backstitch.zero_grad()
            loss = model(**batch)["loss"]
            loss.backward()
            return loss

        torch.manual_seed(step)
        losses.append(backstitch.step(closure).item())
        rate.step()
    return model, losses


def check(what: str, model: Model, losses: list[float], over: str) -> None:
    """Raises unless it learned, and model and losses are the plain loop's, bit for bit."""
    wanted, wanted_losses = plain_loop(over)
    begin, end = (sum(part) / BATCHES for part in (losses[:BATCHES], losses[-BATCHES:]))
    if not end < 0.5 * begin:
        raise AssertionError(f"{what} over {over} did not learn: {begin:.2f} to {end:.2f}")
    if losses != wanted_losses[-len(losses) :]:
        raise AssertionError(f"{what} over {over}: other losses than those of the plain loop")
    for (name, p), q in zip(model.state_dict().items(), wanted.state_dict().values(), strict=True):
        if not torch.equal(p, q):
            raise AssertionError(f"{what} over {over}: {name} differs by {(p - q).abs().max()}")
    print(f"{what} over {over}: loss {begin:.2f} to {end:.2f}, equal to the plain loop")
