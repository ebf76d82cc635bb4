"""What a user might pick instead of backstitch: SAM, ASAM and Lookahead, for `optim.wrapper`.

**SAM** minimises the loss at the worst place near theta, within a distance rho, to find flat minima
(Foret et al., Sharpness-aware minimization, arXiv 2010.01412, section 2, Algorithm 1):

    e       = rho g / ||g||_2            g the gradient at theta, ||.|| over all parameters    (1)
    theta  <- theta - nu g'              g' the gradient at theta + e, of the same data        (2)

It is like backstitch in that a minibatch goes through the network twice, and in that the first
step goes uphill. But the second is taken from theta, not from theta + e, and the first has a fixed
length, where that of backstitch shrinks with the learning rate.

**ASAM** measures the distance in proportion to the weights, so that it does not change where layers
are scaled up and down without effect (Kwon et al., arXiv 2102.11600, sections 3 and 4; with the T
of the authors' own program):

    e       = rho T^2 g / ||T g||_2      T = |theta| + 0.01 for weights, 1 for biases          (3)

**Lookahead** (Zhang et al., arXiv 1907.08610, Algorithm 1) goes k steps ahead and then back, part
of the way, to the slow weights phi where it was k steps ago:

    phi    <- phi + alpha (theta - phi),  theta <- phi     after every k steps                 (4)

All of them go over the package's optimiser with what it has: (2) is the step that natural gradient
and max-change make of g', a step of Lookahead what they make of its gradient. As in backstitch,
both passes of SAM draw the same random numbers, and what must not see two of them sees one: the
Fisher estimates the second, whose gradient they precondition, and batch-norm's running averages the
first, which is at theta. As with backstitch on every minibatch, SAM takes twice the time.

Rows have their numbers in their names: `sam_0.05`, `asam_0.5`, `lookahead_5_0.5` (k, alpha).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from chainstitch.nnet.optim import build, generators
from chainstitch.nnet.optim.build import StepOptions
from chainstitch.nnet.optim.kept_state import put_back_values
from chainstitch.nnet.optim.natural_gradient import NaturalGradient
from chainstitch.utils.errors import UsageError

ETA = 0.01  # added to |theta|, so that weights near zero can move: ASAM, section 4
RADII = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # rho that there are rows for
STEPS = (5, 10)  # k
SHARES = (0.5, 0.8)  # alpha


class Rival:
    """What the wrappers here have in common: nothing in them moves from iteration to iteration."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        options: StepOptions,
        natural_gradient: NaturalGradient | None,
        network: nn.Module,
    ) -> None:
        if options.backstitch.scale:
            raise UsageError(
                f"optim.backstitch.scale is not for optim.wrapper = {options.wrapper}; set it to 0"
            )
        self.optimizer, self.natural_gradient, self.network = optimizer, natural_gradient, network
        self.parameters = [p for p in network.parameters() if p.requires_grad]

    def plan(self, rates: Sequence[float]) -> None:
        """Does not depend on the learning rates."""

    def announce(self) -> None:
        """Has nothing to say before training."""

    def set_iteration(self, iteration: int) -> None:
        """Is the same in all iterations."""

    def begin_iteration(self, draw: Callable[[int], int]) -> None:
        """Draws nothing."""

    def descend(self) -> None:
        """A step by the gradients that are there."""
        if self.natural_gradient is not None:
            self.natural_gradient.precondition_gradients()
        self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Keeps nothing from minibatch to minibatch."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from `state_dict`."""


class SAM(Rival):
    """(1) and (2)."""

    def __init__(self, rho: float, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.rho = rho

    def step(self, closure: Callable[[], Tensor]) -> Any:
        """One minibatch, in two passes and one step."""
        drawn = generators.states()
        loss = closure()
        if self.natural_gradient is not None:
            self.natural_gradient.drop()
        here = [(p, p.detach().clone()) for p in self.parameters]
        averages = [(buffer, buffer.clone()) for buffer in self.network.buffers()]
        try:
            self.climb()
            generators.rewind(drawn)
            closure()
        finally:
            put_back_values(here)
            put_back_values(averages)
        self.descend()
        return loss

    @torch.no_grad()
    def climb(self) -> None:
        """theta + e; stays where it is if there is no gradient, or none that is finite."""
        moving = [p for p in self.parameters if p.grad is not None]
        sizes = [self.size(p) for p in moving]  # T
        scaled = [t * p.grad for t, p in zip(sizes, moving, strict=True)]
        norm = torch.stack([x.norm() for x in scaled]).norm() if moving else torch.zeros(())
        if norm > 0 and norm.isfinite():
            for p, t, x in zip(moving, sizes, scaled, strict=True):
                p.add_(t * x * (self.rho / norm))

    def size(self, parameter: Tensor) -> Tensor:
        """What distances are measured in."""
        return parameter.new_ones(())

    def figures(self) -> dict[str, float]:
        """For train.jsonl."""
        return {"rho": self.rho}


class ASAM(SAM):
    """(3) and (2)."""

    def size(self, parameter: Tensor) -> Tensor:
        """|theta| + 0.01 for weights, 1 for biases."""
        return parameter.abs() + ETA if parameter.dim() > 1 else super().size(parameter)


class Lookahead(Rival):
    """(4).

    An iteration begins with phi = theta, so that the model after it is a whole one, and what is
    done between iterations (shrinking, averaging of jobs) is done to phi as well. Steps at the end
    of an iteration that do not make up k stay as they are.
    """

    def __init__(self, steps: int, share: float, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.steps, self.share = steps, share
        self.slow: list[Tensor] = []
        self.count = 0

    def begin_iteration(self, draw: Callable[[int], int]) -> None:
        """phi is where the parameters are."""
        self.slow, self.count = [p.detach().clone() for p in self.parameters], 0

    def step(self, closure: Callable[[], Tensor]) -> Any:
        """One minibatch."""
        loss = closure()
        self.descend()
        self.count += 1
        if self.count % self.steps == 0:
            with torch.no_grad():
                for slow, p in zip(self.slow, self.parameters, strict=True):
                    p.copy_(slow.lerp_(p, self.share))
        return loss

    def figures(self) -> dict[str, float]:
        """For train.jsonl."""
        return {"lookahead_steps": self.steps, "lookahead_share": self.share}

    def state_dict(self) -> dict[str, Any]:
        """phi, and the steps since the iteration began."""
        return {"slow": self.slow, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from `state_dict`."""
        self.slow, self.count = list(state["slow"]), state["count"]


def add_rows() -> None:
    """Lets configs say `optim.wrapper = "sam_0.05"`, and so on."""
    build.WRAPPERS.update({f"sam_{rho:g}": partial(SAM, rho) for rho in RADII})
    build.WRAPPERS.update({f"asam_{rho:g}": partial(ASAM, rho) for rho in RADII})
    build.WRAPPERS.update(
        {
            f"lookahead_{steps}_{share:g}": partial(Lookahead, steps, share)
            for steps in STEPS
            for share in SHARES
        }
    )
