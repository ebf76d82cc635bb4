"""FastLSTMP against the gold numbers of Kaldi's nonlinearity and against its naive twin."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from chainstitch.nnet.layers import LSTMP, FastLSTM, FastLSTMP
from chainstitch.nnet.layers.lstm_cell import CellBackward, lstm_cell
from chainstitch.nnet.layers.lstm_recurrence import crossings, truncated
from chainstitch.nnet.optim import SGD, NaturalGradient, OnlineNaturalGradient
from chainstitch.nnet.train import saturation
from tests.reference.lstmp import simple_lstmp

KINDS = [FastLSTMP, FastLSTM, LSTMP]


def layer(kind=FastLSTMP, **options):
    torch.manual_seed(1)
    options.setdefault("self_repair", 0.0)
    if kind is not FastLSTM:
        options |= {"recurrent": 3, "nonrecurrent": 2}
    made = kind(5, cell=6, **options).double()
    if kind is not FastLSTM:
        torch.nn.init.normal_(made.w_rp.bias)
    return made


def twin(made, x, masks=None, repair=None):
    w_rp, b_rp = torch.eye(made.cell).double(), torch.zeros(made.cell).double()
    if made.w_rp is not None:
        w_rp, b_rp = made.w_rp.weight, made.w_rp.bias
    parameters = (made.w_all.weight, made.w_all.bias, w_rp, b_rp, made.peepholes.weight)
    return torch.stack(
        [
            simple_lstmp(
                x[:, n], *parameters, made.delay // made.step, made.decay,
                None if masks is None else masks[:, n], repair,
            )
            for n in range(x.shape[1])
        ],
        1,
    )  # fmt: skip


def test_gold_numbers_of_kaldis_nonlinearity():
    n = torch.arange(3, dtype=torch.float64)[:, None]
    given = 0.1 * ((7 * n + 3 * torch.arange(10)) % 11) - 0.5
    mask = torch.ones(3, 3, dtype=torch.float64)
    mask[1, 1] = 0
    peepholes = 0.2 * (n + 1) - 0.3 * torch.arange(2)
    d_out = 0.25 * ((5 * n + 2 * torch.arange(4)) % 7 - 3)
    gates, before = given[:, :8], given[:, 8:]
    c, m = lstm_cell(gates, before, peepholes, mask)
    wanted = [
        [-0.286630, -0.044867, -0.141469, -0.027767],
        [0.165916, -0.291971, 0.078080, -0.142855],
        [-0.044867, 0.224703, -0.027625, 0.097705],
    ]
    got = torch.cat([c, m], 1)
    torch.testing.assert_close(got, torch.tensor(wanted, dtype=torch.float64), atol=1e-6, rtol=0)
    backward = CellBackward(gates[None], before[None], c[None], peepholes, mask[None])
    d_gates = torch.empty_like(gates)
    d_before = backward.step(0, d_out[:, :2], d_out[:, 2:], d_gates)
    d_peepholes = backward.peepholes(d_gates[None])
    wanted = [  # without and with those of c-
        [0.056579, -0.005209, 0.048264, 0, -0.200195, 0.094111, -0.017436, -0.007928],
        [0.027020, 0.068767, 0, 0, 0.197192, -0.317854, -0.010250, -0.017746],
        [0.011259, 0.019259, 0, 0.028328, -0.203407, 0.194349, 0.007954, -0.013627],
    ]
    torch.testing.assert_close(
        d_gates, torch.tensor(wanted, dtype=torch.float64), atol=1e-6, rtol=0
    )
    wanted = [[-0.287950, 0.126937], [0.005404, -0.006877], [-0.270979, 0.160557]]
    torch.testing.assert_close(
        d_before, torch.tensor(wanted, dtype=torch.float64), atol=1e-6, rtol=0
    )
    wanted = [[-0.006166, -0.021729], [-0.014479, 0.008498], [0.002940, 0.002475]]
    torch.testing.assert_close(
        d_peepholes, torch.tensor(wanted, dtype=torch.float64), atol=1e-6, rtol=0
    )


def low(made):
    """Has the averages of half of the units be below the limits of repair, whatever x."""
    made.derivative_count.fill_(1e9)
    made.derivative_sums.copy_(1e9 * torch.tensor([0.25, 0.25, 0.25, 1.0, 1.0])[:, None])
    made.derivative_sums.view(-1)[::2] = 0.0


def gradients(y, made, x, weights):
    return torch.autograd.grad((y * weights).sum(), [x, *made.parameters()])


@pytest.mark.parametrize("masks", ["none", "frames", "elements"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {"delay": -1},
        {"delay": -3, "decay_time": 20},
        {"delay": 2, "decay_time": 20, "self_repair": 0.1},
        {"delay": -3, "step": 3, "decay_time": 20, "self_repair": 0.1},
    ],
)
def test_values_and_gradients_are_those_of_the_twin(options, kind, masks):
    made = layer(kind, **options)
    x = torch.randn(8, 3, 5, dtype=torch.float64, requires_grad=True)
    columns = {"none": 0, "frames": 3, "elements": 18}[masks]
    mask = (torch.rand(8, 3, columns) > 0.3).double() if columns else None
    low(made)
    repair = made.repair()
    assert (repair is None) == (made.self_repair == 0)
    found, wanted = made(x, mask), twin(made, x, mask, repair)
    weights = torch.randn_like(found)
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)
    for a, b in zip(*(gradients(y, made, x, weights) for y in (found, wanted)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)


def test_units_below_the_limits_are_repaired_and_counted_in_training_only():
    made = layer(self_repair=1e-5)
    assert made.repair() is None  # nothing known yet
    assert made.repaired.tolist() == [0, 30]
    limits = torch.tensor([0.05, 0.05, 0.05, 0.2, 0.2], dtype=torch.float64)[:, None]
    made.derivative_count.fill_(10.0)
    made.derivative_sums.copy_(10.0 * limits + torch.linspace(-0.1, 0.1, 6))
    repair = made.repair()
    assert repair.tolist() == [[1e-5] * 3 + [0.0] * 3] * 5
    assert made.repaired.tolist() == [15, 60]
    assert made.eval().repair() is None
    assert made.repaired.tolist() == [15, 60]


def test_self_repair_does_not_reach_back_from_padding():
    made = layer(delay=-1, self_repair=0.1)
    low(made)
    x = torch.randn(9, 2, 5, dtype=torch.float64)
    found = []
    for frames in (4, 9):
        made.zero_grad()
        y = made(x[:frames], lengths=torch.tensor([4, frames]))
        y[:4, 0].square().sum().backward()
        found.append([p.grad.clone() for p in made.parameters()])
    alone = layer(delay=-1, self_repair=0.1)
    low(alone)
    y = alone(x[:4, :1])
    y.square().sum().backward()
    # the second sequence has no derivative but that of its own repair
    other = [p.grad - q.grad for p, q in zip(made.parameters(), alone.parameters(), strict=True)]
    made.zero_grad()
    (0.0 * made(x[:, 1:])).sum().backward()
    for a, p in zip(other, made.parameters(), strict=True):
        torch.testing.assert_close(a, p.grad, atol=1e-12, rtol=0)


def test_the_older_layer_has_each_gate_on_its_own_for_limits_and_natural_gradient():
    made = layer(LSTMP)
    groups = SGD(made, 1e-3).param_groups
    assert [group["name"] for group in groups] == [
        *(f"w_all.{i}" for i in range(4)), "w_rp", *(f"peepholes.{i}" for i in range(3)),
    ]  # fmt: skip
    assert {group["max_change"] for group in groups} == {0.75}
    natural_gradient = NaturalGradient(made)
    assert natural_gradient.left_out == []
    made(torch.randn(7, 4, 5, dtype=torch.float64)).square().sum().backward()
    before = {name: p.grad.clone() for name, p in made.named_parameters()}
    assert all(natural_gradient.sides[f"w_all.{i}"][0].rows == 28 for i in range(4))
    natural_gradient.precondition_gradients()
    for name, p in made.named_parameters():
        if "peepholes" not in name:  # of one row, which is its own direction
            assert not torch.allclose(p.grad, before[name]), name
    sizes = [sum(p.numel() for p in layer(kind).parameters()) for kind in (LSTMP, FastLSTMP)]
    assert sizes[0] == sizes[1]


def test_recurrent_derivatives_are_scaled_cut_and_dropped_across_multiples_of_20():
    made = layer(delay=-3, step=3, decay_time=20)  # decay 0.85
    d_c = torch.tensor([[3.0, 0], [40.0, 0], [20.0, 0], [20.0, 0], [3.0, 0]])
    d_r = torch.tensor([[4.0], [30.0], [0.0], [0.0], [4.0]])
    crossed = crossings(torch.tensor([[0, 0, 18, 16, 18], [3, 3, 21, 19, 21]]))
    c, r = truncated(d_c, d_r, crossed[0], made)
    found = torch.cat([c, r], 1).norm(dim=1)
    assert found.tolist() == pytest.approx([0.85 * 5, 30.0, 0.0, 0.85 * 20, 0.85 * 5])
    torch.testing.assert_close(c[1] / r[1], torch.tensor([40 / 30, 0.0]))


def test_natural_gradient_sees_all_frames_of_a_minibatch_at_once():
    made = layer(delay=-1)
    x = torch.randn(7, 4, 5, dtype=torch.float64)
    natural_gradient = NaturalGradient(made)
    assert natural_gradient.left_out == []
    made(x).square().sum().backward()
    plain = {name: p.grad.clone() for name, p in made.named_parameters()}
    assert natural_gradient.sides["w_all"][0].rows == 7 * 4
    # the rows, as the twin has them: [x; r-], and the derivatives of the gates
    rp = twin(made, x).detach()
    before = torch.zeros_like(rp[:, :, :3])
    before[1:] = rp[:-1, :, :3]
    rows = torch.cat([x, before, torch.ones(7, 4, 1, dtype=torch.float64)], 2).flatten(0, 1)
    side = OnlineNaturalGradient(4)
    side.precondition(rows)
    watched = natural_gradient.sides["w_all"][0]
    torch.testing.assert_close(watched.trace, rows.square().sum())
    natural_gradient.precondition_gradients()
    torch.testing.assert_close(watched.w.t() @ watched.w, side.w.t() @ side.w)
    side = OnlineNaturalGradient(3, 2, 1000.0)
    wanted = side.precondition(plain["peepholes.weight"])
    torch.testing.assert_close(made.peepholes.weight.grad, wanted)
    assert not torch.allclose(wanted, plain["peepholes.weight"])


def test_saturation_is_that_of_the_units_over_the_frames_of_training():
    made, x = layer(delay=-1, decay_time=20), torch.randn(5, 2, 5, dtype=torch.float64)
    assert saturation.saturation(made) == 0.0  # nothing known yet
    made.eval()
    made(x)
    assert saturation.saturation(made) == 0.0
    made.train()
    made(x)
    # frames 0 and 4, by hand
    gates, c, _, rp = made._run(x, None)
    before = torch.cat([torch.zeros_like(c[:1]), 0.95 * c[:-1]])
    p = made.peepholes.weight
    i, f, g, o = gates[::4].chunk(4, 2)
    i, f, o = ((i + p[0] * before[::4]).sigmoid(), (f + p[1] * before[::4]).sigmoid(),
               (o + p[2] * c[::4]).sigmoid())  # fmt: skip
    shares = [*((4 * s * (1 - s)).mean() for s in (i, f, o)), (1 - g.tanh() ** 2).mean(),
              (1 - c[::4].tanh() ** 2).mean()]  # fmt: skip
    assert saturation.saturation(made) == pytest.approx(1 - float(sum(shares)) / 5, abs=1e-6)
    saturation.forget(nn.Sequential(made))
    assert saturation.saturation(made) == 0.0
    with torch.no_grad():
        made.w_all.bias.fill_(20.0)
    made(x)
    assert saturation.saturation(made) > saturation.THRESHOLD
    assert saturation.saturation(nn.Linear(2, 2)) == 0.0


def test_unusable_settings_and_shapes_are_refused():
    for options in ({"delay": 0}, {"delay": -2, "step": 3}, {"delay": -3, "decay_time": 3}):
        with pytest.raises(ValueError, match="delay"):
            layer(**options)
    with pytest.raises(ValueError, match="frames, batch, 5"):
        layer()(torch.zeros(3, 2, 4))
    with pytest.raises(ValueError, match="masks"):
        layer()(torch.zeros(3, 2, 5).double(), torch.ones(3, 2, 2))
