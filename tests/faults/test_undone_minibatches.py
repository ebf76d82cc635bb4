"""A backstitched minibatch in which something raises is taken back to the last bit."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from chainstitch.nnet.optim import SGD, Backstitch, NaturalGradient
from tests.faults.closures import closure_of


def normed() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


MADE = {
    "ours": lambda m: SGD(m, 0.01, max_change=0.001),
    "adam": lambda m: torch.optim.Adam(m.parameters(), 0.01, betas=(0.0, 0.9)),
    "adadelta": lambda m: torch.optim.Adadelta(m.parameters()),
    "sgd": lambda m: torch.optim.SGD(m.parameters(), 0.01, weight_decay=0.1),
}


def seen(model: nn.Module, backstitch: Backstitch, natural_gradient: NaturalGradient) -> Any:
    state = backstitch.optimizer.state_dict()
    over = backstitch.optimizer
    counted = dict(vars(over.statistics)) if isinstance(over, SGD) else {}
    values = copy.deepcopy(
        (model.state_dict(), state, counted, backstitch.count, natural_gradient.state_dict())
    )
    return (
        *values,
        torch.get_rng_state(),
        [s.rows for p in natural_gradient.sides.values() for s in p],
    )


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("fail", [ValueError("bad"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("freeze_state", [True, False])
@pytest.mark.parametrize("name", MADE)
def test_a_minibatch_whose_closure_raises_is_taken_back_to_the_last_bit(
    name, freeze_state, at, fail
):
    model = normed()
    natural_gradient = NaturalGradient(model)
    backstitch = Backstitch(
        MADE[name](model), 0.5, 2, natural_gradient, model, freeze_state=freeze_state
    )
    for _ in range(4):
        backstitch.step(closure_of(model))
    before = seen(model, backstitch, natural_gradient)
    with pytest.raises(type(fail)):
        backstitch.step(closure_of(model, fail, at))
    assert same(before, seen(model, backstitch, natural_gradient))
    assert backstitch.step2_loss is None
    # the same minibatch again, and the next ones, are those of a training without the error
    torch.set_rng_state(before[-2])
    for _ in range(3):
        backstitch.step(closure_of(model))
    random = torch.get_rng_state()
    other = normed()
    other_natural = NaturalGradient(other)
    other_backstitch = Backstitch(
        MADE[name](other), 0.5, 2, other_natural, other, freeze_state=freeze_state
    )
    for _ in range(7):
        other_backstitch.step(closure_of(other))
    assert torch.equal(random, torch.get_rng_state())
    assert same(model.state_dict(), other.state_dict())


@pytest.mark.parametrize("name", MADE)
def test_a_step_hook_that_raises_is_taken_back_too(name):
    model = normed()
    backstitch = Backstitch(MADE[name](model), 0.5, module=model)
    calls = [0]

    def fail(*_: Any) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise RuntimeError("second step")

    for _ in range(2):
        backstitch.step(closure_of(model))
    natural_gradient = NaturalGradient(normed())  # of another one
    before = seen(model, backstitch, natural_gradient)
    handle = backstitch.optimizer.register_step_post_hook(fail)
    with pytest.raises(RuntimeError, match="second step"):
        backstitch.step(closure_of(model))
    assert same(before, seen(model, backstitch, natural_gradient))
    handle.remove()
    backstitch.step(closure_of(model))
    assert backstitch.count == 3


def test_a_plain_minibatch_that_raises_keeps_its_turn():
    model = normed()
    natural_gradient = NaturalGradient(model)
    backstitch = Backstitch(SGD(model, 0.1), 0.5, 2, natural_gradient)
    backstitch.start_iteration(1)
    with pytest.raises(ValueError, match="bad"):
        backstitch.step(closure_of(model, ValueError("bad"), 1))
    assert backstitch.count == 0
    assert [side.rows for pair in natural_gradient.sides.values() for side in pair] == [0] * 4
