"""How much of backstitch a run has: against its own definition, and what a run says of it."""

from __future__ import annotations

import logging
import math

import pytest
import torch
from torch import nn

from chainstitch.nnet.optim import Backstitch
from chainstitch.nnet.optim.build import BackstitchOptions, Stepper, slow_start
from chainstitch.nnet.optim.strength import effect, strength
from chainstitch.nnet.tasks.options import Optim


def test_the_effect_is_what_two_steps_do_beyond_one_to_second_order() -> None:
    """On a quadratic (1) has no further terms: theta <- theta - nu g - a (1 + a) nu^2 H g."""
    hessian, nu, alpha = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64), 0.1, 0.7
    theta = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    start = theta.detach().clone()

    def closure() -> torch.Tensor:
        theta.grad = hessian @ theta.detach()
        return theta.detach() @ hessian @ theta.detach() / 2

    Backstitch(torch.optim.SGD([theta], lr=nu), alpha).step(closure)
    gradient = hessian @ start
    wanted = start - nu * gradient - effect(alpha) * nu**2 * (hessian @ gradient)
    assert torch.allclose(theta.detach(), wanted, atol=1e-14)


def test_a_run_without_a_slow_start_has_all_of_it() -> None:
    assert strength([0.3] * 4, [1.0, 0.5, 0.2, 0.1], 0.3) == pytest.approx(1.0)


def test_fifteen_of_21_iterations_leave_a_fifth() -> None:
    rates = [math.exp(-math.log(10) * n / 21) for n in range(21)]
    found = strength([slow_start(1.0, n, 15) for n in range(21)], rates, 1.0)
    assert found == pytest.approx(0.193, abs=5e-4)


@pytest.mark.parametrize(
    ("slow_start", "share", "iterations", "rise"),
    [(15, 0.1, 100, 10.0), (15, 0.1, 400, 15.0), (15, 1.0, 21, 15.0), (0, 0.1, 100, 0.0)],
)
def test_alpha_rises_over_the_smaller_of_so_many_iterations_and_a_share_of_the_run(
    slow_start: int, share: float, iterations: int, rise: float
) -> None:
    options = Optim(backstitch=BackstitchOptions(0.8, 4, slow_start, share))
    stepper = Stepper(nn.Linear(2, 2), options, 1.0)
    stepper.plan([1e-3] * iterations)
    for number in (0, 5, 9, 10, 14, 15, iterations - 1):
        stepper.set_iteration(number, 1e-3)
        wanted = 0.8 * min(1.0, number / rise) if rise else 0.8
        figures = stepper.figures()
        assert figures["alpha"] == pytest.approx(wanted)
        assert figures["backstitch_share"] == pytest.approx(effect(wanted) / effect(0.8))


@pytest.mark.parametrize(
    ("scale", "share", "said", "warned"),
    [
        (1.0, 0.1, "alpha rises over 2 of 20 iterations, which leaves 92 % of its strength", False),
        (1.0, 1.0, "alpha rises over 15 of 20 iterations, which leaves 54 % of its strength", True),
        (0.0, 1.0, "", False),
    ],
)
def test_the_log_says_how_strong_backstitch_will_be(
    scale: float, share: float, said: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    options = Optim(backstitch=BackstitchOptions(scale, 4, 15, share))
    stepper = Stepper(nn.Linear(2, 2), options, 1.0)
    stepper.plan([1e-3] * 20)
    with caplog.at_level(logging.INFO):
        stepper.announce()
    assert said in caplog.text
    assert ("takes more than a fifth of the run" in caplog.text) == warned
