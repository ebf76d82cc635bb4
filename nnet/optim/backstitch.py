"""Backstitch: a step of -alpha times the learning rate, then one of 1 + alpha, on one minibatch.

Wang et al., NIPS 2017. With nu the learning rate, g_t the gradient at theta_t, g_t+1/2 that at
theta_t+1/2, of the same data,

    theta_t+1/2 = theta_t     + alpha nu g_t                                             (13)
    theta_t+1   = theta_t+1/2 - (1 + alpha) nu g_t+1/2                                   (14)

The first step takes the minibatch's own influence out of the model, so that in the second the data
act more like fresh data. What else is touched by both passes must not notice that there are two:

- **random numbers** (dropout masks, stochastic depth): the generators are rewound in between, so
  both passes draw the same (section 4.6: without this backstitch does not help);
- **the Fisher estimate** of natural gradient: frozen in the first step, so that the second uses one
  that has not seen this minibatch (4.3);
- **max-change**: limits scaled by alpha and 1 + alpha, so that both steps have the same effective
  learning rate (4.4);
- **buffers** (batch-norm statistics): put back after the first step, so they count once;
- **state of an adaptive optimiser** (AdaDelta, Adam): put back after the first step, unless
  `freeze_state` is false;
- **loss scaling**: both steps go through the `torch.amp.GradScaler`, which takes its scale out of
  the gradients (the natural gradient of scaled gradients is scaled as they are); an overflow in
  the first pass skips the minibatch;
- **l2 and weight decay**: left to the second step, divided by 1 + alpha, so they act once;
- **momentum**: refused (4.5).

Only every `interval`-th minibatch is treated so; the others take a plain step. alpha = 1,
interval 4 costs a quarter more per epoch and is what the paper mostly uses; alpha = 0.3,
interval 1 is its alternative.

Source: Kaldi nnet-chain-training.cc, TrainInternalBackstitch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from chainstitch.nnet.optim import generators
from chainstitch.nnet.optim.natural_gradient import NaturalGradient
from chainstitch.nnet.optim.sgd import SGD


class Backstitch:
    """Wraps a torch optimiser so that `step(closure)` is a backstitch minibatch in its turn.

    Args:
        optimizer: our `SGD` or any torch optimiser without momentum.
        scale: alpha >= 0; 0 makes every step a plain one. May be changed between steps.
        interval: m >= 1; every m-th minibatch is backstitched.
        natural_gradient: if given, gradients are preconditioned after each closure call, with the
            Fisher estimates frozen in the first step.
        module: if given, its buffers (batch-norm statistics) are kept from counting twice.
        freeze_state: whether the first step leaves the state of an adaptive optimiser as it was.
        scaler: a `torch.amp.GradScaler`; the closure calls `scaler.scale(loss).backward()`, and
            `scaler.step` and `scaler.update` are called here.

    Attributes:
        phase: minibatch t is backstitched when t % interval == phase % interval.
        step2_loss: the closure's value in the last second step (parameters after (13)), or None
            when the last minibatch was a plain one.

    Raises:
        ValueError: scale < 0, interval < 1, or an optimiser with momentum.

    >>> model = nn.Linear(3, 1)
    >>> optimizer = Backstitch(SGD(model, lr=0.1), scale=1.0, interval=4)
    >>> def closure():
    ...     model.zero_grad()
    ...     loss = model(torch.ones(2, 3)).square().sum()
    ...     loss.backward()
    ...     return loss
    >>> loss = optimizer.step(closure)

    Over a torch optimiser, as the paper does with AdaDelta:

    >>> optimizer = Backstitch(torch.optim.Adadelta(model.parameters()), scale=0.3)
    >>> losses = [optimizer.step(closure) for _ in range(20)]
    >>> bool(losses[-1] < losses[0])
    True
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        scale: float,
        interval: int = 1,
        natural_gradient: NaturalGradient | None = None,
        module: nn.Module | None = None,
        freeze_state: bool = True,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        if scale < 0:
            raise ValueError(f"backstitch scale must be >= 0 (0 switches it off), got {scale}")
        if interval < 1:
            raise ValueError(
                f"backstitch interval must be >= 1 (1: every minibatch), got {interval}"
            )
        for group in optimizer.param_groups:
            if scale > 0 and group.get("momentum", 0):
                raise ValueError(
                    f"backstitch does not go with momentum ({group['momentum']} found); "
                    "set momentum to 0, or the backstitch scale to 0"
                )
        self.optimizer = optimizer
        self.scale = scale
        self.interval = interval
        self.natural_gradient = natural_gradient
        self.module = module
        self.freeze_state = freeze_state
        self.scaler = scaler
        self.phase = 0
        self.count = 0
        self.step2_loss: Tensor | None = None

    def start_iteration(self, phase: int) -> None:
        """Restarts the count; Kaldi draws a new phase for every iteration from its seed."""
        self.phase, self.count = phase, 0

    def step(self, closure: Callable[[], Tensor]) -> Tensor:
        """One minibatch. `closure` zeroes gradients, runs forward and backward, returns the loss.

        Returns the loss at the unperturbed parameters (first step, or the only one).
        """
        backstitched = self.scale > 0 and self.count % self.interval == self.phase % self.interval
        self.count += 1
        self.step2_loss = None
        if not backstitched:
            loss = self._gradients(closure)
            self._step(1.0, 1.0)
            return loss
        states, buffers = generators.states(), self._buffers()
        with self.natural_gradient.freeze() if self.natural_gradient else nullcontext():
            loss = self._gradients(closure)
        done = self._step(-self.scale, self.scale)  # (13)
        for buffer, value in buffers:
            buffer.copy_(value)
        if not done:  # the second step is nothing without the first
            return loss
        generators.rewind(states)
        self.step2_loss = self._gradients(closure)
        self._step(1.0 + self.scale, 1.0 + self.scale)  # (14)
        return loss

    def _gradients(self, closure: Callable[[], Tensor]) -> Tensor:
        loss = closure()
        if self.natural_gradient is not None:
            self.natural_gradient.precondition_gradients()
        return loss

    def _step(self, scale: float, max_change_scale: float) -> bool:
        """`scale` times the optimiser's step; False when the scaler found an overflow."""
        if isinstance(self.optimizer, SGD):
            return self._apply(scale, max_change_scale)
        keep = scale < 0 and self.freeze_state
        saved = copy.deepcopy(self.optimizer.state) if keep else None
        with _scaled_groups(self.optimizer, scale):
            done = self._apply()
        if saved is not None:
            self.optimizer.state = saved
        return done

    def _apply(self, *arguments: float) -> bool:
        step: Any = self.optimizer.step
        if self.scaler is None:
            step(*arguments)
            return True
        before = self.scaler.get_scale()
        self.scaler.step(self.optimizer, *arguments)
        self.scaler.update()
        return self.scaler.get_scale() >= before

    def _buffers(self) -> list[tuple[Tensor, Tensor]]:
        if self.module is None:
            return []
        return [(buffer, buffer.clone()) for buffer in self.module.buffers()]


@contextmanager
def _scaled_groups(optimizer: torch.optim.Optimizer, scale: float) -> Iterator[None]:
    """lr times `scale`; weight decay off in the negative step, over `scale` in the positive one."""
    saved = [(group["lr"], group.get("weight_decay")) for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * scale
        if group.get("weight_decay"):
            group["weight_decay"] = 0.0 if scale < 0 else group["weight_decay"] / scale
    try:
        yield
    finally:
        for group, (lr, weight_decay) in zip(optimizer.param_groups, saved, strict=True):
            group["lr"] = lr
            if weight_decay is not None:
                group["weight_decay"] = weight_decay
