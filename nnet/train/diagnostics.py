"""The objective on fixed examples, with dropout off, and statistics over them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from chainstitch.nnet.loss.outcome import Loss
from chainstitch.nnet.nets.trainable import Trainable
from chainstitch.nnet.train.protocols import Examples


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients within the block; the mode before it afterwards."""
    mode = network.training
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        network.train(mode)


def subset(examples: Examples, count: int | None = None) -> list[int]:
    """Up to `count` (default: `num_measured`) example numbers spread evenly over the set."""
    count = min(examples.num_measured if count is None else count, len(examples))
    return [i * len(examples) // count for i in range(count)]


def objective(
    network: Trainable, loss: Loss, examples: Examples, indices: list[int], device: str
) -> float:
    """The objective per output frame (<= 0), or image, over the given examples."""
    total, count = 0.0, 0.0
    with evaluating(network):
        for begin in range(0, len(indices), examples.at_once):
            batch = examples.batch(indices[begin : begin + examples.at_once])
            outcome = batch.outcome(network, loss, device)
            total += float(outcome.objective.sum())
            count += outcome.count
    if not math.isfinite(total):
        raise FloatingPointError(f"an objective of {total}")
    return total / count


def objective_and_gradient(
    network: Trainable, loss: Loss, examples: Examples, indices: list[int], device: str
) -> tuple[float, dict[str, Tensor]]:
    """The same with batch-norm on minibatch statistics, and its derivative by every parameter.

    The loss's output l2 must be 0, as the objective does not count it. The batches are those of
    `refresh_statistics`; running statistics are neither used nor changed.
    """
    norms = _norms(network)
    tracked = [m.track_running_stats for m in norms]
    mode = network.training
    network.eval()
    for m in norms:
        m.train()
        m.track_running_stats = False
    network.zero_grad()
    total, count = 0.0, 0.0
    batches = -(-len(indices) // examples.at_once)
    try:
        for first in range(batches):
            batch = examples.batch(indices[first::batches])
            outcome = batch.outcome(network, loss, device)
            outcome.value.backward()
            total += float(outcome.objective.sum())
            count += outcome.count
        gradient = {  # 0 of what the main output does not need, an xent branch say
            k: torch.zeros_like(p, device="cpu") if p.grad is None else -p.grad.cpu() / count
            for k, p in network.named_parameters()
        }
    finally:
        network.zero_grad()
        for m, track in zip(norms, tracked, strict=True):
            m.track_running_stats = track
        network.train(mode)
    return total / count, gradient


def refresh_statistics(
    network: nn.Module, examples: Examples, indices: list[int], device: str
) -> None:
    """Computes batch-norm statistics afresh, as plain averages over the given examples.

    Each batch takes examples from everywhere in the set: examples stand sorted by speaker, and the
    variance within a batch of one speaker is less than that of the mixed batches of training.
    """
    norms = _norms(network)
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    mode = network.training
    seen = dict.fromkeys(norms, 0)

    def weigh(norm: nn.modules.batchnorm._BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        rows = len(inputs[0])
        seen[norm] += rows
        norm.momentum = rows / seen[norm]  # every row counts alike, whatever its batch's size

    hooks = [m.register_forward_pre_hook(weigh) for m in norms]
    for m in norms:
        m.reset_running_stats()
    network.eval()  # dropout stays off
    for m in norms:
        m.train()
    with torch.no_grad():
        batches = -(-len(indices) // examples.at_once)
        for first in range(batches):
            examples.batch(indices[first::batches]).outputs(network, device)
    for hook in hooks:
        hook.remove()
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum
    network.train(mode)


def _norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
