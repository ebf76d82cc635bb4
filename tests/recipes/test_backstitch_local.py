"""egs/backstitch/local: ablations and rivals against their twins."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from chainstitch.nnet.optim import SGD, NaturalGradient, build
from chainstitch.nnet.optim.build import BackstitchOptions, StepOptions, Stepper
from chainstitch.utils.errors import UsageError
from tests import images
from tests.reference.ablations import simple_momentum, simple_same_limits, simple_unshared
from tests.reference.rivals import simple_lookahead, simple_sam
from tests.toy import rows, run, same_tensors

LOCAL = Path(__file__).resolve().parents[2] / "egs" / "backstitch" / "local"
ABLATIONS = ["masks_not_shared", "fisher_not_frozen", "max_change_not_scaled", "with_momentum"]
RIVALS = ["sam_0.05", "asam_0.5", "lookahead_5_0.5"]
LR = 0.1

Gradients = Callable[[list[np.ndarray]], list[np.ndarray]]


@pytest.fixture(scope="module")
def local() -> Iterator[dict[str, ModuleType]]:
    """The recipe's own scripts, whose rows are there until the end."""
    names, rows = ("ablations", "rivals"), dict(build.WRAPPERS)
    sys.path.insert(0, str(LOCAL))
    try:
        found = {name: importlib.import_module(name) for name in names}
        for module in found.values():
            module.add_rows()
        yield found
    finally:
        sys.path.remove(str(LOCAL))
        for name in names:
            sys.modules.pop(name, None)
        build.WRAPPERS.clear()
        build.WRAPPERS.update(rows)


def stepper(network: nn.Module, wrapper: str, scale: float = 0.0, **options: Any) -> Stepper:
    """At full strength, in an iteration of its own; plain descent unless `options` say more."""
    plain = {"natural_gradient": False, "max_change": 0.0, "layer_max_change": False}
    backstitch = BackstitchOptions(scale, 1, 0)
    made = Stepper(
        network, StepOptions(wrapper=wrapper, backstitch=backstitch, **(plain | options)), LR
    )
    made.set_iteration(1, LR)
    made.begin_iteration(lambda below: 0)
    return made


class Curve(nn.Module):
    """y = tanh(x A + b) c, on minibatches that can be told by their number."""

    def __init__(self) -> None:
        super().__init__()
        generator = np.random.default_rng(1)
        self.a, self.b, self.c = (
            nn.Parameter(torch.from_numpy(generator.normal(size=shape)))
            for shape in ((3, 4), (4,), (4, 1))
        )

    def theta(self) -> list[np.ndarray]:
        return [p.detach().numpy().copy() for p in self.parameters()]

    def closure(self, number: int) -> Callable[[], Tensor]:
        x, y = map(torch.from_numpy, minibatch(number))

        def closure() -> Tensor:
            self.zero_grad()
            loss = 0.5 * (torch.tanh(x @ self.a + self.b) @ self.c - y).square().sum()
            loss.backward()
            return loss

        return closure


def minibatch(number: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(100 + number)
    return generator.normal(size=(5, 3)), generator.normal(size=(5, 1))


def by_hand(number: int) -> Gradients:
    """The gradients of `Curve` on a minibatch."""
    x, y = minibatch(number)

    def gradients(theta: list[np.ndarray]) -> list[np.ndarray]:
        a, b, c = theta
        hidden = np.tanh(x @ a + b)
        error = hidden @ c - y
        before = (error @ c.T) * (1 - hidden**2)
        return [x.T @ before, before.sum(0), hidden.T @ error]

    return gradients


def agrees(network: Curve, theta: list[np.ndarray]) -> None:
    for ours, theirs in zip(network.theta(), theta, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


# -- ablations -------------------------------------------------------------------------------------


def test_masks_that_are_not_shared_are_drawn_anew_and_nothing_else_changes(local) -> None:
    torch.manual_seed(3)
    network = nn.Linear(6, 1, bias=False).double()
    x = torch.arange(12.0).double().reshape(2, 6).sin()
    masks: list[Tensor] = []

    def closure() -> Tensor:
        network.zero_grad()
        masks.append((torch.rand(2, 6) >= 0.5).double())
        loss = 0.5 * (network(x * masks[-1]) - 1).square().sum()
        loss.backward()
        return loss

    def gradients(mask: Tensor) -> Gradients:
        rows = (x * mask).numpy()
        return lambda theta: [((rows @ theta[0].T - 1) * rows).sum(0, keepdims=True)]

    made = stepper(network, "masks_not_shared", scale=1.0)
    theta = [network.weight.detach().numpy().copy()]
    for n in range(0, 8, 2):
        made.step(closure, 2)
        theta = simple_unshared(gradients(masks[n]), gradients(masks[n + 1]), theta, LR, 1.0)
        np.testing.assert_allclose(network.weight.detach().numpy(), theta[0], rtol=1e-12)
    assert len({tuple(mask.flatten().tolist()) for mask in masks}) == 8
    shared = stepper(network, "backstitch", scale=1.0)
    masks.clear()
    shared.step(closure, 2)
    assert torch.equal(masks[0], masks[1])


def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))


def closure_of(network: nn.Module, number: int) -> Callable[[], Tensor]:
    x = torch.sin(torch.arange(40.0) * 0.7 + 3 * number).reshape(8, 5)
    y = torch.arange(8) % 3

    def closure() -> Tensor:
        network.zero_grad()
        loss = nn.functional.cross_entropy(network(x), y, reduction="sum")
        loss.backward()
        return loss

    return closure


def test_a_fisher_that_is_not_frozen_is_updated_by_the_first_step_only(local) -> None:
    """Through 13 minibatches, in the last ones of which not every call updates."""
    ours, theirs = linear(), linear()
    made = stepper(ours, "fisher_not_frozen", scale=0.5, natural_gradient=True)
    sgd, fisher = SGD(theirs, LR, 0.0, 0.0, 0.0), NaturalGradient(theirs)
    for number in range(13):
        made.step(closure_of(ours, number), 8)
        closure = closure_of(theirs, number)
        closure()
        fisher.precondition_gradients()
        sgd.step(-0.5, 0.5)
        with fisher.freeze():
            closure()
            fisher.precondition_gradients()
        sgd.step(1.5, 1.5)
        assert same_tensors(ours.state_dict(), theirs.state_dict())
    assert made.natural_gradient is not None
    sides = [side for pair in made.natural_gradient.sides.values() for side in pair]
    assert not any(side.frozen for side in sides)
    assert {side.num_updates for side in sides} == {10} and sides[0].num_skipped == 3
    frozen = linear()
    other = stepper(frozen, "backstitch", scale=0.5, natural_gradient=True)
    for number in range(13):
        other.step(closure_of(frozen, number), 8)
    assert other.natural_gradient.statistics() == made.natural_gradient.statistics()
    assert not same_tensors(ours.state_dict(), frozen.state_dict())


class Points(nn.Module):
    """Two layers that each want to be somewhere, one of them far away."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(3, 1, bias=False).double() for _ in range(2))
        self.targets = [torch.tensor([0.3, -0.2, 0.1]), torch.tensor([40.0, -9.0, 3.0])]
        for layer in self.layers:
            nn.init.zeros_(layer.weight)

    def closure(self) -> Tensor:
        self.zero_grad()
        loss = sum(
            (layer.weight[0] - target).square().sum() + (layer.weight[0] ** 4).sum() / 40
            for layer, target in zip(self.layers, self.targets, strict=True)
        )
        loss.backward()
        return loss


@pytest.mark.parametrize("most", [0.9, 0.0])
def test_max_change_that_is_not_scaled_limits_both_steps_alike(local, most: float) -> None:
    network = Points()
    made = stepper(network, "max_change_not_scaled", 1.0, max_change=most, layer_max_change=True)
    targets = [target.double().numpy() for target in network.targets]

    def gradients(theta: list[np.ndarray]) -> list[np.ndarray]:
        return [2 * (p - t) + p**3 / 10 for p, t in zip(theta, targets, strict=True)]

    theta = [np.zeros(3), np.zeros(3)]
    for _ in range(6):
        made.step(network.closure, 1)
        theta = simple_same_limits(gradients, theta, LR, 1.0, [0.75, 0.75], most)
        for layer, wanted in zip(network.layers, theta, strict=True):
            np.testing.assert_allclose(layer.weight[0].detach().numpy(), wanted, rtol=1e-9)
    assert np.linalg.norm(theta[1]) < 0.2  # far from 40: each step back undoes the one before
    scaled = Points()
    made = stepper(scaled, "backstitch", 1.0, max_change=most, layer_max_change=True)
    for _ in range(6):
        made.step(scaled.closure, 1)
    assert float(scaled.layers[1].weight.detach().norm()) > 3


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_with_momentum_one_running_sum_takes_in_both_passes(local, alpha: float) -> None:
    network = Curve()
    made = stepper(network, "with_momentum", alpha)
    theta, running = network.theta(), [np.zeros_like(p) for p in network.theta()]
    for number in range(6):
        made.step(network.closure(number), 5)
        theta, running = simple_momentum(by_hand(number), theta, running, LR, alpha, 0.5)
        agrees(network, theta)


def test_an_ablation_that_would_change_nothing_is_refused(local) -> None:
    with pytest.raises(UsageError, match=r"fisher_not_frozen wants optim.natural_gradient = true"):
        stepper(linear(), "fisher_not_frozen", 1.0)
    with pytest.raises(UsageError, match=r"with_momentum wants optim.optimizer = sgd"):
        stepper(linear(), "with_momentum", 1.0, optimizer="adadelta")


# -- rivals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rho", "adaptive"), [("sam_0.05", 0.05, False), ("asam_0.5", 0.5, True)]
)
def test_sam_and_asam_agree_with_their_twin(local, name: str, rho: float, adaptive: bool) -> None:
    network = Curve()
    made, theta = stepper(network, name), network.theta()
    for number in range(6):
        made.step(network.closure(number), 5)
        theta = simple_sam(by_hand(number), theta, LR, rho, adaptive)
        agrees(network, theta)
    assert made.figures()["rho"] == rho


@pytest.mark.parametrize(("steps", "share"), [(5, 0.5), (10, 0.8)])
def test_lookahead_agrees_with_its_twin_in_two_iterations(local, steps: int, share: float) -> None:
    network = Curve()
    made, theta = stepper(network, f"lookahead_{steps}_{share}"), network.theta()
    for numbers in (range(13), range(13, 24)):
        made.begin_iteration(lambda below: 0)
        for number in numbers:
            made.step(network.closure(number), 5)
        theta = simple_lookahead(map(by_hand, numbers), theta, LR, steps, share)
        agrees(network, theta)


def test_sam_steps_by_natural_gradient_and_max_change_of_the_second_gradient(local) -> None:
    """The estimates see the second pass only, batch-norm's averages the first, masks are shared."""

    def made() -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(5, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Dropout(0.3), nn.Linear(6, 3)
        )

    ours, theirs = made(), made()
    options = {"natural_gradient": True, "max_change": 0.05, "layer_max_change": True}
    taken = stepper(ours, "sam_0.2", **options)
    sgd, fisher = SGD(theirs, LR, max_change=0.05), NaturalGradient(theirs)
    for number in range(12):
        torch.manual_seed(number)
        taken.step(closure_of(ours, number), 8)
        closure = closure_of(theirs, number)
        torch.manual_seed(number)
        closure()
        fisher.drop()
        norm = torch.cat([p.grad.flatten() for p in theirs.parameters()]).norm()
        averages = {name: value.clone() for name, value in theirs.named_buffers()}
        here = [p.detach().clone() for p in theirs.parameters()]
        with torch.no_grad():
            for p in theirs.parameters():
                p += 0.2 / norm * p.grad
        torch.manual_seed(number)
        closure()
        with torch.no_grad():
            for p, before in zip(theirs.parameters(), here, strict=True):
                p.copy_(before)
        theirs.load_state_dict(averages, strict=False)
        fisher.precondition_gradients()
        sgd.step()
        for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert taken.figures()["max_change"]["global"] > 0.5


def test_a_sam_minibatch_that_fails_half_way_leaves_the_parameters_where_they_were(local) -> None:
    network = Curve()
    made, theta = stepper(network, "sam_0.5"), network.theta()
    closure, calls = network.closure(0), 0

    def failing() -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("no memory")
        return closure()

    with pytest.raises(RuntimeError, match="no memory"):
        made.step(failing, 5)
    agrees(network, theta)


def test_rivals_do_not_go_with_backstitch(local) -> None:
    for name in RIVALS:
        with pytest.raises(UsageError, match=f"not for optim.wrapper = {name}; set it to 0"):
            stepper(linear(), name, scale=0.3)


# -- both ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ABLATIONS + RIVALS)
def test_a_state_that_is_saved_goes_on_to_the_same_bits(local, name: str) -> None:
    scale = 0.5 if name in ABLATIONS else 0.0
    whole = linear()
    made = stepper(whole, name, scale, natural_gradient=True)
    for number in range(3):
        made.step(closure_of(whole, number), 8)
    model = {key: value.clone() for key, value in whole.state_dict().items()}
    stream = io.BytesIO()
    torch.save(made.state_dict(), stream)
    for number in range(3, 8):
        made.step(closure_of(whole, number), 8)
    again = linear()
    again.load_state_dict(model)
    other = stepper(again, name, scale, natural_gradient=True)
    stream.seek(0)
    other.load_state_dict(torch.load(stream, weights_only=True))
    for number in range(3, 8):
        other.step(closure_of(again, number), 8)
    assert same_tensors(again.state_dict(), whole.state_dict())


@pytest.mark.parametrize("name", ["masks_not_shared", "asam_0.5", "lookahead_5_0.5"])
def test_a_config_may_name_them(local, tmp_path: Path, name: str) -> None:
    images.write(tmp_path)
    scale = 0.5 if name in ABLATIONS else 0.0
    settings = (f"optim.wrapper={name}", f"optim.backstitch.scale={scale}")
    more = [word for setting in settings for word in ("--set", setting)]
    assert run(*images.arguments(tmp_path, tmp_path / "exp", *more)) == 0
    last = rows(tmp_path / "exp")[-1]
    assert last["nonfinite"] == 0 and np.isfinite(last["valid_objf"])
    assert ("step2_objf" in last) == (name != "lookahead_5_0.5")
