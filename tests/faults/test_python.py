"""The optimisers of the Python API: what they are given, and what an error in the middle leaves.

Tables of numbers that cannot be, of torch's optimisers that backstitch goes over, and of the ways
in which a backstitched minibatch can fail; a dull test for each.
"""

from __future__ import annotations

import copy
import io
import logging
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


# -- layers whose rows are not seen ----------------------------------------------------------------


def trained(run: Any, module: nn.Module, natural_gradient: NaturalGradient, passes: int) -> None:
    for _ in range(passes):
        module.zero_grad()
        run().square().sum().backward()
        natural_gradient.precondition_gradients()


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name.startswith("chainstitch")]


def test_a_module_that_was_compiled_before_is_named_in_one_warning(caplog):
    torch.compiler.reset()
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    compiled, x = torch.compile(model, backend="eager"), torch.randn(8, 4)
    compiled(x).sum().backward()
    natural_gradient = NaturalGradient(model)
    with caplog.at_level(logging.WARNING):
        trained(lambda: compiled(x), model, natural_gradient, 2)
        assert not ours(caplog)  # it might be that they are not called yet
        trained(lambda: compiled(x), model, natural_gradient, 4)
    (record,) = ours(caplog)
    assert "no rows of 0, 2 in 3 passes" in record.message and "compile" in record.message
    assert natural_gradient.unseen() == ["0", "2"]
    assert natural_gradient.statistics()["updates"] == 0
    torch.compiler.reset()  # as the warning says
    trained(lambda: compiled(x), model, natural_gradient, 1)
    assert natural_gradient.unseen() == [] and natural_gradient.statistics()["updates"] > 0
    torch.compiler.reset()


def test_out_proj_of_attention_is_named_and_excluded_by_its_name(caplog):
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.out = nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.attention(x, x, x)[0])

    model, x = Model(), torch.randn(2, 3, 8)
    natural_gradient = NaturalGradient(model)
    with caplog.at_level(logging.WARNING):
        trained(lambda: model(x), model, natural_gradient, 9)
    (record,) = caplog.records
    assert "no rows of attention.out_proj in 3 passes" in record.message
    assert natural_gradient.unseen() == ["attention.out_proj"]
    natural_gradient.remove()
    caplog.clear()
    natural_gradient = NaturalGradient(model, exclude=["*.out_proj"])
    trained(lambda: model(x), model, natural_gradient, 9)
    assert not caplog.records and natural_gradient.unseen() == []


def test_layers_that_are_not_used_are_no_reason_for_a_warning(caplog):
    model = nn.ModuleList([linear(), linear()])
    natural_gradient = NaturalGradient(model)
    trained(lambda: model[0](torch.ones(2, 3)), model, natural_gradient, 9)
    assert not caplog.records and natural_gradient.unseen() == []


# -- torch's optimisers under backstitch -----------------------------------------------------------

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


# -- a minibatch that fails in the middle ----------------------------------------------------------


def closure_of(model: nn.Module, fail: Any = None, at: int = 0) -> Any:
    calls = [0]

    def closure() -> torch.Tensor:
        calls[0] += 1
        model.zero_grad()
        x = torch.nn.functional.dropout(torch.arange(12.0).reshape(4, 3) / 9, 0.5)
        loss = model(x).square().sum()
        if calls[0] == at:
            raise fail
        loss.backward()
        return loss

    return closure


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
