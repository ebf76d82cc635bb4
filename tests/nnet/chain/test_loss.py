"""The loss's terms: derivatives against finite differences, weights, the xent branch, reports."""

from __future__ import annotations

import logging

import pytest
import torch

from chainstitch.nnet.chain import (
    ChainLoss,
    NumeratorBatch,
    forward_backward,
    numerator_forward_backward,
)
from chainstitch.nnet.chain.forward_backward import resolved
from chainstitch.nnet.chain.loss import XENT
from chainstitch.nnet.chain.self_test import LOG_Z, TOLERANCE, self_test
from chainstitch.nnet.loss import Outputs
from tests.nnet.chain.test_numerator import compiled, make_denominator

LENGTHS = torch.tensor([7, 4])


@pytest.fixture
def numerators():
    denominator = make_denominator()
    return NumeratorBatch([compiled(["a", "b"], denominator), compiled(["c"], denominator)])


def outputs(seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 7, 8, generator=generator) * scale


def test_all_terms_together_have_the_derivative_of_their_finite_differences(numerators):
    loss = ChainLoss(make_denominator(), 0.1, 1e-2, xent_regularize=0.3, out_of_range=0.05)
    y, z = outputs(0, 30.0).requires_grad_(), outputs(1).requires_grad_()
    weights = torch.tensor([1.0, 0.5])
    found = loss.outcome(Outputs(y, LENGTHS, {XENT: z}), numerators, weights)
    found.value.backward()
    assert found.figures["out_of_range"] > 0 and found.figures["xent"] > 0
    dy, dz = outputs(2), outputs(3)
    step = 2e-2
    with torch.no_grad():
        high, low = (
            loss(y + s * step * dy, LENGTHS, numerators, weights, xent=z + s * step * dz)
            for s in (1, -1)
        )
    # gamma_num is a constant in the xent term, though y moved: take that out
    with torch.no_grad():
        terms = []
        for s in (1, -1):
            _, moved = numerator_forward_backward(numerators, y + s * step * dy, LENGTHS)
            _, fixed = numerator_forward_backward(numerators, y, LENGTHS)
            log_softmax = (z + s * step * dz).log_softmax(2)
            terms.append(
                0.3 * ((moved - fixed) * log_softmax * weights[:, None, None]).sum().item()
            )
    slope = (high - low).item() / (2 * step) + (terms[0] - terms[1]) / (2 * step)
    assert slope == pytest.approx((y.grad * dy).sum().item() + (z.grad * dz).sum().item(), rel=5e-3)


def test_frame_weights_scale_derivatives_and_not_values(numerators):
    loss = ChainLoss(make_denominator(), output_l2=1e-2, xent_regularize=0.1, out_of_range=0.1)
    factors = torch.rand(2, 7)
    gradients, values = [], []
    for frame_weights in (None, factors):
        y, z = outputs(0, 40.0).requires_grad_(), outputs(1).requires_grad_()
        value = loss(y, LENGTHS, numerators, frame_weights=frame_weights, xent=z)
        value.backward()
        values.append(value.item())
        gradients.append((y.grad, z.grad))
    assert values[0] == values[1]
    for plain, scaled in zip(*gradients, strict=True):
        torch.testing.assert_close(scaled, plain * factors[:, :, None])


def test_the_xent_branch_is_the_numerators_cross_entropy(numerators):
    y, z = outputs(0), outputs(1).requires_grad_()
    loss = ChainLoss(make_denominator(), output_l2=0.0, xent_regularize=0.1)
    loss(y, LENGTHS, numerators, xent=z).backward()
    _, posteriors = numerator_forward_backward(numerators, y, LENGTHS)
    wanted = posteriors.sum(2, keepdim=True) * z.detach().softmax(2) - posteriors
    torch.testing.assert_close(z.grad, 0.1 * wanted)
    assert not z.grad[1, 4:].any()
    # its output layer's steps do not depend on the factor
    for x in (0.1, 0.025):
        assert x * ChainLoss(make_denominator(), xent_regularize=x).xent_learning_rate_factor == 0.5


def test_out_of_range_outputs_alone_are_penalised(numerators):
    loss = ChainLoss(make_denominator(), output_l2=0.0, out_of_range=0.2)
    y = outputs(0)
    found = loss.outcome(Outputs(y, LENGTHS), numerators)
    assert found.figures["out_of_range"] == 0.0
    assert found.figures.keys() == {"num_log_z", "den_log_z", "out_of_range"}
    y[0, 2, 3], y[1, 1, 1], y[1, 6, 0] = 32.0, -35.0, 99.0  # the last past the end
    found = loss.outcome(Outputs(y, LENGTHS), numerators)
    assert found.figures["out_of_range"] == pytest.approx(0.1 * (2.0**2 + 5.0**2))


def test_the_report_adds_up(numerators):
    loss = ChainLoss(make_denominator(), 0.1, 1e-2)
    y = outputs(0)
    found = loss.outcome(Outputs(y, LENGTHS), numerators, torch.tensor([1.0, 0.5]))
    den, _ = forward_backward(loss.denominator, y, LENGTHS, 0.1)
    num, _ = numerator_forward_backward(numerators, y, LENGTHS)
    assert torch.equal(found.objective, num - den) and found.count == 11
    assert found.figures["num_log_z"] == float(num.sum())
    assert found.figures["den_log_z"] == float(den.sum())
    weighted = found.objective @ torch.tensor([1.0, 0.5]).double()
    l2 = found.figures["output_l2"]
    assert found.value.item() == pytest.approx(l2 - weighted.item(), rel=1e-6)


def test_misfit_arguments_are_errors(numerators):
    loss, y = ChainLoss(make_denominator()), outputs(0)
    with pytest.raises(ValueError, match="xent branch is given"):
        loss(y, LENGTHS, numerators, xent=y)
    with pytest.raises(ValueError, match="xent branch is missing"):
        ChainLoss(make_denominator(), xent_regularize=0.1)(y, LENGTHS, numerators)
    with pytest.raises(ValueError, match=r"frame_weights must be \(2, 7\), got \(2,\)"):
        loss(y, LENGTHS, numerators, frame_weights=torch.ones(2))
    with pytest.raises(ValueError, match="out_of_range wants 0 or more"):
        ChainLoss(make_denominator(), out_of_range=-1.0)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_log_z_is_differentiable_and_its_derivative_is_the_posteriors(numerators, backend):
    y = outputs(0).requires_grad_()
    den, den_posteriors = forward_backward(make_denominator(), y, LENGTHS, 0.1, backend)
    num, num_posteriors = numerator_forward_backward(numerators, y, LENGTHS, backend)
    weights = torch.tensor([2.0, -1.0]).double()
    ((num - den) @ weights).backward()
    wanted = (num_posteriors - den_posteriors) * weights.float()[:, None, None]
    torch.testing.assert_close(y.grad, wanted)
    assert not den_posteriors.requires_grad


@pytest.mark.parametrize("leaky", LOG_Z)
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_the_self_test_passes_and_notices_what_is_wrong(backend, leaky, monkeypatch):
    assert self_test(backend, leaky=leaky) < TOLERANCE
    monkeypatch.setitem(LOG_Z, leaky, LOG_Z[leaky] + 1e-3)
    assert self_test(backend, leaky=leaky) > TOLERANCE


def test_auto_falls_back_to_the_cpu_where_the_kernel_does_not_run(caplog):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with caplog.at_level(logging.WARNING):
        assert resolved("auto", torch.device("cuda")) == "cpu"
    assert "LF-MMI runs on the CPU, as the Triton kernel fails on cuda" in caplog.text
    assert resolved("auto", torch.device("cpu")) == "cpu"
    assert resolved("reference", torch.device("cpu")) == "reference"
