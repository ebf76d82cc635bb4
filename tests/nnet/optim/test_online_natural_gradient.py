"""One side's estimate: Kaldi's gold vectors, the naive twin, float32, the update schedule."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from chainstitch.nnet.optim import OnlineNaturalGradient
from tests.reference.natural_gradient import SimpleNaturalGradient


def kaldi_input(rows: int, dim: int, call: int) -> torch.Tensor:
    i = torch.arange(rows, dtype=torch.float64)[:, None]
    j = torch.arange(dim, dtype=torch.float64)[None, :]
    x = torch.sin(1 + 0.7 * i + 1.3 * j + 0.37 * i * j + 0.9 * call)
    return (x * (1 + 3.0 * (j == 0) + 1.0 * (j == 1))).float()


# call -> (first four outputs, rho after, d after); kaldi-facts 1.7 (a), the schedule of 2017
GOLD_A = {
    0: ([2.758583, 2.362835, -0.515606, -1.305252], 0.00840449, [0.097629, 0.013122, 0.003901]),
    1: ([2.910045, 0.303464, -1.372198, -0.576910], 0.00968243, [0.125447, 0.015828, 0.004311]),
    2: ([0.734360, -1.969832, -1.148168, 0.621113], 0.0107565, None),
    9: ([0.629366, -1.980317, -1.172911, 0.647363], 0.0187100, None),
    10: ([-1.898004, -2.753864, -0.135267, 1.385636], 0.0187100, None),
    13: ([0.730245, 2.596159, 0.702456, -1.119999], 0.0196834, [0.330899, 0.04908, 0.013703]),
    14: ([2.785354, 2.381575, -0.495141, -1.409957], None, None),
    17: ([-1.937605, -2.738599, -0.115826, 1.395124], 0.0207478, None),
    19: ([-1.850797, 1.015016, 1.433625, -0.057240], None, None),
}


def check_gold(side: OnlineNaturalGradient, rows: int, dim: int, calls: int, gold: dict) -> None:
    for call in range(calls):
        x = kaldi_input(rows, dim, call)
        out = side.precondition(x)
        assert out.norm().item() == pytest.approx(x.norm().item(), rel=1e-5)
        if call in gold:
            first, rho, d = gold[call]
            np.testing.assert_allclose(out[0, :4].numpy(), first, atol=5e-6, rtol=2e-6)
            if rho is not None:
                assert side.rho.item() == pytest.approx(rho, rel=1e-5)
            if d is not None:
                np.testing.assert_allclose(side.d.numpy(), d, rtol=1e-4, atol=1e-6)


def test_gold_vectors_a_with_the_2017_schedule():
    check_gold(OnlineNaturalGradient(3), 6, 8, 20, GOLD_A)


def test_gold_vectors_a_of_2025_when_updates_are_forced_at_calls_10_14_18():
    gold = {
        10: ([-1.898004, -2.753864, -0.135267, 1.385636], 0.0197803, [0.334833, 0.0496, 0.014307]),
        14: ([2.779312, 2.381566, -0.495984, -1.406044], 0.0209516, None),
        19: ([-1.837851, 1.016641, 1.435192, -0.069126], 0.0221707, [0.391688, 0.057747, 0.017527]),
    }
    side = OnlineNaturalGradient(3)
    for call in range(20):
        side.frozen = not (call <= 10 or (call - 10) % 4 == 0)
        side.num_skipped = 3  # a call that is not frozen is due
        out = side.precondition(kaldi_input(6, 8, call))
        if call in gold:
            first, rho, _ = gold[call]
            np.testing.assert_allclose(out[0, :4].numpy(), first, atol=6e-6)
            assert side.rho.item() == pytest.approx(rho, rel=1e-5)


def test_gold_vectors_b_conv_style_history_in_minibatches():
    gold = {
        0: (
            [2.560492, 1.951416, -0.262705, -1.390166],
            0.210698,
            [5.127517, 1.163104, 0.692817, 0.423554],
        ),
        4: (
            [-2.947903, -1.241591, 0.840505, 1.259969],
            0.271787,
            [7.262964, 1.455373, 0.60635, 0.44541],
        ),
    }
    side = OnlineNaturalGradient(4, update_period=1, num_minibatches_history=4)
    check_gold(side, 5, 9, 5, gold)


def test_gold_vectors_c_more_rows_than_columns():
    gold = {
        0: (
            [2.520339, 1.877676, -0.577608, -1.366476],
            0.0536131,
            [0.5068686, 0.0807680, 0.000280241],
        ),
        2: ([0.935671, -1.974129, -1.088805, 0.555973], None, None),
    }
    side = OnlineNaturalGradient(3)
    assert side.precondition(kaldi_input(40, 8, 0)).norm() > 0
    side = OnlineNaturalGradient(3)
    check_gold(side, 40, 8, 3, gold)


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_the_naive_twin_over_100_steps(seed):
    rng = np.random.default_rng(seed)
    dim, rank = int(rng.integers(2, 30)), int(rng.integers(1, 36))  # rank >= dim included
    side, twin = OnlineNaturalGradient(rank), SimpleNaturalGradient(rank)
    spectrum = np.exp(rng.normal(size=dim))
    for step in range(100):
        rows = int(rng.integers(1, 60))
        x = rng.normal(size=(rows, dim)) * spectrum
        if step % 10 == 7:
            x = np.zeros_like(x)
        out = side.precondition(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(
            out, twin.precondition(x), rtol=1e-6, atol=1e-8 * np.abs(x).max() + 1e-12
        )
        assert (out * x).sum() >= 0  # still a descent direction
        assert side.rho > 0 and bool((side.d > 0).all())
    np.testing.assert_allclose(side.rho.item(), twin.rho, rtol=1e-6)


def test_zero_input_first_then_data_stays_finite():
    side = OnlineNaturalGradient(3)
    assert torch.equal(side.precondition(torch.zeros(10, 6)), torch.zeros(10, 6))
    assert torch.isfinite(side.precondition(torch.randn(10, 6))).all()


def test_one_column_is_passed_through():
    x = torch.randn(5, 1)
    assert torch.equal(OnlineNaturalGradient(3).precondition(x), x)


def test_float32_stays_orthonormal_over_500_ill_conditioned_steps():
    torch.manual_seed(0)
    side = OnlineNaturalGradient(10, update_period=1)
    basis = torch.linalg.qr(torch.randn(60, 60))[0]
    scales = torch.ones(60)
    scales[:3] = 1e3
    for _ in range(500):
        side.precondition(torch.randn(32, 60) * scales @ basis)
        beta = side.rho * (1 + side.alpha) + side.alpha * side.d.sum() / 60
        r = side.w / (1 / (beta / side.d + 1)).sqrt()[:, None]
        assert (r @ r.t() - torch.eye(10)).abs().max() < 1e-4
    assert side.num_updates == 500 and side.num_reorthogonalised > 0


def test_nonfinite_rows_do_not_enter_the_estimate():
    side = OnlineNaturalGradient(2)
    side.precondition(torch.randn(20, 5))
    before = side.w.clone()
    side.precondition(torch.full((20, 5), math.nan))
    assert torch.equal(side.w, before)


def test_updates_happen_on_calls_0_to_9_then_every_fourth_and_frozen_calls_do_not_count():
    side, updated = OnlineNaturalGradient(2), []
    torch.manual_seed(0)
    for call in range(24):
        before = side.num_updates
        side.frozen = True
        side.precondition(torch.randn(8, 5))
        side.frozen = False
        side.precondition(torch.randn(8, 5))
        if side.num_updates > before:
            updated.append(call)
    assert updated == [*range(10), 13, 17, 21]


def test_state_round_trips_and_continues_identically():
    torch.manual_seed(0)
    xs = [torch.randn(30, 7) for _ in range(30)]
    first = OnlineNaturalGradient(3)
    for x in xs[:15]:
        first.precondition(x)
    second = OnlineNaturalGradient(3)
    second.load_state_dict(first.state_dict())
    for x in xs[15:]:
        assert torch.equal(first.precondition(x), second.precondition(x))


def test_gamma_from_sums_is_near_even_where_one_direction_has_nearly_everything():
    torch.manual_seed(4)
    side, direct = OnlineNaturalGradient(20), OnlineNaturalGradient(20)
    direction = torch.randn(1, 600)
    for _ in range(30):
        x = torch.randn(200, 1) * direction * 100 + torch.randn(200, 600) * 0.1
        wanted = direct.precondition(x.double())
        side.observe(x)
        got = (x - x @ side.w.t() @ side.w) * side.gamma()
        side.finish()
    ratio = float(got.double().norm() / wanted.norm())
    assert abs(ratio - 1) < 0.05
