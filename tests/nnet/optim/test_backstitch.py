"""Backstitch, SGD and max-change: gold values, twin, a test for each thing both passes touch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from chainstitch.nnet.optim import SGD, Backstitch, NaturalGradient, limit_change
from tests.reference.max_change import simple_limit_change

# kaldi-facts 3.6: (lr, alpha) -> parameters after minibatches 1 and 2
GOLD = {
    (0.1, 0.0): ([0.4, -0.2, 0.6], [0.64, -0.38, 1.08]),
    (0.1, 0.3): ([0.4624, -0.2078, 0.6468], [0.710986, -0.394010, 1.154150]),
    (0.1, 1.0): ([0.72, -0.24, 0.84], [0.9216, -0.4512, 1.4448]),
    (0.5, 0.0): ([0.433861, -0.216930, 1.940285], [1.023122, -0.680904, 3.0]),
    (0.5, 0.3): ([0.354490, -0.156314, 1.962733], [1.009020, -0.524547, 3.404534]),
    (0.5, 1.0): ([0.126135, 0.000474, 2.014402], [0.800837, -0.142755, 4.767343]),
}


class Point(nn.Module):
    def __init__(self, dim, max_change):
        super().__init__()
        self.x = nn.Parameter(torch.zeros(dim, dtype=torch.float64))
        self.max_change = max_change


@pytest.mark.parametrize(("lr", "alpha"), GOLD)
def test_gold_toy_with_max_change(lr, alpha):
    model = nn.ModuleList([Point(2, 0.75), Point(1, 0.0)])
    k, target = torch.tensor([4.0, 1.0]), torch.tensor([1.0, -2.0])
    optimizer = Backstitch(SGD(model, lr=lr, max_change=2.0), scale=alpha)

    def closure():
        model.zero_grad()
        loss = 0.5 * (k * (model[0].x - target) ** 2).sum() + (model[1].x - 3).pow(2).sum()
        loss.backward()
        return loss

    for wanted in GOLD[lr, alpha]:
        optimizer.step(closure)
        got = torch.cat([model[0].x, model[1].x]).detach().numpy()
        np.testing.assert_allclose(got, wanted, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_max_change_agrees_with_the_naive_twin_over_100_steps(seed):
    rng = np.random.default_rng(seed)
    for step in range(100):
        layers = int(rng.integers(1, 6))
        deltas = [
            rng.normal(size=int(rng.integers(1, 9))) * 10 ** rng.uniform(-3, 2)
            for _ in range(layers)
        ]
        if step % 10 == 3:
            deltas[0][:] = 0
        if step % 25 == 9:
            deltas[-1][0] = [np.inf, np.nan][step % 2]
        limits = rng.choice([0.0, 0.75, 1.5], size=layers).tolist()
        alpha = float(rng.choice([0.3, 1.0]))
        for scale, limit_scale in ((1.0, 1.0), (-alpha, alpha), (1 + alpha, 1 + alpha)):
            limit = float(rng.choice([0.0, 2.0]))
            wanted = simple_limit_change(deltas, limits, limit, scale, limit_scale)
            tensors = [[torch.from_numpy(d)] for d in deltas]
            factors, _, _ = limit_change(tensors, limits, limit, scale, limit_scale)
            for w, d, f in zip(wanted, deltas, factors, strict=True):
                got = np.nan_to_num(d * f.item()) if f == 0 else d * f.item()
                np.testing.assert_allclose(got, w, rtol=1e-10, atol=1e-12)


def test_a_nonfinite_gradient_skips_the_whole_update_and_is_counted():
    model = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)])
    optimizer = SGD(model, lr=0.1)
    before = [p.clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    model[0].weight.grad[0, 0] = float("nan")
    optimizer.step()
    assert all(torch.equal(b, p) for b, p in zip(before, model.parameters(), strict=True))
    assert optimizer.statistics.summary(optimizer.names)["skipped"] == 1


def test_sgd_without_limits_is_torch_sgd():
    torch.manual_seed(0)
    ours, theirs = nn.Linear(4, 3), nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    a = SGD(ours, lr=0.1, max_change_per_layer=0, max_change=0)
    b = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for _ in range(5):
        x = torch.randn(6, 4)
        for model, optimizer in ((ours, a), (theirs, b)):
            model.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def test_momentum_is_scaled_so_that_a_constant_gradient_moves_as_far_as_without():
    model = nn.Linear(1, 1, bias=False)
    optimizer = SGD(model, lr=0.1, momentum=0.5, max_change_per_layer=0, max_change=0)
    start, moved = model.weight.item(), []
    for _ in range(30):
        model.weight.grad = torch.ones(1, 1)
        optimizer.step()
        moved.append(start - model.weight.item())
    assert moved[:3] == pytest.approx([0.05, 0.125, 0.2125], abs=1e-6)
    assert moved[-1] - moved[-2] == pytest.approx(0.1, abs=1e-6)


def make_net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 2)
    )


def recording_closure(model, record):
    x = torch.arange(40.0, device=model[0].weight.device).reshape(8, 5).sin()

    def closure():
        model.zero_grad()
        out = model[2](model[1](model[0](x)))
        record.append((out == 0).clone())
        loss = model[4](model[3](out)).square().sum()
        loss.backward()
        return loss

    return closure


GPU = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
)


@pytest.mark.parametrize("device", ["cpu", GPU])
def test_dropout_masks_agree_in_both_steps_and_differ_between_minibatches(device):
    model, record = make_net().to(device), []
    optimizer = Backstitch(SGD(model, lr=1e-3), scale=0.3, module=model)
    for _ in range(2):
        optimizer.step(recording_closure(model, record))
    assert torch.equal(record[0], record[1])
    assert torch.equal(record[2], record[3])
    assert not torch.equal(record[1], record[2])


def test_batch_norm_statistics_count_once():
    model = make_net()
    optimizer = Backstitch(SGD(model, lr=1e-3), scale=0.3, module=model)
    optimizer.step(recording_closure(model, []))
    assert model[1].num_batches_tracked == 1


def test_fisher_estimate_is_frozen_in_the_first_step():
    model = make_net()
    natural_gradient = NaturalGradient(model)
    optimizer = Backstitch(
        SGD(model, lr=1e-3), 0.3, natural_gradient=natural_gradient, module=model
    )
    for _ in range(3):
        optimizer.step(recording_closure(model, []))
    assert natural_gradient.sides["0"][0].num_updates == 3


def test_only_minibatches_of_the_phase_are_backstitched():
    model, record = make_net(), []
    optimizer = Backstitch(SGD(model, lr=1e-3), scale=1.0, interval=4)
    optimizer.start_iteration(phase=6)
    second_steps = []
    for _ in range(8):
        optimizer.step(recording_closure(model, record))
        second_steps.append(optimizer.step2_loss is not None)
    assert second_steps == [False, False, True, False, False, False, True, False]
    assert len(record) == 10


def test_an_iteration_counts_from_zero_with_a_phase_of_its_own():
    model, closure = scalar_problem()
    optimizer = Backstitch(SGD(model, lr=1e-3), scale=1.0, interval=4)
    for iteration, phase in enumerate([6, 3, 0]):
        optimizer.start_iteration(phase)
        seen = []
        for _ in range(6 + iteration):  # lengths that are no multiple of the interval
            optimizer.step(closure)
            seen.append(optimizer.step2_loss is not None)
        assert [t for t, both in enumerate(seen) if both] == list(range(phase % 4, len(seen), 4))


def test_scale_zero_is_the_plain_optimiser():
    results = []
    for wrap in (False, True):
        model = make_net()
        sgd = SGD(model, lr=1e-2)
        closure = recording_closure(model, [])
        for _ in range(3):
            if wrap:
                Backstitch(sgd, scale=0.0).step(closure)
            else:
                closure()
                sgd.step()
        results.append(model[0].weight.clone())
    assert torch.equal(*results)


def test_over_a_torch_optimiser_equals_equations_13_and_14():
    model = nn.Linear(3, 1, bias=False).double()
    x = torch.randn(10, 3).double()
    hessian = 2 * x.t() @ x
    theta, lr, alpha = model.weight.detach().clone()[0], 1e-3, 0.5
    half = theta + alpha * lr * hessian @ theta
    wanted = half - (1 + alpha) * lr * hessian @ half

    def closure():
        model.zero_grad()
        loss = model(x).square().sum()
        loss.backward()
        return loss

    Backstitch(torch.optim.SGD(model.parameters(), lr=lr), scale=alpha).step(closure)
    torch.testing.assert_close(model.weight[0].detach(), wanted)


def scalar_problem():
    model = nn.Linear(3, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0, 3.0]]))

    def closure():
        model.zero_grad()
        loss = model(torch.eye(3).double()).square().sum()
        loss.backward()
        return loss

    return model, closure


@pytest.mark.parametrize(
    "make",
    [
        lambda parameters: torch.optim.Adam(parameters, lr=1e-2),
        lambda parameters: torch.optim.Adadelta(parameters, lr=1.0),
    ],
)
def test_state_of_an_adaptive_optimiser_is_frozen_in_the_first_step_unless_told(make):
    model, closure = scalar_problem()
    optimizer = make(model.parameters())
    backstitch = Backstitch(optimizer, scale=0.3)
    backstitch.step(closure)
    assert optimizer.state[model.weight]["step"] == 1
    assert all(
        group["lr"] == make([torch.zeros(1)]).defaults["lr"] for group in optimizer.param_groups
    )
    # the second step starts from the state before the minibatch: by hand
    twin, twin_closure = scalar_problem()
    by_hand = make(twin.parameters())
    lr = by_hand.param_groups[0]["lr"]
    twin_closure()
    by_hand.param_groups[0]["lr"] = -0.3 * lr
    by_hand.step()
    by_hand.state.clear()
    twin_closure()
    by_hand.param_groups[0]["lr"] = 1.3 * lr
    by_hand.step()
    torch.testing.assert_close(model.weight, twin.weight)
    model, closure = scalar_problem()
    optimizer = make(model.parameters())
    Backstitch(optimizer, scale=0.3, freeze_state=False).step(closure)
    assert optimizer.state[model.weight]["step"] == 2


def test_weight_decay_of_a_torch_optimiser_acts_once():
    alpha, lr, decay = 0.5, 1e-2, 0.1
    model, _ = scalar_problem()
    start = model.weight.detach().clone()

    def no_gradient():  # so that decay is all there is
        model.weight.grad = torch.zeros_like(model.weight)
        return torch.zeros(())

    optimizer = torch.optim.SGD(model.parameters(), lr=lr, weight_decay=decay)
    Backstitch(optimizer, scale=alpha).step(no_gradient)
    torch.testing.assert_close(model.weight, start * (1 - lr * decay))
    assert optimizer.param_groups[0]["weight_decay"] == decay


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_l2_of_our_sgd_acts_once_per_sequence(alpha):
    model, _ = scalar_problem()
    start = model.weight.detach().clone()
    optimizer = SGD(model, lr=1e-2, l2_regularize=1e-3)
    optimizer.num_sequences = 8

    def no_gradient():
        model.weight.grad = torch.zeros_like(model.weight)
        return torch.zeros(())

    Backstitch(optimizer, scale=alpha).step(no_gradient)
    torch.testing.assert_close(model.weight, start * (1 - 2 * 1e-2 * 1e-3 * 8))


def test_a_layer_may_have_its_own_l2():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].l2_regularize = 0.0
    optimizer = SGD(model, lr=1e-2, l2_regularize=1e-3)
    assert [group["l2_regularize"] for group in optimizer.param_groups] == [1e-3, 0.0]


def test_a_grad_scaler_changes_nothing_but_an_overflow_skips_the_minibatch():
    results = []
    for scaled in (False, True):
        model, closure = scalar_problem()
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10) if scaled else None

        def step(model=model, scaler=scaler, closure=closure):
            if scaler is None:
                return closure()
            model.zero_grad()
            loss = model(torch.eye(3).double()).square().sum()
            scaler.scale(loss).backward()
            return loss

        natural_gradient = NaturalGradient(model)
        optimizer = Backstitch(SGD(model, lr=1e-2), 0.5, 1, natural_gradient, model, scaler=scaler)
        for _ in range(3):
            optimizer.step(step)
        results.append(model.weight.detach().clone())
    torch.testing.assert_close(*results)

    def overflow():
        model.zero_grad()
        scaler.scale(model.weight.sum() * float("inf")).backward()
        return torch.zeros(())

    optimizer.step(overflow)
    assert torch.equal(model.weight, results[1]) and scaler.get_scale() == 2.0**9
    assert optimizer.step2_loss is None


def test_bad_settings_are_refused():
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="scale"):
        Backstitch(SGD(model, lr=0.1), scale=-0.1)
    with pytest.raises(ValueError, match="interval"):
        Backstitch(SGD(model, lr=0.1), scale=0.3, interval=0)
    with pytest.raises(ValueError, match="momentum"):
        Backstitch(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), scale=0.3)
