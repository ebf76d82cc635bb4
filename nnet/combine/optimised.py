"""Combining the last models of a run: weights optimised by BFGS, as in the paper.

The parameters of component c (a layer with a weight and a bias) are mixed from models m = 1..M,
newest first, with weights that are positive and sum to one:

    theta_c = sum_m w_cm theta_cm,    w_cm = exp(p_cm) / sum_k exp(p_ck)                     (1)

Chain models have one set of weights for all components and 20 iterations; with a set for each
component (Kaldi's choice for cross-entropy and images) there are 80. The objective F and its
gradient by theta come from one pass forward and back over fixed examples, however many models
there are; what p needs of it is M inner products a component:

    dF/dw_cm = < dF/dtheta_c, theta_cm >                                                     (2)
    dF/dp_cm = w_cm (dF/dw_cm - sum_k w_ck dF/dw_ck)                                         (3)

p starts where the mixture is the plain average. L-BFGS remembers as many steps as p has numbers,
which makes it BFGS, and searches along each direction for the strong Wolfe conditions. The first
direction is the gradient, of which nothing says how far to go: far enough to gain 0.01 were F
linear, but no p by more than 1 (a gradient of 1e-3 would ask for 10, where one model has all).

More than 15 models are grouped: input e = 1..15 is a mean of neighbours whose weights make a
triangle that reaches to the centres of e - 1 and e + 1. So w becomes smooth over m, and p small.

Batch-norm runs on the statistics of the minibatch meanwhile, as there is no sensible mean of the
models' own. In the end the optimised mixture, the last model and the plain average each get
statistics computed afresh and are measured in the form they would be used in; the best is kept.

What F is measured on is the caller's. The paper says a subset of the training data; in the three
runs tried the newest model alone came out of that (0.001 of weight or less to others, or better
than the mixture), so `chainstitch combine` takes held-out examples unless told `--on train`.

Departures: Kaldi has its own L-BFGS, limits the first step by its gain alone, and spreads the
models over the last half epoch where that has more than `max_models` iterations; here they are the
last ones, as `train` keeps no others.

Source: Kaldi of 2017, nnet-combine.cc and nnet-chain-combine.cc.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chainstitch.nnet.combine.average import State

logger = logging.getLogger(__name__)

ITERATIONS, ITERATIONS_PER_COMPONENT = 20, 80
MAX_INPUTS = 15  # that models are grouped into
FIRST_GAIN, FIRST_STEP = 0.01, 1.0  # limits of the first step
MAX_SEARCH = 25  # evaluations along one direction

# of the parameters: F to be maximised, and its gradient by each
Objective = Callable[[State], tuple[float, State]]


class Mixture:
    """The models in memory, and (1) and (2) over them.

    Args:
        names: the models, newest first.
        load: gives a model's parameters; called once for each, so only the inputs stay in memory.
        per_component: a set of weights for each component, that is, for each module.
        max_inputs: more models than this are grouped.

    Attributes:
        components: what each row of weights is for; one, "all", unless per_component.
        groups: (inputs, models) share of each model in each input, rows sum to 1.
        start: (inputs,) weights that make the plain average of the models.

    Raises:
        ValueError: no model, or one of other shapes.
        FloatingPointError: one that is not finite; it is named.
    """

    def __init__(
        self,
        names: Sequence[str],
        load: Callable[[str], State],
        per_component: bool = False,
        max_inputs: int = MAX_INPUTS,
    ) -> None:
        if not names:
            raise ValueError("combine: no model to combine")
        self.names = list(names)
        hats = _hats(len(names), max_inputs)
        self.start = hats.sum(1) / len(names)
        self.groups = hats / hats.sum(1, keepdim=True)
        self._inputs: State = {}  # (inputs, ...)
        for name, shares in zip(names, self.groups.T, strict=True):
            state = load(name)
            _check(name, state, self._inputs)
            for key, value in state.items():
                if key not in self._inputs:
                    self._inputs[key] = value.new_zeros(len(hats), *value.shape)
                for e in shares.nonzero().flatten().tolist():
                    self._inputs[key][e].add_(value, alpha=float(shares[e]))
        owners = [key.rpartition(".")[0] for key in self._inputs]
        self.components = list(dict.fromkeys(owners)) if per_component else ["all"]
        rows = [self.components.index(owner) if per_component else 0 for owner in owners]
        self._row = dict(zip(self._inputs, rows, strict=True))

    def parameters(self, weights: Tensor) -> State:
        """(components, inputs) -> theta, (1)."""
        return {
            key: torch.tensordot(weights[self._row[key]].to(value.dtype), value, 1)
            for key, value in self._inputs.items()
        }

    def gradient(self, by_parameters: State) -> Tensor:
        """dF/dtheta -> (components, inputs) dF/dw, (2)."""
        total = torch.zeros(len(self.components), len(self.start), dtype=torch.float64)
        for key, value in self._inputs.items():
            total[self._row[key]] += value.flatten(1).mv(by_parameters[key].flatten())
        return total

    def size(self) -> int:
        """Bytes."""
        return sum(value.nbytes for value in self._inputs.values())


def value_and_gradient(mixture: Mixture, objective: Objective, p: Tensor) -> tuple[float, Tensor]:
    """F and dF/dp at p (components, inputs).

    Raises:
        FloatingPointError: either is not finite.
    """
    w = p.softmax(1)
    value, by_parameters = objective(mixture.parameters(w))
    by_w = mixture.gradient(by_parameters)
    if not (math.isfinite(value) and by_w.isfinite().all()):
        weights = [[round(x, 3) for x in row] for row in w.tolist()]
        raise FloatingPointError(
            f"combine: the objective ({value}) or its gradient is not finite at weights {weights}"
        )
    return value, w * (by_w - (w * by_w).sum(1, keepdim=True))  # (3)


def optimise_weights(
    mixture: Mixture, objective: Objective, iterations: int = ITERATIONS
) -> tuple[Tensor, list[float], int]:
    """Weights (components, inputs) of the best mixture seen, no worse than the plain average.

    Returns:
        The weights; the objective at the start and after each iteration; how often it was
        evaluated.

    Raises:
        FloatingPointError: the objective or its gradient is not finite.
    """
    p = mixture.start.log().repeat(len(mixture.components), 1).requires_grad_()
    seen: dict[bytes, tuple[float, Tensor]] = {}  # each `step` begins where the last one ended
    best, best_p = -math.inf, p.detach()

    def closure() -> float:
        nonlocal best, best_p
        here = p.detach().clone()
        key = here.numpy().tobytes()
        if key not in seen:
            seen[key] = value_and_gradient(mixture, objective, here)
        value, gradient = seen[key]
        if value > best:
            best, best_p = value, here
        p.grad = -gradient
        return -value

    optimizer = torch.optim.LBFGS(
        [p], max_iter=1, max_eval=MAX_SEARCH, tolerance_grad=0, history_size=p.numel(),
        line_search_fn="strong_wolfe",
    )  # fmt: skip
    history = [-closure()]
    for iteration in range(iterations):
        before = p.detach().clone()
        for group in optimizer.param_groups:
            group["lr"] = 1.0 if iteration else _first_step(p.grad)
        optimizer.step(closure)
        if torch.equal(p, before):
            break  # nothing left to gain
        history.append(-closure())
        logger.info(
            "iteration %d: objective %.6f, %d evaluations", iteration + 1, history[-1], len(seen)
        )
    return best_p.softmax(1), history, len(seen)


@dataclass
class Combined:
    """What came out.

    Attributes:
        state: the parameters.
        winner: "optimised", "last" (model alone) or "average" (plain, of all).
        scores: objective of each of the three, batch-norm statistics computed afresh.
        weights: component ("all", or its name) -> weight of each model, newest first.
        evaluations: of the objective, while optimising.
    """

    state: State
    winner: str
    scores: dict[str, float]
    weights: dict[str, list[float]]
    evaluations: int


def combine(
    names: Sequence[str],
    load: Callable[[str], State],
    objective: Objective,
    evaluate: Callable[[State], float],
    per_component: bool = False,
    iterations: int | None = None,
    max_inputs: int = MAX_INPUTS,
) -> Combined:
    """The best of the optimised mixture, the last model alone and the plain average of all.

    Args:
        names, load, per_component, max_inputs: see `Mixture`.
        objective: of parameters: what is optimised, and its gradient.
        evaluate: of parameters: what decides between the three (higher is better).
        iterations: default 20, with per_component 80.
    """
    if iterations is None:
        iterations = ITERATIONS_PER_COMPONENT if per_component else ITERATIONS
    mixture = Mixture(names, load, per_component, max_inputs)
    logger.info(
        "%d models as %d inputs, %.1f MB in memory", len(names), len(mixture.start),
        mixture.size() / 1e6,
    )  # fmt: skip
    weights, _, evaluations = optimise_weights(mixture, objective, iterations)
    rows = len(mixture.components)
    newest = torch.eye(len(names), dtype=torch.float64)[:1].repeat(rows, 1)
    # in the order that a tie is decided in
    candidates: dict[str, tuple[Callable[[], State], Tensor]] = {
        "last": (lambda: load(names[0]), newest),
        "average": (
            lambda: mixture.parameters(mixture.start.repeat(rows, 1)),
            torch.full((rows, len(names)), 1 / len(names), dtype=torch.float64),
        ),
        "optimised": (lambda: mixture.parameters(weights), weights @ mixture.groups),
    }
    scores = {}
    for name, (make, _) in candidates.items():
        scores[name] = evaluate(make())
        logger.info("%s: objective %.6f", name, scores[name])
    winner = max(scores, key=lambda name: scores[name])
    make, shares = candidates[winner]
    chosen = dict(zip(mixture.components, shares.tolist(), strict=True))
    return Combined(make(), winner, scores, chosen, evaluations)


def _hats(models: int, inputs: int) -> Tensor:
    """(inputs, models) triangles, columns sum to 1; the identity if inputs suffice."""
    if models <= inputs:
        return torch.eye(models, dtype=torch.float64)
    if inputs < 2:
        raise ValueError(f"combine: {models} models want at least 2 inputs, got {inputs}")
    centres = torch.linspace(0, models - 1, inputs, dtype=torch.float64)
    distance = (torch.arange(models) - centres[:, None]).abs() / (centres[1] - centres[0])
    return (1 - distance).clamp(min=0)


def _check(name: str, state: State, first: State) -> None:
    for key, value in state.items():
        if not value.isfinite().all():
            raise FloatingPointError(f"combine: model {name} is not finite in {key}")
    if first and {k: v.shape for k, v in state.items()} != {
        k: v[0].shape for k, v in first.items()
    }:
        raise ValueError(f"combine: model {name} has other parameters than the newest")


def _first_step(gradient: Tensor | None) -> float:
    """The lr that makes torch's first trial step, lr min(1, 1 / |g|_1) g, the one wanted."""
    assert gradient is not None
    largest = float(gradient.abs().max())
    if largest == 0:
        return 1.0
    step = min(FIRST_GAIN / float(gradient.square().sum()), FIRST_STEP / largest)
    return step / min(1.0, 1.0 / float(gradient.abs().sum()))
