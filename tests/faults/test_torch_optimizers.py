"""Backstitch over every optimiser of torch equals the two steps taken by hand."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import nn

from chainstitch.nnet.optim import Backstitch
from tests.faults.closures import closure_of


def linear() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(3, 2)


REFUSED = {"ASGD", "Adafactor", "LBFGS", "Rprop"}
NO_MOMENTUM = {"Muon": {"momentum": 0.0, "nesterov": False}}
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "Adam": [{"betas": (0.0, 0.9)}, {"amsgrad": True}, {"weight_decay": 0.1}, {"maximize": True},
             {"fused": True}, {"lr": torch.tensor(0.05)}],
    "AdamW": [{"betas": (0.0, 0.9)}, {"amsgrad": True}, {"fused": True}],
    "NAdam": [{"decoupled_weight_decay": True, "weight_decay": 0.1}],
    "RAdam": [{"betas": (0.9, 0.9)}],
    "RMSprop": [{"centered": True}],
    "Adagrad": [{"lr_decay": 0.1}, {"fused": True}, {"initial_accumulator_value": 0.1}],
    "SGD": [{"fused": True}, {"weight_decay": 0.1}],
}  # fmt: skip
OVER = [
    pytest.param(cls, arguments, id="-".join([name, *map(str, arguments.items())]))
    for name, cls in sorted(vars(torch.optim).items())
    if isinstance(cls, type) and cls is not torch.optim.Optimizer and name not in REFUSED
    for arguments in (
        [{}] if name in ("Muon", "SparseAdam") else [{"foreach": True}, {"foreach": False}]
    )
    + VARIANTS.get(name, [])
]
ALPHA = 0.3


class Net(nn.Module):
    """Matrices only, as Muon wants them; one gets no gradient in every other minibatch."""

    def __init__(self, sparse: bool = False) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.words = nn.Embedding(7, 4, sparse=sparse)
        self.sometimes = nn.Embedding(7, 4, sparse=sparse)

    def loss(self, t: int) -> torch.Tensor:
        x = self.words(torch.tensor([1, 2, 2, 5]))
        if t % 2:
            x = x + self.sometimes(torch.tensor([0, 1, 1, 6]))
        return ((x - t) ** 2).sum()


def gradients(net: Net, t: int) -> torch.Tensor:
    net.zero_grad()
    loss = net.loss(t)
    loss.backward()
    return loss


def made(cls: Any, arguments: dict[str, Any]) -> tuple[Net, torch.optim.Optimizer]:
    net = Net(sparse=cls is torch.optim.SparseAdam)
    more = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in arguments.items()}
    options = {"lr": 0.05} | NO_MOMENTUM.get(cls.__name__, {}) | more
    return net, cls(net.parameters(), **options)


def by_hand(net: Net, optimizer: torch.optim.Optimizer, t: int) -> None:
    """(13) by a copy of everything, (14) by the optimiser itself from there."""
    gradients(net, t)
    half, half_optimizer = copy.deepcopy((net, optimizer))
    for p, q in zip(net.parameters(), half.parameters(), strict=True):
        q.grad = None if p.grad is None else p.grad.clone()
    for group in half_optimizer.param_groups:
        group["lr"] = -ALPHA * group["lr"]
        group["weight_decay"] = 0.0
    half_optimizer.step()
    with torch.no_grad():
        for p, q in zip(net.parameters(), half.parameters(), strict=True):
            p.copy_(q)
    gradients(net, t)
    (group,) = optimizer.param_groups
    lr, decay = group["lr"], group.get("weight_decay", 0.0)
    group["lr"], group["weight_decay"] = lr * (1 + ALPHA), decay / (1 + ALPHA)
    optimizer.step()
    group["lr"], group["weight_decay"] = lr, decay


@pytest.mark.parametrize(("cls", "arguments"), OVER)
def test_five_minibatches_over_any_of_torchs_optimisers_equal_those_by_hand(cls, arguments):
    net, optimizer = made(cls, arguments)
    twin, twin_optimizer = made(cls, arguments)
    backstitch = Backstitch(optimizer, ALPHA)
    for t in range(5):
        if t == 3:  # and through a file
            file = io.BytesIO()
            torch.save([net.state_dict(), backstitch.state_dict()], file)
            file.seek(0)
            model_state, state = torch.load(file, weights_only=True)
            net, optimizer = made(cls, arguments)
            net.load_state_dict(model_state)
            backstitch = Backstitch(optimizer, 1.0, 9)
            backstitch.load_state_dict(state)
        backstitch.step(lambda: gradients(net, t))  # noqa: B023
        by_hand(twin, twin_optimizer, t)
        assert all(map(torch.equal, net.parameters(), twin.parameters())), t
        own = {id(p) for p in net.parameters()}
        assert {id(p) for p in optimizer.state} <= own
        assert len(optimizer.state) == len(twin_optimizer.state) <= len(own)
        assert optimizer.param_groups[0].keys() >= {"lr", "params"}
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        for name, value in twin_optimizer.state[q].items():
            assert torch.equal(torch.as_tensor(optimizer.state[p][name]), torch.as_tensor(value))


def test_all_of_torchs_optimisers_are_in_one_table_or_the_other():
    known = {each.values[0].__name__ for each in OVER} | REFUSED | {"Optimizer"}
    assert known == {name for name, c in vars(torch.optim).items() if isinstance(c, type)}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_those_that_are_refused_are_so_when_alpha_comes_later_too(name):
    optimizer = getattr(torch.optim, name)(linear().parameters())
    with pytest.raises(ValueError, match=name):
        Backstitch(optimizer, 0.3)
    later = Backstitch(optimizer, 0.0)
    later.scale = 0.3
    with pytest.raises(ValueError, match=name):
        later.step(lambda: torch.zeros(()))


class Counting(torch.optim.Optimizer):
    """Keeps its count of steps, and its mean, in the parameter group, as some optimisers do."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            group["k"] = group.get("k", 0) + 1
            group.setdefault("seen", torch.zeros(())).add_(1.0)
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(group["lr"] / group["k"] * p.grad)


def test_what_is_kept_in_the_groups_counts_once_too():
    model = linear()
    backstitch = Backstitch(Counting(model.parameters(), 0.1), 0.3)
    for t in range(1, 4):
        backstitch.step(lambda: closure_of(model)())
        (group,) = backstitch.param_groups
        assert (group["k"], float(group["seen"]), group["lr"]) == (t, t, 0.1)
