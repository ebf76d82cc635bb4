"""Natural gradient on modules: hooks, convolutions, shared weights, autocast, backstitch."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from chainstitch.nnet.optim import SGD, Backstitch, NaturalGradient, OnlineNaturalGradient
from tests.reference.natural_gradient import SimpleNaturalGradient

# -- the hooks -------------------------------------------------------------------------------------


def explicit_update(x, dy, side_in, side_out):
    """Kaldi's NaturalGradientAffineComponent::Update: precondition rows, then multiply."""
    ones = torch.cat([x, x.new_ones(len(x), 1)], 1)
    return side_out.precondition(dy).t() @ side_in.precondition(ones)


def test_hooks_give_what_preconditioning_the_rows_gives():
    torch.manual_seed(1)
    layer = nn.Linear(12, 9).double()
    natural_gradient = NaturalGradient(layer)
    side_in, side_out = OnlineNaturalGradient(6), OnlineNaturalGradient(5)
    for _ in range(30):
        x, target = torch.randn(40, 12).double(), torch.randn(40, 9).double()
        layer.zero_grad()
        y = layer(x)
        y.retain_grad()
        ((y - target) ** 2).sum().backward()
        wanted = explicit_update(x, y.grad, side_in, side_out)
        natural_gradient.precondition_gradients()
        torch.testing.assert_close(layer.weight.grad, wanted[:, :-1], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(layer.bias.grad, wanted[:, -1], rtol=1e-8, atol=1e-8)


def test_accumulated_gradients_equal_one_large_batch():
    torch.manual_seed(2)
    results = []
    for pieces in (1, 4):
        torch.manual_seed(3)
        layer = nn.Linear(6, 5).double()
        natural_gradient = NaturalGradient(layer)
        generator = torch.Generator().manual_seed(0)
        for _ in range(14):
            x = torch.randn(32, 6, generator=generator).double()
            layer.zero_grad()
            if natural_gradient.sides[""][0].w is None:
                layer(x).pow(2).sum().backward()
            else:
                for part in x.chunk(pieces):
                    layer(part).pow(2).sum().backward()
            natural_gradient.precondition_gradients()
        results.append(layer.weight.grad.clone())
    torch.testing.assert_close(results[0], results[1], rtol=1e-9, atol=1e-9)


def test_freeze_leaves_estimates_as_they_are():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 4))
    natural_gradient = NaturalGradient(model)
    model(torch.randn(9, 5)).sum().backward()
    natural_gradient.precondition_gradients()
    before = {k: [s["w"].clone() for s in v] for k, v in natural_gradient.state_dict().items()}
    with natural_gradient.freeze():
        model(torch.randn(9, 5)).sum().backward()
        natural_gradient.precondition_gradients()
    after = natural_gradient.state_dict()
    assert all(
        torch.equal(b, a["w"]) for k in before for b, a in zip(before[k], after[k], strict=True)
    )


def test_state_dict_keys_of_the_module_do_not_change():
    model = nn.Sequential(nn.Linear(5, 6))
    keys = list(model.state_dict())
    NaturalGradient(model)
    assert list(model.state_dict()) == keys


# -- convolutions, and modules of all sorts --------------------------------------------------------


def naive_convolution(gradient, twin_in, twin_out):
    """Kaldi's UpdateNaturalGradient on G (out, in * kernel + 1), with the dim x dim twins."""

    def project(twin, x):  # X (I - R^T E R), not brought back to the norm of X, and gamma
        if twin.r is None:
            twin.initialise(x)
        beta = twin.rho * (1 + twin.alpha) + twin.alpha * twin.d.sum() / x.shape[1]
        e = 1 / (beta / twin.d + 1)
        x_hat = x - x @ twin.r.T @ np.diag(e) @ twin.r
        twin.precondition(x)  # updates it
        return x_hat, np.linalg.norm(x) / np.linalg.norm(x_hat)

    first, gamma_in = project(twin_in, gradient)
    second, gamma_out = project(twin_out, first.T)
    return second.T * gamma_in * gamma_out


@pytest.mark.parametrize("make", [lambda: nn.Conv2d(3, 7, (3, 2)), lambda: nn.Conv1d(4, 6, 3)])
def test_convolutions_agree_with_the_naive_twin(make):
    torch.manual_seed(0)
    layer = make().double()
    natural_gradient = NaturalGradient(layer)
    out, dim = layer.weight.shape[0], layer.weight[0].numel() + 1
    twins = [
        SimpleNaturalGradient(min(80, (size + 1) // 2), 1, minibatches=4) for size in (dim, out)
    ]
    for _ in range(20):
        shape = (5, layer.in_channels, 8, 9)[: layer.weight.dim()]
        layer.zero_grad()
        layer(torch.randn(shape).double()).square().sum().backward()
        g = torch.cat([layer.weight.grad.flatten(1), layer.bias.grad[:, None]], 1).numpy()
        wanted = torch.from_numpy(naive_convolution(g, *twins))
        natural_gradient.precondition_gradients()
        got = torch.cat([layer.weight.grad.flatten(1), layer.bias.grad[:, None]], 1)
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5 * float(wanted.norm()))


def test_many_layers_updated_together_are_each_as_if_alone():
    torch.manual_seed(1)
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(3)), nn.Linear(8, 4)).double()
    copy = deepcopy(model)
    together = NaturalGradient(model)
    alone = [NaturalGradient(layer) for layer in copy]
    for _ in range(15):
        x = torch.randn(30, 8).double()
        for network, parts in ((model, [together]), (copy, alone)):
            network.zero_grad()
            network(x).square().sum().backward()
            for part in parts:
                part.precondition_gradients()
        for a, b in zip(model.parameters(), copy.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-9)


def test_shared_weights_have_one_estimate_that_sees_the_rows_of_both_uses():
    torch.manual_seed(2)
    single = nn.Linear(6, 6).double()
    first, second = deepcopy(single), nn.Linear(6, 6).double()
    second.weight, second.bias = first.weight, first.bias
    pair, alone = NaturalGradient(nn.Sequential(first, second)), NaturalGradient(single)
    assert list(pair.layers) == ["0"]
    for step in range(5):
        x = torch.randn(40, 6).double()
        first.zero_grad()
        single.zero_grad()
        if step == 0:  # both begin with the same rows
            first(x).square().sum().backward()
        else:
            (first(x[:15]).square().sum() + second(x[15:]).square().sum()).backward()
        single(x).square().sum().backward()
        pair.precondition_gradients()
        alone.precondition_gradients()
        torch.testing.assert_close(first.weight.grad, single.weight.grad, rtol=1e-9, atol=1e-9)


def test_under_autocast_the_estimates_are_float32_and_near_those_without():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))
    copy = deepcopy(model)
    plain, cast = NaturalGradient(copy), NaturalGradient(model)
    for _ in range(12):
        x = torch.randn(64, 16)
        for network, part, enabled in ((copy, plain, False), (model, cast, True)):
            network.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                loss = network(x).float().square().sum()
            loss.backward()
            part.precondition_gradients()
    for name, pair in cast.sides.items():
        for side, other in zip(pair, plain.sides[name], strict=True):
            assert side.w.dtype == torch.float32
            torch.testing.assert_close(side.rho, other.rho, rtol=0.05, atol=0)
    for a, b in zip(model.parameters(), copy.parameters(), strict=True):
        assert torch.cosine_similarity(a.grad.ravel(), b.grad.ravel(), 0) > 0.99


def test_what_cannot_be_preconditioned_is_left_alone_and_named():
    model = nn.Sequential(
        nn.Embedding(10, 6), nn.Linear(6, 6), nn.LayerNorm(6), nn.Linear(6, 3, bias=False)
    )
    natural_gradient = NaturalGradient(model, exclude=["3*"])
    assert natural_gradient.left_out == ["0", "2", "3"] and list(natural_gradient.layers) == ["1"]
    model(torch.arange(10)).square().sum().backward()
    before = [p.grad.clone() for p in model.parameters()]
    natural_gradient.precondition_gradients()
    changed = [not torch.equal(p.grad, b) for p, b in zip(model.parameters(), before, strict=True)]
    assert changed == [False, True, True, False, False, False]
    depthwise = nn.Conv1d(4, 4, 3, groups=4)
    assert NaturalGradient(nn.Sequential(depthwise, nn.Linear(3, 3))).left_out == ["0"]
    with pytest.raises(ValueError, match="no layer matches.*decoder"):
        NaturalGradient(model, exclude=["decoder.*"])
    with pytest.raises(ValueError, match="no trainable"):
        NaturalGradient(nn.Embedding(3, 3))


@pytest.mark.parametrize("interval", [1, 2, 3, 4])
@pytest.mark.parametrize("phase", [0, 1])
def test_under_backstitch_of_any_interval_the_same_minibatches_update(interval, phase):
    torch.manual_seed(0)
    model = nn.Linear(6, 5)
    natural_gradient = NaturalGradient(model)
    optimizer = Backstitch(SGD(model, lr=1e-3), 0.3, interval, natural_gradient, model)
    optimizer.start_iteration(phase)
    x, updated = torch.randn(60, 20, 6), []
    for minibatch in range(60):

        def closure(rows=x[minibatch]):
            model.zero_grad()
            loss = model(rows).square().sum()
            loss.backward()
            return loss

        before = [side.num_updates for side in natural_gradient.sides[""]]
        optimizer.step(closure)
        after = [side.num_updates for side in natural_gradient.sides[""]]
        if after != before:
            assert after == [n + 1 for n in before]
            updated.append(minibatch)
    assert updated == [*range(10), *range(13, 60, 4)]
