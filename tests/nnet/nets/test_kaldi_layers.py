"""Kaldi's layers as an xconfig names them: what they compute, hold, and refuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from chainstitch.nnet.layers import GateDropout, RepairedReLU, SharedDropout
from chainstitch.nnet.nets import Network, parse_xconfig
from chainstitch.nnet.optim import SGD, NaturalGradient
from chainstitch.nnet.train.dropout_schedule import DropoutSchedule
from chainstitch.utils.errors import UsageError
from tests.reference.network import simple_forward

ALL = """
input name=ivector dim=3
input name=input dim=5
fixed-affine-layer name=lda input=Append(-1,0,1,ReplaceIndex(ivector, t, 0))
relu-batchnorm-dropout-layer name=tdnn1 dim=8 dropout-proportion=0.2 dropout-per-dim=true
linear-component name=l dim=6 input=Append(-1,0) orthonormal-constraint=-1.0 l2-regularize=0.01
no-op-component name=sum input=Sum(l, Scale(0.5, Offset(l, 3)))
affine-layer name=a dim=8 input=IfDefined(Offset(sum,-3))
tdnnf-layer name=tdnnf2 dim=8 bottleneck-dim=4 time-stride=3 dropout-proportion=0.0
tdnnf-layer name=tdnnf3 dim=8 bottleneck-dim=4 time-stride=0 bypass-scale=0.75
fast-lstm-layer name=lstm1 cell-dim=6 delay=-3 decay-time=20 dropout-proportion=0.3
lstmp-layer name=lstm2 cell-dim=8 delay=3 dropout-proportion=0.1 dropout-per-frame=true
relu-layer name=r dim=8 bottleneck-dim=3 self-repair-scale=1e-5 input=Append(lstm1, lstm2)
prefinal-layer name=chain big-dim=9 small-dim=4
output-layer name=output output-delay=5 include-log-softmax=false
prefinal-layer name=xent big-dim=9 small-dim=4 input=r
output-layer name=output-xent output-delay=5 bottleneck-dim=3 learning-rate-factor=5.0
"""


def make(text: str = ALL, **options) -> Network:
    torch.manual_seed(0)
    network = Network(text, 4, **options).double()
    for p in network.parameters():
        nn.init.normal_(p, std=0.5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
    return network


def minibatch(frames: int = 20) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, frames, 5, generator=generator, dtype=torch.float64)
    ivectors = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    return x, torch.tensor([frames, 14]), ivectors


@pytest.mark.parametrize("infer", [True, False])
@pytest.mark.parametrize("subsampling", [1, 3])
def test_every_kind_of_layer_agrees_with_the_frame_by_frame_twin(
    subsampling: int, infer: bool
) -> None:
    network = make(subsampling=subsampling, infer_grid=infer).eval()
    x, lengths, ivectors = minibatch()
    found, out_lengths = network.outputs(x, lengths, 1, ivectors)
    for name, values in found.items():
        for i, n in enumerate(lengths.tolist()):
            wanted = simple_forward(network, x[i, :n], 1, ivectors[i], name)
            torch.testing.assert_close(values[i, : len(wanted)], wanted, rtol=0, atol=1e-10)
            assert len(wanted) == out_lengths[i] and not values[i, len(wanted) :].any()


def test_the_forward_pass_is_the_main_output_and_leaves_the_other_branch_out() -> None:
    network = make().eval()
    x, lengths, ivectors = minibatch()
    ran = []
    for name, layer in network.layers.items():
        layer.register_forward_hook(lambda *_, name=name: ran.append(name))
    found, _ = network(x, lengths, 0, ivectors)
    assert not {"xent", "output-xent"} & set(ran)
    both, _ = network.outputs(x, lengths, 0, ivectors)
    assert {"xent", "output-xent"} < set(ran)
    assert torch.equal(found, both["output"])
    inside = both["output-xent"][0]
    torch.testing.assert_close(inside.exp().sum(1), torch.ones(7).double())
    assert not torch.allclose(found[0].exp().sum(1), torch.ones(7).double())


def test_an_output_delay_looks_that_many_frames_ahead() -> None:
    text = "input name=input dim=5\noutput-layer name=output{}"
    plain, late = (make(text.format(more), subsampling=1) for more in ("", " output-delay=5"))
    x, lengths, _ = minibatch()
    ahead = torch.cat([x[:1, 5:], x[:1, -1:].expand(1, 5, 5)], 1)
    found, wanted = late(x[:1], lengths[:1])[0], plain(ahead, lengths[:1])[0]
    torch.testing.assert_close(found, wanted)
    assert (late.left_context, late.right_context) == (0, 5)


def test_a_tdnnf_layer_is_two_factors_and_a_bypass() -> None:
    network = make().eval()
    state = {k.removeprefix("layers."): v for k, v in network.state_dict().items()}
    assert state["tdnnf2_linear.weight"].shape == (4, 16)
    assert state["tdnnf2_affine.0.weight"].shape == (8, 8)
    assert state["tdnnf3_linear.weight"].shape == (4, 8)
    grids = network.grids
    assert grids["tdnnf2.linear"].last - grids["tdnnf2"].last == 3
    assert grids["a"].first - grids["tdnnf2"].first == -3
    assert [n.parts[0][0].scale for n in network.nodes if n.name in ("tdnnf2", "tdnnf3")] == [
        0.66, 0.75,
    ]  # fmt: skip


def test_one_semi_orthogonal_step_in_four_for_the_layers_that_want_them() -> None:
    network = make()
    names = ["l", "tdnnf2_linear", "tdnnf3_linear", "chain.3", "xent.3"]
    drawn = {k: p.detach().clone() for k, p in network.named_parameters()}
    torch.manual_seed(5)
    moved = dict.fromkeys(drawn, 0)
    for _ in range(200):
        network.constrain()
        for key, p in network.named_parameters():
            moved[key] += not torch.equal(p, drawn[key])
            p.data.copy_(drawn[key])
    for key, count in moved.items():
        constrained = key in [f"layers.{name}.weight" for name in names]
        assert (20 < count < 80) if constrained else count == 0, key
    plain = make("input name=input dim=5\noutput-layer name=output")
    state = torch.get_rng_state()
    plain.constrain()  # draws nothing
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_of_every_kind_is_found_by_the_names_of_the_xconfig() -> None:
    network = make()
    found = network.dropouts()
    assert {name: (type(part), part.p) for name, part in found.items()} == {
        "tdnn1": (SharedDropout, 0.2),
        "tdnnf2": (SharedDropout, 0.0),
        "lstm1": (GateDropout, 0.3),
        "lstm2": (GateDropout, 0.1),
    }
    schedule = DropoutSchedule("0,0.5 lstm*=0,1", list(found))
    for name, p in schedule.at(0.5).items():
        found[name].p = p
    assert [part.p for part in found.values()] == [0.25, 0.25, 0.5, 0.5]


def test_gates_that_are_all_dropped_leave_nothing_of_the_input() -> None:
    network = make()
    network.dropouts()["lstm1"].p = 1.0
    seen = []
    network.layers["lstm1"].register_forward_hook(lambda _, __, y: seen.append(y))
    x, lengths, ivectors = minibatch()
    network.train()(x, lengths, 0, ivectors)
    assert not seen[0].any()
    network.dropouts()["lstm1"].p = 0.5
    values = []
    for _ in range(2):
        torch.manual_seed(2)
        values.append(network(x, lengths, 0, ivectors)[0])
    assert torch.equal(*values)
    assert not torch.equal(values[0], network(x, lengths, 0, ivectors)[0])


def test_self_repair_is_counted_by_the_names_of_the_xconfig() -> None:
    network = make()
    assert network.self_repaired() == {"lstm1": 0.0, "lstm2": 0.0, "r": 0.0}
    assert isinstance(network.layers["r"][2], RepairedReLU)
    with torch.no_grad():
        network.layers["lstm1"].lstmp.w_all.bias.fill_(50.0)  # all gates saturate
    x, lengths, ivectors = minibatch()
    network.train()(x, lengths, 0, ivectors)[0].sum().backward()
    assert network.self_repaired()["lstm1"] == pytest.approx(0.8)  # all but tanh(c), so soon


def test_options_reach_the_optimiser_and_natural_gradient() -> None:
    network = make(
        """
        input name=input dim=5
        relu-layer name=a dim=8 max-change=0.3 learning-rate-factor=0.5 l2-regularize=0.01
        relu-layer name=b dim=8 ng-affine-options="rank-in=2 rank-out=3 update-period=1 {limit}"
        lstmp-layer name=c cell-dim=8 delay=-3 ng-affine-options=" max-change=0.6 "
        fast-lstmp-layer name=d cell-dim=8 lstm-nonlinearity-options="max-change=0.2" max-change=0.9
        linear-component name=e dim=4 ng-linear-options='num-samples-history=500 alpha=2'
        output-layer name=output max-change=0.0 param-stddev=0.1
        """.replace("{limit}", "max-change=0.4")
    )
    groups = {g["name"].removeprefix("layers."): g for g in SGD(network, 1e-3).param_groups}
    limits = {name: group["max_change"] for name, group in groups.items()}
    assert (limits["a.0"], limits["b.0"], limits["e"], limits["output"]) == (0.3, 0.4, 0.75, 0.0)
    assert (limits["c.lstmp.w_all.2"], limits["c.lstmp.peepholes.0"]) == (0.6, 0.75)
    assert (limits["d.lstmp.w_all"], limits["d.lstmp.peepholes"]) == (0.9, 0.2)
    a = groups["a.0"]
    assert (a["learning_rate_factor"], a["l2_regularize"]) == (0.5, 0.01)
    sides = NaturalGradient(network).sides
    assert [side.rank for side in sides["layers.b.0"]] == [2, 3]
    assert [side.update_period for side in sides["layers.b.0"]] == [1, 1]
    assert [side.update_period for side in sides["layers.a.0"]] == [4, 4]
    assert [side.alpha for side in sides["layers.e"]] == [2.0, 2.0]
    assert [side.num_samples_history for side in sides["layers.e"]] == [500.0, 500.0]


def test_standard_deviations_of_parameters_are_those_of_the_text() -> None:
    torch.manual_seed(0)
    text = """
    input name=input dim=100
    relu-layer name=a dim=200 ng-affine-options="param-stddev=0.5 bias-stddev=0.1"
    output-layer name=output param-stddev=0.2
    """
    network = Network(text, 50)
    a, output = network.layers["a"][0], network.layers["output"]
    assert a.weight.std().item() == pytest.approx(0.5, rel=0.05)
    assert a.bias.std().item() == pytest.approx(0.1, rel=0.2)
    assert output.weight.std().item() == pytest.approx(0.2, rel=0.05)
    assert not output.bias.any()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fast-lstm-layer name=a cell-dim=4 dropout-per-frame=false dropout-proportion=0.1",
         "layer 'a'.*frame by frame"),
        ("fast-lstmp-layer name=a cell-dim=4 dropout-proportion=1.5", "proportion wants 0 to 1"),
        ("tdnnf-layer name=a dim=7 bottleneck-dim=2", "one dimension, but input has 4, a.affine"),
        ("tdnnf-layer name=a dim=4 bottleneck-dim=2 input=Append(0,1)", "bypass.*one part"),
        ("tdnnf-layer name=a dim=4 bottleneck-dim=2 time-stride=-1", "time-stride wants a whole"),
        ("fixed-affine-layer name=a dim=3", "keeps its dimension, 4"),
        ("relu-layer name=a dim=5\nno-op-component name=b input=Sum(a,input)", "input has 4"),
        ("relu-layer name=a.b dim=5\nrelu-layer name=a_b dim=5 input=Append(a.b,0)", "too much"),
        ("relu-layer name=a dim=5\noutput-layer name=output-xent dim=3", "3, but the graph has 2"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_names_the_layer(line: str, message: str) -> None:
    text = f"input name=input dim=4\n{line}\noutput-layer name=output"
    if "output-xent" in line:
        text += " input=a"
    with pytest.raises(UsageError, match=message):
        Network(text, 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("relu-layer name=a dim=3 dropout-per-dim=yes", "wants true or false"),
        ("relu-layer name=a dim=3 ng-affine-options='rnk-in=3'", "did you mean 'rank-in'"),
        ("relu-layer name=a dim=3 ng-affine-options='rank-in=x'", "rank-in wants a whole number"),
        ("relu-layer name=a dim=$dim", r"the variable \$dim; write its value"),
        ("lstm-layer name=a cell-dim=3", "did you mean '(fast-lstm|lstmp)-layer'"),
        ("lstmp-layer name=a", "cell-dim is missing"),
        ("tdnnf-layer name=a dim=3", "bottleneck-dim is missing"),
        ("prefinal-layer name=a big-dim=3", "small-dim is missing"),
        ("fast-lstmp-layer name=a cell-dim=4 zeroing-interval=30", "wants 20, found '30'"),
        ("relu-layer name=a dim=4 input=Append(0,ivector)", r"write ReplaceIndex\(ivector,t,0\)"),
        ("relu-layer name=a dim=4 input=ReplaceIndex(input,t,0)", "wants the input ivector"),
        ("input name=more dim=3", "found the inputs ivector, input, more"),
        ("output-layer name=output objective-type=quadratic", "wants linear"),
        ("output-layer name=output-xent\nrelu-layer name=a dim=4 input=output-xent", "no layer"),
    ],
)  # fmt: skip
def test_a_bad_line_of_kaldi_is_named(line: str, message: str) -> None:
    text = f"input name=ivector dim=2\ninput name=input dim=4\n{line}\noutput-layer name=output"
    with pytest.raises(UsageError, match=message) as error:
        parse_xconfig(text)
    assert "xconfig line 3" in str(error.value) or "xconfig: " in str(error.value) or "\n" in line


def test_inputs_of_another_shape_say_what_was_wanted() -> None:
    network = make()
    x, lengths, ivectors = minibatch()
    with pytest.raises(ValueError, match=r"ivectors must be \(2, 3\).*got None"):
        network(x, lengths)
    with pytest.raises(ValueError, match=r"ivectors must be \(2, 3\).*got \(2, 4\)"):
        network(x, lengths, 0, torch.zeros(2, 4))
    plain = make("input name=input dim=5\noutput-layer name=output")
    with pytest.raises(ValueError, match="ivectors must be None"):
        plain(x, lengths, 0, ivectors)
