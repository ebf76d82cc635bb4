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
- **state of an adaptive optimiser** (AdaDelta, Adam): the first step works on a copy of it, which
  is thrown away, so that the second starts from the state before the minibatch, unless
  `freeze_state` is false;
- **an error**: where a pass or a step raises (an interrupt from the keyboard, too), all of it is
  taken back: parameters, buffers, generators, the optimiser's state, the count. For that the
  parameters are copied before (13), as a step that is added and subtracted again leaves other
  digits, and an adaptive optimiser's state before (14): their size in memory, and 0.1 % of the
  time. What stays is that natural gradient has seen the minibatch where (14) itself fails;
- **loss scaling**: both steps go through the `torch.amp.GradScaler`, which takes its scale out of
  the gradients (the natural gradient of scaled gradients is scaled as they are); an overflow in
  the first pass skips the minibatch;
- **l2 and weight decay**: left to the second step, divided by 1 + alpha, so they act once;
- **momentum**: refused (4.5). Adam's first beta is momentum, too, but allowed, with a warning: it
  takes most of the effect away. Where a small task overfitted, backstitch (0.3, 1) lowered Adam's
  test loss of 1.1 by 0.035 (sd 0.010) with beta1 = 0, by 0.005 (0.004) with 0.9; AdaDelta's of 1.8
  by 0.20 (0.07); at the rates best for the test loss, none by more than 0.006 (n = 20 seeds each;
  tests/bench/adaptive.py).

Only every `interval`-th minibatch is treated so; the others take a plain step. alpha = 1,
interval 4 costs a quarter more per pass and is what the paper mostly uses; alpha = 0.3,
interval 1 is its alternative.

Source: Kaldi nnet-chain-training.cc, TrainInternalBackstitch.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from chainstitch.nnet.optim import generators
from chainstitch.nnet.optim.kept_state import (
    put_back_values,
    scaled_groups,
    snapshot,
    state_kept,
)
from chainstitch.nnet.optim.natural_gradient import NaturalGradient
from chainstitch.nnet.optim.sgd import SGD
from chainstitch.utils.arguments import check_numbers

logger = logging.getLogger(__name__)

BOUNDS = {
    "scale": "[0, inf)", "interval": "whole [1, inf)", "phase": "whole [0, inf)",
    "count": "whole [0, inf)",
}  # fmt: skip
OWN = ("scale", "interval", "phase", "count")  # what `state_dict` has besides the wrapped one's

# their steps are not lr times something, so -alpha and 1 + alpha cannot be given to them as lr
NOT_BY_RATE = (
    torch.optim.ASGD, torch.optim.Adafactor, torch.optim.LBFGS, torch.optim.Rprop,
)  # fmt: skip


class Backstitch(torch.optim.Optimizer):
    """Wraps a torch optimiser so that `step(closure)` is a backstitch minibatch in its turn.

    It is a torch optimiser itself. `param_groups`, `state` and `defaults` are the wrapped one's,
    so learning-rate schedulers may be given either. Step hooks run once per `step`, those of the
    wrapped optimiser once per pass.

    Args:
        optimizer: our `SGD` or any torch optimiser without momentum whose step is lr times
            something (not ASGD, Adafactor, LBFGS or Rprop). What it keeps from step to step has to
            be in its `state` or its parameter groups.
        scale: alpha >= 0; 0 makes every step a plain one. May be changed between steps.
        interval: m >= 1; every m-th minibatch is backstitched.
        natural_gradient: if given, gradients are preconditioned after each closure call, with the
            Fisher estimates frozen in the first step.
        module: if given, its buffers (batch-norm statistics) are kept from counting twice.
        freeze_state: whether the first step leaves the state of an adaptive optimiser as it was.
        scaler: a `torch.amp.GradScaler`; the closure calls `scaler.scale(loss).backward()`, and
            `scaler.step` and `scaler.update` are called here.

    Attributes:
        optimizer: the wrapped one.
        count: t, the minibatches since the start or `start_iteration`.
        phase: minibatch t is backstitched when t % interval == phase % interval.
        step2_loss: the closure's value in the last second step (parameters after (13)), or None
            when the last minibatch was a plain one.

    Raises:
        TypeError: a number that is none, or something else than an optimiser.
        ValueError: scale < 0, interval < 1, one that is not finite, or an optimiser that does not
            fit.

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
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(
                f"backstitch goes over a torch.optim.Optimizer, found {type(optimizer).__name__}"
            )
        if isinstance(optimizer, Backstitch):
            raise ValueError("backstitch does not go over Backstitch; wrap the optimiser once")
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
        self.__setstate__({})  # makes the hooks; __init__ would make state and groups of its own
        self._check()
        betas = [group["betas"][0] for group in optimizer.param_groups if "betas" in group]
        if scale > 0 and any(betas):
            logger.warning(
                "backstitch over %s with beta1 = %g: momentum and backstitch were not meant for "
                "each other; betas=(0.0, ...) switches it off",
                type(optimizer).__name__,
                max(betas),
            )

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of the wrapped optimiser."""
        return self.optimizer.param_groups

    @param_groups.setter
    def param_groups(self, groups: list[dict[str, Any]]) -> None:
        self.optimizer.param_groups = groups

    @property
    def state(self) -> defaultdict[Tensor, Any]:
        """That of the wrapped optimiser."""
        return self.optimizer.state

    @state.setter
    def state(self, state: defaultdict[Tensor, Any]) -> None:
        self.optimizer.state = state

    @property
    def defaults(self) -> dict[str, Any]:
        """Those of the wrapped optimiser."""
        return self.optimizer.defaults

    @defaults.setter
    def defaults(self, defaults: dict[str, Any]) -> None:
        self.optimizer.defaults = defaults

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds it to the wrapped optimiser.

        Raises:
            ValueError: it has momentum.
        """
        self._refuse_momentum([self.defaults | dict(param_group)])
        self.optimizer.add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """That of the wrapped optimiser, and "backstitch": scale, interval, phase and count.

        Natural gradient, the scaler and the random generators are not in it.
        """
        for before in self._optimizer_state_dict_pre_hooks.values():
            before(self)
        state_dict = self.optimizer.state_dict()
        state_dict["backstitch"] = {name: getattr(self, name) for name in OWN}
        for after in self._optimizer_state_dict_post_hooks.values():
            state_dict = after(self, state_dict) or state_dict
        return state_dict

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave.

        Raises:
            TypeError, ValueError: it is that of another optimiser, or a number in it cannot be.
        """
        state_dict = state_dict.copy()
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            state_dict = before(self, state_dict) or state_dict
        if "backstitch" not in state_dict:
            raise ValueError(
                f"wanted the state_dict of a Backstitch, found one with {', '.join(state_dict)}; "
                "if it is the wrapped optimiser's, load it by .optimizer.load_state_dict(...)"
            )
        own = state_dict.pop("backstitch")
        if set(own) != set(OWN):
            raise ValueError(
                f"the state_dict of a Backstitch has {', '.join(OWN)}, found {', '.join(own)}"
            )
        check_numbers("backstitch state_dict", BOUNDS, **own)
        self.optimizer.load_state_dict(state_dict)
        for name in OWN:
            setattr(self, name, own[name])
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __getstate__(self) -> dict[str, Any]:
        """For copies: neither hooks nor a scheduler's hold on `step`, as with torch's."""
        return {
            name: value
            for name, value in vars(self).items()
            if name != "step" and not name.startswith("_optimizer_")
        }

    def start_iteration(self, phase: int) -> None:
        """Restarts the count; Kaldi draws a new phase for every iteration from its seed."""
        self.phase, self.count = phase, 0

    def step(  # type: ignore[override]
        self, closure: Callable[[], Tensor] | None = None
    ) -> Tensor:
        """One minibatch. `closure` zeroes gradients, runs forward and backward, returns the loss.

        Returns the loss at the unperturbed parameters (first step, or the only one). An error on
        the way leaves a backstitched minibatch undone, as the module's text says; a plain one as
        torch does, but that it keeps its turn.

        Raises:
            TypeError, ValueError: no closure, or what has been set since is out of bounds, or
                momentum.
        """
        if closure is None:
            raise ValueError(
                "Backstitch.step() wants a closure, as a minibatch goes through the network twice; "
                "call step(closure), where closure() zeroes the gradients, runs forward and "
                "backward and returns the loss"
            )
        self._check()
        backstitched = self.scale > 0 and self.count % self.interval == self.phase % self.interval
        self.step2_loss = None
        try:
            if backstitched:
                loss = self._two_steps(closure)
            else:
                loss = self._gradients(closure)
                self._step(1.0, 1.0)
        except BaseException:  # KeyboardInterrupt, too
            self.step2_loss = None
            if self.natural_gradient is not None:
                self.natural_gradient.drop()
            raise
        self.count += 1
        return loss

    def _two_steps(self, closure: Callable[[], Tensor]) -> Tensor:
        states, buffers = generators.states(), self._buffers()
        undo: list[Callable[[], None]] = [
            lambda: generators.rewind(states),
            lambda: put_back_values(buffers),
        ]
        try:
            with self.natural_gradient.freeze() if self.natural_gradient else nullcontext():
                loss = self._gradients(closure)
            undo += self._before()
            done = self._step(-self.scale, self.scale)  # (13)
            put_back_values(buffers)
            if not done:  # the second step is nothing without the first
                return loss
            generators.rewind(states)
            second = self._gradients(closure)
            undo.append(snapshot(self.optimizer))
            self._step(1.0 + self.scale, 1.0 + self.scale)  # (14)
        except BaseException:
            for each in reversed(undo):
                each()
            raise
        self.step2_loss = second.detach() if isinstance(second, Tensor) else second  # no graph
        return loss

    def _before(self) -> list[Callable[[], None]]:
        """What puts everything back that the steps change; called when gradients are there."""
        groups = self.param_groups
        parameters = [(p, p.detach().clone()) for group in groups for p in group["params"]]
        undo: list[Callable[[], None]] = [lambda: put_back_values(parameters)]
        if isinstance(self.optimizer, SGD):
            statistics = self.optimizer.statistics
            counted = dict(vars(statistics))
            undo.append(lambda: vars(statistics).update(counted))
        elif not self.freeze_state:  # else the first step works on a copy
            undo.append(snapshot(self.optimizer))
        if self.scaler is not None and self.scaler.is_enabled():
            scaler, scaling = self.scaler, self.scaler.state_dict()
            undo.append(lambda: scaler.load_state_dict(scaling))
        return undo

    def _gradients(self, closure: Callable[[], Tensor]) -> Tensor:
        with torch.enable_grad():
            loss = closure()
        if self.natural_gradient is not None:
            self.natural_gradient.precondition_gradients()
        return loss

    def _step(self, scale: float, max_change_scale: float) -> bool:
        """`scale` times the optimiser's step; False when the scaler found an overflow."""
        if isinstance(self.optimizer, SGD):
            return self._apply(scale, max_change_scale)
        keep = scale < 0 and self.freeze_state
        with (
            scaled_groups(self.optimizer, scale),
            state_kept(self.optimizer) if keep else nullcontext(),
        ):
            return self._apply()

    def _apply(self, *arguments: float) -> bool:
        step: Any = self.optimizer.step
        if self.scaler is None:
            step(*arguments)
            return True
        before = self.scaler.get_scale()
        self.scaler.step(self.optimizer, *arguments)
        self.scaler.update()
        return self.scaler.get_scale() >= before

    def _check(self) -> None:
        """Raises for what may have been set since the last step."""
        check_numbers("backstitch", BOUNDS, **{name: getattr(self, name) for name in OWN})
        if self.scale > 0 and isinstance(self.optimizer, NOT_BY_RATE):
            raise ValueError(
                f"backstitch does not go over {type(self.optimizer).__name__}, whose steps are not "
                "proportional to lr; take SGD, AdaDelta, Adagrad, RMSprop or Adam"
            )
        self._refuse_momentum(self.param_groups)

    def _refuse_momentum(self, groups: list[dict[str, Any]]) -> None:
        for group in groups:
            if self.scale > 0 and group.get("momentum", 0):
                raise ValueError(
                    f"backstitch does not go with momentum ({group['momentum']} found); "
                    "set momentum to 0, or the backstitch scale to 0"
                )

    def _buffers(self) -> list[tuple[Tensor, Tensor]]:
        if self.module is None:
            return []
        return [(buffer, buffer.clone()) for buffer in self.module.buffers()]
