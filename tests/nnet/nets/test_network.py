"""xconfig networks: the frame-by-frame twin, Kaldi's initialisation, errors that name the line."""

from __future__ import annotations

import pytest
import torch

from chainstitch.nnet.nets import Network, parse_xconfig
from chainstitch.nnet.optim import NaturalGradient
from chainstitch.utils.errors import UsageError
from tests.reference.network import simple_forward

TDNN = """
input name=input dim=5
batchnorm-component name=norm
relu-batchnorm-layer name=tdnn1 dim=8 input=Append(-1,0,1)
relu-renorm-layer name=tdnn2 dim=7 input=Append(-1, 0, 1)   # comment
relu-batchnorm-layer name=tdnn3.a dim=6 input=Append(-3,0,3)
relu-renorm-layer name=tdnn4 dim=6 input=Append(Offset(tdnn3.a,-3), 0, 3, tdnn2)
output-layer name=output
"""


REPAIR = "self-repair-scale-nonlinearity=0"
LSTM = """
input name=input dim=5
relu-renorm-layer name=tdnn1 dim=8 input=Append(-1,0,1)
fast-lstmp-layer name=lstm1 cell-dim=12 delay=-3 decay-time=20 {off}
relu-renorm-layer name=tdnn2 dim=7 input=Append(-3,0,3)
fast-lstmp-layer name=forwards cell-dim=8 {off} recurrent-projection-dim=3 delay=-3 input=tdnn2
fast-lstmp-layer name=backwards cell-dim=8 non-recurrent-projection-dim=1 delay=3 {off} input=tdnn2
fast-lstmp-layer name=each cell-dim=8 {off} delay=-1 input=Append(forwards, backwards)
output-layer name=output
""".replace("{off}", REPAIR)


def make(text=TDNN, **options):
    torch.manual_seed(0)
    network = Network(text, num_outputs=4, **options)
    for p in network.parameters():
        p.data.normal_()  # the output layer starts at zero
    return network.eval()


@pytest.mark.parametrize("text", [TDNN, LSTM], ids=["tdnn", "lstm"])
@pytest.mark.parametrize("shift", [-1, 0, 1])
@pytest.mark.parametrize("subsampling", [1, 2, 3])
def test_ragged_batch_agrees_with_the_frame_by_frame_twin(subsampling, shift, text):
    network = make(text, subsampling=subsampling)
    lengths = torch.tensor([7, 1, 12, 9])
    features = torch.randn(4, 12, 5)
    features[1, 1:] = float("nan")  # padding must not be looked at
    out, out_lengths = network(features, lengths, shift)
    assert out_lengths.tolist() == [-(-n // subsampling) for n in lengths.tolist()]
    for i, n in enumerate(lengths.tolist()):
        wanted = simple_forward(network, features[i, :n], shift)
        torch.testing.assert_close(out[i, : len(wanted)], wanted, rtol=1e-4, atol=1e-4)
        assert not out[i, len(wanted) :].any()


def test_layers_above_multiples_of_three_are_computed_at_a_third_of_the_frames():
    network = make()
    rows = {}
    for name, layer in network.layers.items():
        layer.register_forward_hook(lambda _, x, __, name=name: rows.__setitem__(name, len(x[0])))
    network(torch.randn(1, 30, 5), torch.tensor([30]))
    assert rows["output"] == rows["tdnn4"] == 10
    assert rows["tdnn3_a"] == 12
    assert rows["tdnn2"] == 14
    assert rows["tdnn1"] == 42


def test_a_delay_of_three_is_one_step_above_multiples_of_three():
    network = make(LSTM.replace("delay=-1", "delay=-3"))
    layers = {name: layer.lstmp for name, layer in network.layers.items() if "lstmp" in dir(layer)}
    assert {name: layer.step for name, layer in layers.items()} == {
        "lstm1": 3, "forwards": 3, "backwards": 3, "each": 3,
    }  # fmt: skip
    assert {layer.step for layer in make(LSTM).layers["each"].children()} == {1}
    rows = {}
    for name, layer in layers.items():
        layer.register_forward_hook(lambda _, x, __, name=name: rows.__setitem__(name, len(x[0])))
    network(torch.randn(1, 30, 5), torch.tensor([30]))
    assert rows == {"lstm1": 12, "forwards": 10, "backwards": 10, "each": 10}


def test_natural_gradient_and_lstm_gradients_do_not_see_padding():
    found = []
    for length in (24, 90):  # of the other sequence
        network = make(LSTM).train()
        natural_gradient = NaturalGradient(network)
        torch.manual_seed(1)
        x = torch.randn(2, 90, 5)
        network(x, torch.tensor([24, length]))[0][0].square().sum().backward()
        alone = make(LSTM).train()
        other = NaturalGradient(alone)
        alone(x[:1, :24], torch.tensor([24]))[0].square().sum().backward()
        for p, q in zip(network.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-4)
        name = "layers.lstm1.lstmp.w_all"
        rows = [n.sides[name][0].rows for n in (natural_gradient, other)]
        found.append((rows[0] - rows[1], natural_gradient.layers.keys() == other.layers.keys()))
    # frames 0 to 21 and 0 to 87, as `each` looks back by one, and three more on either side
    assert found == [(28, True), (94, True)]


def test_context_is_the_sum_of_the_splicing():
    assert (make().left_context, make().right_context) == (8, 8)


def test_gradients_flow_through_splicing():
    network = make().double()
    features = torch.randn(2, 6, 5, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([6, 4])
    assert torch.autograd.gradcheck(lambda x: network(x, lengths)[0], features)


def test_kaldi_initialisation():
    network = Network(
        "input name=input dim=400\nrelu-renorm-layer name=a dim=300\noutput-layer name=o", 9
    )
    affine = network.layers["a"][0]
    assert affine.weight.std().item() == pytest.approx(1 / 20, rel=0.05)
    assert affine.bias.std().item() == pytest.approx(1.0, rel=0.15)
    assert not network.layers["o"].weight.any()
    assert (affine.max_change, network.layers["o"].max_change) == (0.75, 1.5)


def test_renorm_rows_have_unit_rms_and_zero_rows_stay_zero():
    from chainstitch.nnet.layers import Renorm

    x = torch.randn(5, 9)
    x[2] = 0
    y = Renorm()(x)
    torch.testing.assert_close(y.square().mean(1).sqrt()[[0, 1, 3, 4]], torch.ones(4))
    assert not y[2].any()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("relu-renom-layer name=a dim=3", "did you mean 'relu-renorm-layer'"),
        ("relu-renorm-layer name=a dims=3", "did you mean 'dim'"),
        ("relu-renorm-layer name=a dim=x", "whole number"),
        ("relu-renorm-layer name=a", "dim is missing"),
        ("relu-renorm-layer dim=4", "name"),
        ("relu-renorm-layer name=input dim=4", "used twice"),
        ("relu-renorm-layer name=a dim=4 input=Append(inptu,0)", "did you mean 'input'"),
        ("relu-renorm-layer name=a dim=4 input=Append(0,&)", "cannot read the input"),
        ("relu-renorm-layer name=a dim=4 surplus", "4 surplus"),
        ("relu-renorm-layer surplus name=a dim=4", "cannot read"),
        ("output-layer name=output2", "name=output-xent"),
    ],
)
def test_a_bad_line_is_named(line, message):
    with pytest.raises(UsageError, match="xconfig") as error:
        parse_xconfig(f"input name=input dim=4\n{line}\noutput-layer name=output")
    assert message in str(error.value)


AUGMENTED = """
input name=input dim=5
idct-layer name=idct
freq-warp-layer name=warp max-warp=0.1
batchnorm-component name=norm
spec-augment-layer name=mask freq-max-proportion=0.4 time-zeroed-proportion=0.2
relu-renorm-layer name=tdnn1 dim=8 input=Append(-3,0,3)
output-layer name=output
"""


def test_augmentation_layers_run_in_training_only():
    network = make(AUGMENTED)
    features, lengths = torch.randn(3, 20, 5), torch.tensor([20, 7, 13])
    plain, _ = network(features, lengths)
    again, _ = network(features, lengths)
    assert torch.equal(plain, again)
    network.train()
    masked = network(features, lengths)[0]
    assert not torch.equal(masked, network(features, lengths)[0])
    assert masked.shape == plain.shape and torch.isfinite(masked).all()


def test_a_proportion_out_of_range_names_the_layer():
    with pytest.raises(UsageError, match="name=mask.*freq-max-proportion wants 0 to 1"):
        make(AUGMENTED.replace("0.4", "1.5"))


def test_dropout_is_found_by_the_names_of_the_xconfig():
    text = TDNN.replace("name=tdnn1", "name=tdnn1 dropout-proportion=0")
    network = make(text.replace("name=tdnn3.a", "name=tdnn3.a dropout-proportion=0.2"))
    assert {name: part.p for name, part in network.dropouts().items()} == {
        "tdnn1": 0.0,
        "tdnn3.a": 0.2,
    }
    assert make().dropouts() == {}
    network.dropouts()["tdnn1"].p = 1.0
    values = []
    network.layers["tdnn1"].register_forward_hook(lambda _, __, out: values.append(out))
    network.train()(torch.randn(1, 9, 5), torch.tensor([9]))
    assert not values[0].any()


def test_dropout_proportion_below_zero_is_an_error():
    with pytest.raises(UsageError, match="name=tdnn1.*dropout-proportion wants 0 to 1"):
        make(TDNN.replace("name=tdnn1", "name=tdnn1 dropout-proportion=-0.1"))
