"""What the Python API is given: numbers that cannot be, what does not fit, sparse gradients.

Tables, and a dull test for each.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

from chainstitch.nnet.chain import ChainLoss, DenominatorGraph
from chainstitch.nnet.optim import (
    SGD,
    Backstitch,
    NaturalGradient,
    OnlineNaturalGradient,
    limit_change,
)

NAN, INF = math.nan, math.inf
DEN = DenominatorGraph.from_arcs([0], [0], [0], [1.0])


def linear() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(3, 2)


# -- numbers ---------------------------------------------------------------------------------------

NONE_OF_THEM = (NAN, INF, -INF, "1", True, None, torch.ones(2))  # no number wants these
BELOW_0 = (-1, -1e-9)
NO_COUNT = (0, -1, 1.0, 2.5)
CALLS: dict[str, tuple[Any, dict[str, tuple[Any, ...]]]] = {
    "SGD": (
        lambda **k: SGD(linear(), **({"lr": 0.1} | k)),
        {
            "lr": BELOW_0, "momentum": (*BELOW_0, 1, 1.5), "max_change_per_layer": BELOW_0,
            "max_change": BELOW_0, "l2_regularize": BELOW_0,
        },
    ),
    "SGD.step": (
        lambda **k: SGD(linear(), 0.1).step(**k), {"scale": (), "max_change_scale": BELOW_0},
    ),
    "SGD.set_lr": (lambda **k: SGD(linear(), 0.1).set_lr(**k), {"lr": BELOW_0}),
    "Backstitch": (
        lambda **k: Backstitch(SGD(linear(), 0.1), **({"scale": 0.3} | k)),
        {"scale": BELOW_0, "interval": NO_COUNT},
    ),
    "NaturalGradient": (
        lambda **k: NaturalGradient(linear(), **k),
        {"update_period": NO_COUNT, "num_samples_history": (0, *BELOW_0), "alpha": BELOW_0},
    ),
    "OnlineNaturalGradient": (
        lambda **k: OnlineNaturalGradient(**({"rank": 2} | k)),
        {
            "rank": NO_COUNT, "update_period": NO_COUNT, "num_samples_history": (0, *BELOW_0),
            "num_minibatches_history": (0, 1), "alpha": BELOW_0,
        },
    ),
    "limit_change": (
        lambda **k: limit_change([[torch.ones(2)]], **({"limits": [1.0], "global_limit": 1.0} | k)),
        {"global_limit": BELOW_0, "limit_scale": BELOW_0},
    ),
    "ChainLoss": (
        lambda **k: ChainLoss(DEN, **k),
        dict.fromkeys(("leaky", "output_l2", "xent_regularize", "out_of_range"), BELOW_0),
    ),
}  # fmt: skip
NUMBERS = [
    pytest.param(call, name, value, id=f"{owner}-{name}-{value}")
    for owner, (call, names) in CALLS.items()
    for name, more in names.items()
    for value in (*NONE_OF_THEM, *more)
    if not (value is None and name == "num_minibatches_history")  # its default
]


@pytest.mark.parametrize(("call", "name", "value"), NUMBERS)
def test_a_number_that_cannot_be_is_refused_by_name(call, name, value):
    with pytest.raises((TypeError, ValueError), match=f": {name} wants "):
        call(**{name: value})


@pytest.mark.parametrize("owner", CALLS)
def test_numbers_of_numpy_are_numbers_too(owner):
    import numpy as np

    call, names = CALLS[owner]
    for name, wrong in names.items():
        whole = wrong is NO_COUNT
        fraction = np.float32(4.5 if name == "num_minibatches_history" else 0.5)
        call(**{name: np.int64(2) if whole else fraction})


LAYERS = {
    "max_change": (NAN, -1.0, "1"),
    "learning_rate_factor": (NAN, INF, -1.0),
    "l2_regularize": (NAN, -1.0, True),
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in LAYERS.items() for v in vs])
def test_a_number_of_a_layer_of_its_own_is_refused_with_the_layer(name, value):
    model = nn.ModuleDict({"hidden": linear()})
    setattr(model["hidden"], name, value)
    with pytest.raises((TypeError, ValueError), match=f"layer 'hidden': {name} wants"):
        SGD(model, lr=0.1)


@pytest.mark.parametrize(("name", "value"), [("scale", NAN), ("scale", -1.0), ("interval", 0)])
def test_what_is_set_between_steps_is_looked_at(name, value):
    backstitch = Backstitch(SGD(linear(), 0.1), 0.3)
    setattr(backstitch, name, value)
    with pytest.raises(ValueError, match=f"{name} wants"):
        backstitch.step(lambda: torch.zeros(()))
    state = Backstitch(SGD(linear(), 0.1), 0.3).state_dict()
    state["backstitch"][name] = value
    with pytest.raises(ValueError, match=f"{name} wants"):
        backstitch.load_state_dict(state)


KINDS = {
    "a module for an optimiser": (lambda: Backstitch(linear(), 0.3), "goes over a torch.optim"),
    "backstitch over backstitch": (
        lambda: Backstitch(Backstitch(SGD(linear(), 0.1), 0.3), 0.3), "wrap the optimiser once",
    ),
    "parameters for a module": (
        lambda: NaturalGradient(list(linear().parameters())), "wants an nn.Module, found list",
    ),
    "a lazy layer": (
        lambda: NaturalGradient(nn.Sequential(nn.LazyLinear(3))), "layer '0' is lazy",
    ),
    "a loss of no graph": (lambda: ChainLoss("den.npz"), "wants a DenominatorGraph, found str"),
    "a loss of no back end": (lambda: ChainLoss(DEN, backend="tpu"), "backend 'tpu' is not one of"),
    "limits of other layers": (
        lambda: limit_change([[torch.ones(2)]], [1.0, 2.0], 1.0), "2 limits and 1 scales for 1",
    ),
    "rows of other dimensions": (
        lambda: [OnlineNaturalGradient(2)] and _rows(5, 4), r"wants \(rows, 5\), as before",
    ),
    "rows of whole numbers": (
        lambda: OnlineNaturalGradient(2).precondition(torch.ones(5, 4).long()), "of floats",
    ),
    "the state of something else": (
        lambda: OnlineNaturalGradient(2).load_state_dict({"frozen": True, "observe": 1}),
        "no state of it",
    ),
}  # fmt: skip


def _rows(*dims: int) -> None:
    side = OnlineNaturalGradient(2)
    for dim in dims:
        side.precondition(torch.randn(9, dim))


@pytest.mark.parametrize("row", KINDS)
def test_what_does_not_fit_is_refused(row):
    call, message = KINDS[row]
    with pytest.raises((TypeError, ValueError), match=message):
        call()


# -- sparse gradients ------------------------------------------------------------------------------


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(9, 4, sparse=True)
        self.out = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.words(x))


def backward_of(model: Words) -> torch.Tensor:
    model.zero_grad()
    loss = model(torch.tensor([1, 2, 2])).square().sum()
    loss.backward()
    return loss


def test_a_sparse_gradient_is_refused_with_the_layer_and_nothing_moves():
    model = Words()
    optimizer, before = SGD(model, 0.1), copy.deepcopy(model.state_dict())
    backward_of(model)
    with pytest.raises(TypeError, match="layer 'words': a gradient is sparse.*sparse=False"):
        optimizer.step()
    with pytest.raises(TypeError, match="layer 'words': a gradient is sparse"):
        Backstitch(optimizer, 0.3).step(lambda: backward_of(model))
    assert all(map(torch.equal, before.values(), model.state_dict().values()))
    with pytest.raises(TypeError, match="limit_change: a gradient is sparse"):
        limit_change([[model.words.weight.grad]], [1.0], 1.0)


def test_backstitch_and_natural_gradient_pass_sparse_gradients_on():
    model = Words()
    natural_gradient = NaturalGradient(model)
    optimizer = Backstitch(
        torch.optim.SGD(model.parameters(), 0.05), 0.3, natural_gradient=natural_gradient
    )
    losses = [float(optimizer.step(lambda: backward_of(model))) for _ in range(20)]
    assert losses[-1] < 0.1 * losses[0] and natural_gradient.left_out == ["words"]
