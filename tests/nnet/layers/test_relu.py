"""Self-repair of ReLU: which units, in which minibatches, by how much, and never in evaluation."""

from __future__ import annotations

import pytest
import torch

from chainstitch.nnet.layers import RepairedReLU


def test_idle_units_are_pushed_up_and_linear_ones_down_in_half_of_the_minibatches() -> None:
    torch.manual_seed(0)
    layer = RepairedReLU(3, scale=0.01)
    x = torch.randn(1000, 3) + torch.tensor([-5.0, 0.0, 5.0])
    x.requires_grad_()
    seen = []
    for _ in range(200):
        y = layer(x)
        assert torch.equal(y, x.relu())
        (d_x,) = torch.autograd.grad(y.sum(), x)
        extra = d_x - (x > 0).float()
        assert torch.allclose(extra, extra[:1].expand_as(extra), atol=1e-6)  # in every frame
        seen.append(extra[0].tolist())
    pushed = [row for row in seen if any(row)]
    # a loss to be minimised: down the derivative the first comes up, the last down
    assert all(row == pytest.approx([-0.02, 0.0, 0.02], abs=1e-6) for row in pushed)
    assert 70 < len(pushed) < 130
    assert layer.repaired.tolist() == [2 * len(pushed), 600]


def test_evaluation_and_forgetting() -> None:
    layer = RepairedReLU(2, scale=0.01)
    x = torch.randn(10, 2, requires_grad=True)
    layer(x)
    assert layer.count == 10
    layer.forget_derivatives()
    assert layer.count == 0 and not layer.active.any()
    layer.eval()
    before = torch.get_rng_state()
    layer(x).sum().backward()
    assert torch.equal(x.grad, (x > 0).float())
    assert layer.count == 0
    assert torch.equal(torch.get_rng_state(), before)
