"""Backstitch with one of its precautions left out, to see what the precaution is worth.

Sections 4.3 to 4.6 of the paper say what else has to be looked after where a minibatch goes through
the network twice. Each class here does not look after one thing, and is otherwise the package's
backstitch, slow start and phase included; `add_rows` gives it a name for `optim.wrapper`:

    fisher_not_frozen       4.3: "this degraded the results"
    max_change_not_scaled   4.4: done so that both steps have the same effective learning rate
    with_momentum           4.5: "non-trivial", "not implemented"; momentum hurts the paper's setups
    masks_not_shared        4.6: "backstitch does not improve performance"

With alpha = 0, so also in the first iteration of a slow start, all but `with_momentum` are plain
training, which then is training with momentum.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from typing import Any

from torch import Tensor

from chainstitch.nnet.optim import build, generators
from chainstitch.nnet.optim.backstitch import Backstitch
from chainstitch.nnet.optim.build import ScheduledBackstitch
from chainstitch.utils.errors import UsageError

MOMENTUM = 0.5  # of the paper's baselines with cross-entropy, section 4.5


class MasksNotShared(ScheduledBackstitch):
    """The second pass draws other random numbers than the first (4.6).

    All of them, that is: dropout masks, but also whatever else is drawn for a minibatch, as the
    shifts of images or the masks of spectra. Where dropout alone is meant, leave those out.
    """

    def step(self, closure: Callable[[], Tensor]) -> Any:
        """One minibatch; a second call of the closure goes on from where the first has drawn to."""
        reached: list[generators.States] = []

        def drawing_on() -> Tensor:
            if reached:
                generators.rewind(reached[-1])
            loss = closure()
            reached.append(generators.states())
            return loss

        return super().step(drawing_on)


class FisherNotFrozen(ScheduledBackstitch):
    """The Fisher estimates are updated in the first step, and frozen in the second (4.3).

    So they see every minibatch once, as they should, but the second step uses what has seen its own
    minibatch. (Updating them in both steps would be no test: estimates of affine layers are updated
    at every fourth call, which is then always at the end of a second step, when it does no harm.)
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        fisher = self.backstitch.natural_gradient
        if fisher is None:
            raise UsageError(
                "optim.wrapper = fisher_not_frozen wants optim.natural_gradient = true"
            )
        self.freeze = fisher.freeze
        fisher.freeze = nullcontext  # which is called for the first pass

    def step(self, closure: Callable[[], Tensor]) -> Any:
        """One minibatch; from a second call of the closure on, the estimates are frozen."""
        calls = 0

        def counted() -> Tensor:
            nonlocal calls
            calls += 1
            if calls == 2:
                second.enter_context(self.freeze())
            return closure()

        with ExitStack() as second:
            return super().step(counted)


class SameLimits(Backstitch):
    """Max-change as of a plain step, in both steps."""

    def _step(self, scale: float, max_change_scale: float) -> bool:
        return super()._step(scale, 1.0)


class MaxChangeNotScaled(ScheduledBackstitch):
    """The steps of -alpha and 1 + alpha have the same limits (4.4).

    A limit that acts then shortens the second step more than the first: with alpha = 1 both may
    have the full length, and then the minibatch leaves the model where it was, but for the change
    of the gradient in between.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.backstitch = of_class(SameLimits, self.backstitch)


class MomentumAllowed(Backstitch):
    """Over an optimiser that may have momentum."""

    def _refuse_momentum(self, groups: list[dict[str, Any]]) -> None:
        """Does not."""


class WithMomentum(ScheduledBackstitch):
    """Backstitch over SGD with momentum 0.5, which the package refuses (4.5).

    Without further thought, that is: one running sum of gradients takes in those of both passes,

        delta_t+1/2 = m delta_t - nu g_t
        theta_t+1/2 = theta_t - alpha (1 - m) delta_t+1/2
        delta_t+1   = m delta_t+1/2 - nu g_t+1/2
        theta_t+1   = theta_t+1/2 + (1 + alpha) (1 - m) delta_t+1

    so the step backwards takes out of the model mostly what minibatches before have put in.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.backstitch = of_class(MomentumAllowed, self.backstitch)
        if "momentum" not in self.backstitch.defaults:
            raise UsageError("optim.wrapper = with_momentum wants optim.optimizer = sgd")
        for group in self.backstitch.param_groups:
            group["momentum"] = MOMENTUM


def of_class(cls: type[Backstitch], made: Backstitch) -> Backstitch:
    """One of `cls` over the same optimiser."""
    return cls(made.optimizer, made.scale, made.interval, made.natural_gradient, made.module)


def add_rows() -> None:
    """Lets configs say `optim.wrapper = "masks_not_shared"`, and so on."""
    build.WRAPPERS.update(
        masks_not_shared=MasksNotShared,
        fisher_not_frozen=FisherNotFrozen,
        max_change_not_scaled=MaxChangeNotScaled,
        with_momentum=WithMomentum,
    )
