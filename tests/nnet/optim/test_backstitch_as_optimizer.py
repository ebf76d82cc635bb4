"""Backstitch as a torch optimiser: state against the twin, checkpoints, schedulers, hooks."""

from __future__ import annotations

import copy
import functools
import io
import logging
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from chainstitch.nnet.optim import SGD, Backstitch
from tests.reference import backstitch as twin

LR = 0.05
# name -> torch's class, its arguments, the twin's rule, decoupled weight decay
OVER = {
    "adadelta": (torch.optim.Adadelta, {}, twin.adadelta, 0.0),
    "adam": (torch.optim.Adam, {}, twin.adam, 0.0),
    "adam beta1=0": (
        torch.optim.Adam,
        {"betas": (0.0, 0.9)},
        functools.partial(twin.adam, beta1=0, beta2=0.9),
        0.0,
    ),
    "adamw": (torch.optim.AdamW, {}, twin.adam, 0.01),
    "amsgrad": (torch.optim.Adam, {"amsgrad": True}, twin.amsgrad, 0.0),
    "nadam": (torch.optim.NAdam, {}, twin.nadam, 0.0),
    "radam": (
        torch.optim.RAdam,
        {"betas": (0.9, 0.9)},  # so that the second of its formulas has its turn
        functools.partial(twin.radam, beta2=0.9),
        0.0,
    ),
    "adamax": (torch.optim.Adamax, {}, twin.adamax, 0.0),
    "rmsprop": (torch.optim.RMSprop, {}, twin.rmsprop, 0.0),
    "rmsprop centered": (
        torch.optim.RMSprop,
        {"centered": True},
        functools.partial(twin.rmsprop, centered=True),
        0.0,
    ),
    "adagrad": (torch.optim.Adagrad, {}, twin.adagrad, 0.0),
    "sgd": (torch.optim.SGD, {}, twin.sgd, 0.0),
}


def make(name, foreach=None):
    torch.manual_seed(1)
    model = nn.Linear(3, 2).double()
    cls, arguments, _, _ = OVER[name]
    return model, cls(model.parameters(), lr=LR, foreach=foreach, **arguments)


def data(t):
    rng = np.random.default_rng(t)
    return rng.normal(size=(5, 3)), rng.normal(size=(5, 2))


def closure_of(model, t):
    x, y = (torch.from_numpy(each) for each in data(t))

    def closure():
        model.zero_grad()
        loss = (model(x) - y).square().sum()
        loss.backward()
        return loss

    return closure


def gradients_of(t):
    x, y = data(t)

    def gradients(theta):
        error = 2 * (x @ theta[0].T + theta[1] - y)
        return [error.T @ x, error.sum(axis=0)]

    return gradients


@pytest.mark.parametrize("freeze_state", [True, False])
@pytest.mark.parametrize("foreach", [True, False])
@pytest.mark.parametrize("interval", [1, 2])
@pytest.mark.parametrize("name", OVER)
def test_five_minibatches_agree_with_the_twin(name, interval, foreach, freeze_state):
    model, optimizer = make(name, foreach)
    _, _, rule, decay = OVER[name]
    theta, states = [p.detach().numpy().copy() for p in model.parameters()], [{}, {}]
    backstitch = Backstitch(optimizer, scale=0.3, interval=interval, freeze_state=freeze_state)
    held = optimizer.state
    for t in range(5):
        backstitch.step(closure_of(model, t))
        theta, states = twin.simple_backstitch(
            rule, gradients_of(t), theta, states, LR, 0.3 * (t % interval == 0), decay, freeze_state
        )
        for p, wanted in zip(model.parameters(), theta, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), wanted, rtol=1e-10, atol=1e-12)
        assert held is optimizer.state is backstitch.state
        assert len(held) == (0 if name == "sgd" else 2)
        assert set(map(id, held)) <= set(map(id, model.parameters()))


@pytest.mark.parametrize("foreach", [True, False])
@pytest.mark.parametrize("interval", [1, 2, 3])
# torch loads a float32 of NAdam's state as a float64, where parameters are
@pytest.mark.parametrize("name", [name for name in OVER if name != "nadam"])
def test_a_state_dict_in_mid_training_goes_on_bit_for_bit(name, interval, foreach):
    model, optimizer = make(name, foreach)
    backstitch = Backstitch(optimizer, 0.3, interval)
    backstitch.start_iteration(phase=2)
    for t in range(3):
        backstitch.step(closure_of(model, t))
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": backstitch.state_dict()}, file)
    again, other = make(name, foreach)
    resumed = Backstitch(other, 1.0, 7)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    again.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["optimizer"])
    assert (resumed.scale, resumed.interval, resumed.phase, resumed.count) == (0.3, interval, 2, 3)
    for t in range(3, 8):
        assert backstitch.step(closure_of(model, t)) == resumed.step(closure_of(again, t))
        assert (backstitch.step2_loss is None) == (resumed.step2_loss is None)
    assert all(map(torch.equal, model.parameters(), again.parameters()))


def test_a_state_dict_over_our_sgd_goes_on_bit_for_bit():
    torch.manual_seed(0)
    model = nn.Linear(3, 2).double()
    backstitch = Backstitch(SGD(model, lr=1e-2, l2_regularize=1e-3), 1.0, 2)
    backstitch.step(closure_of(model, 0))
    again = copy.deepcopy(model)
    resumed = Backstitch(SGD(again, lr=1.0), 0.0)
    resumed.load_state_dict(copy.deepcopy(backstitch.state_dict()))
    for t in range(1, 5):
        backstitch.step(closure_of(model, t))
        resumed.step(closure_of(again, t))
    assert all(map(torch.equal, model.parameters(), again.parameters()))


def test_the_state_dict_of_something_else_is_refused():
    _, optimizer = make("adam")
    backstitch = Backstitch(optimizer, 0.0)
    with pytest.raises(ValueError, match=r"Backstitch.*param_groups.*\.optimizer\.load_state_dict"):
        backstitch.load_state_dict(optimizer.state_dict())


def test_the_first_step_leaves_the_very_tensors_of_the_state_alone():
    model, optimizer = make("adam")
    backstitch = Backstitch(optimizer, 0.3)
    backstitch.step(closure_of(model, 0))
    before = dict(optimizer.state[model.weight])
    backstitch.step(closure_of(model, 1))
    assert all(optimizer.state[model.weight][k] is v for k, v in before.items())


def test_an_error_in_the_first_step_leaves_state_and_rate_as_they_were():
    model, optimizer = make("adam")
    backstitch = Backstitch(optimizer, 0.3)
    backstitch.step(closure_of(model, 0))
    saved = copy.deepcopy(optimizer.state_dict())

    def fail(*_):
        raise RuntimeError("stopped")

    handle = optimizer.register_step_post_hook(fail)
    with pytest.raises(RuntimeError, match="stopped"):
        backstitch.step(closure_of(model, 1))
    handle.remove()
    now = optimizer.state_dict()
    assert now["param_groups"] == saved["param_groups"]
    for index, values in saved["state"].items():
        assert all(torch.equal(now["state"][index][k], v) for k, v in values.items())


def test_no_closure_is_an_error_that_says_what_to_do():
    model, optimizer = make("sgd")
    for scale in (0.0, 0.3):
        with pytest.raises(ValueError, match=r"twice; call step\(closure\)"):
            Backstitch(optimizer, scale).step()


def test_the_closure_has_gradients_even_where_there_are_none():
    model, optimizer = make("adadelta")
    with torch.no_grad():
        Backstitch(optimizer, 0.3).step(closure_of(model, 0))
    assert model.weight.grad is not None


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.9)])
def test_the_momentum_of_adam_is_warned_of_once(betas, caplog):
    groups = [{"params": [nn.Parameter(torch.zeros(1))]} for _ in range(3)]
    optimizer = torch.optim.Adam(groups, betas=betas)
    with caplog.at_level(logging.WARNING):
        Backstitch(optimizer, 0.3)
    assert len(caplog.records) == (1 if betas[0] else 0)
    caplog.clear()
    Backstitch(optimizer, 0.0)
    assert not caplog.records


def test_momentum_that_comes_later_is_refused():
    model, optimizer = make("sgd")
    backstitch = Backstitch(optimizer, 0.3)
    extra = nn.Parameter(torch.zeros(1))
    with pytest.raises(ValueError, match="momentum"):
        backstitch.add_param_group({"params": [extra], "momentum": 0.9})
    assert len(backstitch.param_groups) == 1
    lr_scheduler.OneCycleLR(backstitch, max_lr=0.1, total_steps=4)  # cycles momentum by default
    with pytest.raises(ValueError, match="momentum"):
        backstitch.step(closure_of(model, 0))


@pytest.mark.parametrize(
    "cls", [torch.optim.ASGD, torch.optim.Adafactor, torch.optim.LBFGS, torch.optim.Rprop]
)
def test_optimisers_that_do_not_step_by_the_learning_rate_are_refused(cls):
    with pytest.raises(ValueError, match=f"{cls.__name__}.*AdaDelta"):
        Backstitch(cls([nn.Parameter(torch.zeros(1))]), 0.3)


SCHEDULERS = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, step_size=2, gamma=0.5),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda t: 0.9**t),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=5),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(
        o, max_lr=0.1, total_steps=8, cycle_momentum=False
    ),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o,
        [lr_scheduler.LinearLR(o, total_iters=2), lr_scheduler.ExponentialLR(o, 0.9)],
        milestones=[2],
    ),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0),
}


@pytest.mark.parametrize("over", ["sgd", "adadelta", "ours"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_sets_the_rate_of_both_steps_without_a_warning(name, over):
    """Equal to setting the rates by hand that the scheduler gives a plain torch optimiser."""
    results = []
    for scheduled in (True, False):
        model, optimizer = make("sgd" if over == "ours" else over)
        if over == "ours":
            optimizer = SGD(model, lr=LR)
        backstitch = Backstitch(optimizer, 0.3, 2)
        plain = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)
        scheduler = SCHEDULERS[name](backstitch if scheduled else plain)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for t in range(6):
                if not scheduled:
                    optimizer.param_groups[0]["lr"] = plain.param_groups[0]["lr"]
                    plain.step()
                backstitch.step(closure_of(model, t))
                scheduler.step(*([1.0 + t] if name == "ReduceLROnPlateau" else []))
        rate = (backstitch if scheduled else plain).param_groups[0]["lr"]
        assert rate != LR
        results.append([*(p.detach() for p in model.parameters()), torch.tensor(rate)])
    assert all(map(torch.equal, *results))


def test_step_hooks_run_once_a_minibatch_and_those_of_the_wrapped_one_once_a_pass():
    model, optimizer = make("adadelta")
    backstitch = Backstitch(optimizer, 0.3, 2)
    seen = []
    backstitch.register_step_pre_hook(lambda o, *_: seen.append(("before", o)))
    backstitch.register_step_post_hook(lambda o, *_: seen.append(("after", o)))
    optimizer.register_step_post_hook(lambda o, *_: seen.append(("after", o)))
    for t in range(2):
        backstitch.step(closure_of(model, t))
    assert seen == [
        *[
            ("before", backstitch),
            ("after", optimizer),
            ("after", optimizer),
            ("after", backstitch),
        ],
        *[("before", backstitch), ("after", optimizer), ("after", backstitch)],
    ]


def test_hooks_of_the_state_dict_run():
    _, optimizer = make("adadelta")
    backstitch, seen = Backstitch(optimizer, 0.3), []
    backstitch.register_state_dict_pre_hook(lambda o: seen.append("saving"))
    backstitch.register_state_dict_post_hook(lambda o, state: state | {"more": 1})
    backstitch.register_load_state_dict_pre_hook(
        lambda o, state: {k: v for k, v in state.items() if k != "more"}
    )
    backstitch.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
    state = backstitch.state_dict()
    backstitch.load_state_dict(state)
    assert state["more"] == 1 and seen == ["saving", "loaded"]


@pytest.mark.parametrize("over", ["sgd", "adadelta", "ours"])
def test_a_parameter_group_may_be_added(over):
    model, optimizer = make("sgd" if over == "ours" else over)
    if over == "ours":
        optimizer = SGD(model, lr=LR)
    backstitch = Backstitch(optimizer, 0.3)
    backstitch.step(closure_of(model, 0))
    extra = nn.Parameter(torch.zeros(2).double())
    backstitch.add_param_group({"params": [extra], "lr": 0.01})
    assert optimizer.param_groups[-1]["params"][0] is extra

    def closure():
        backstitch.zero_grad()
        loss = (model(torch.ones(3).double()) + extra).square().sum()
        loss.backward()
        return loss

    backstitch.step(closure)
    assert extra.abs().sum() > 0
    if over == "ours":
        assert optimizer.names == ["", "added_1"]
        assert optimizer.statistics.summary(optimizer.names)["skipped"] == 0
    backstitch.zero_grad()
    assert extra.grad is None and model.weight.grad is None


def test_a_deep_copy_trains_by_itself():
    model, optimizer = make("adam beta1=0")
    backstitch = Backstitch(optimizer, 0.3, 2)
    lr_scheduler.ExponentialLR(backstitch, 0.9)
    backstitch.step(closure_of(model, 0))
    twin_model, twin_optimizer = copy.deepcopy((model, backstitch))
    for t in range(1, 4):
        twin_optimizer.step(closure_of(twin_model, t))
    assert (backstitch.count, twin_optimizer.count) == (1, 4)
    for t in range(1, 4):
        backstitch.step(closure_of(model, t))
    assert all(map(torch.equal, model.parameters(), twin_model.parameters()))
