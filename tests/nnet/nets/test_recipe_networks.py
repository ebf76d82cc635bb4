"""The networks of Kaldi's recipes: sizes, limits, and that the grid changes no value.

Parameters by hand. An affine layer has (in + 1) out; a fast LSTMP of cell C, with C/4 of r and of
p, reading d, has (d + C/4 + 1) 4C in W_all, 3C peepholes and (C + 1) C/2 in W_rp. With C = 1024:

    W_all(d) = (d + 257) 4096    rest = 3072 + 1025 * 512 = 527,872
    L(1024)  = 5,246,976 + 527,872 = 5,774,848      L(300) = 2,281,472 + 527,872 = 2,809,344

A TDNN layer of 1024 reading three spliced times of 1024 has 3073 * 1024 = 3,146,752, of an LSTM
(512 each) 1537 * 1024 = 1,573,888. Each recipe has two outputs. Not counted is the LDA-like layer,
which is not trained; Kaldi's own logs count its d (d + 1), 48,620 and 90,300, in.
"""

from __future__ import annotations

import re

import pytest
import torch

from chainstitch.nnet.layers import FixedAffine
from chainstitch.nnet.nets import Network
from chainstitch.nnet.optim import SGD, NaturalGradient
from tests.recipe_xconfig import recipe_xconfig
from tests.reference.network import simple_forward

TDNN, ABOVE_LSTM, LSTM = 3_146_752, 1_573_888, 5_774_848
# name: (pdfs, millions of parameters in kaldi-facts 6, by hand, left and right context)
RECIPES = {
    # lda reads 3 * 40 + 100 = 220
    "ami/conf/tdnn_lstm_1j": (
        3770, 43.4,
        221 * 1024 + 2 * TDNN + 3 * LSTM + 2 * (ABOVE_LSTM + 2 * TDNN) + 2 * 513 * 3770,
        (16, 26),
    ),
    # 5 * 40 + 100 = 300
    "swbd/conf/tdnn_lstm_1e": (
        6050, 39.6,
        301 * 1024 + 2 * TDNN + 3 * LSTM + 2 * (ABOVE_LSTM + TDNN) + 2 * 513 * 6050,
        (11, 21),
    ),
    "swbd/conf/blstm_6k": (6050, 41.2, 2 * 2_809_344 + 4 * LSTM + 2 * 1025 * 6050, (2, 2)),
    "tedlium/conf/tdnn_lstm_1v": (
        3608, 33.92,
        301 * 1024 + TDNN + 3 * LSTM + 2 * (ABOVE_LSTM + TDNN) + 2 * 513 * 3608,
        (10, 20),
    ),
}  # fmt: skip


def text(name: str, divide: int = 1) -> str:
    """The recipe's text, its widths divided."""
    xconfig = recipe_xconfig(name)

    def narrower(found: re.Match[str]) -> str:
        return f"{found[1]}{max(1, int(found[2]) // divide)}"

    return re.sub(r"(dim=)(\d{3,})", narrower, xconfig)


def drawn(network: Network) -> Network:
    """With an output layer and an LDA-like layer that are not as they begin."""
    generator = torch.Generator().manual_seed(1)
    for name in network.output_names:
        weight = network.layers[name.replace(".", "_")].weight
        weight.data.normal_(0.0, 0.1, generator=generator)
    for layer in network.modules():
        if isinstance(layer, FixedAffine):
            dim = len(layer.bias)
            m, b = (torch.randn(*s, generator=generator) for s in ((dim, dim), (dim,)))
            layer.set(m / dim**0.5, b)
    return network


@pytest.mark.parametrize("name", RECIPES)
def test_parameters_are_those_of_the_facts(name: str) -> None:
    pdfs, millions, by_hand, context = RECIPES[name]
    with torch.device("meta"):
        network = Network(text(name), pdfs)
    assert network.num_parameters() == by_hand
    assert by_hand / 1e6 == pytest.approx(millions, rel=0.005)
    assert (network.left_context, network.right_context) == context


@pytest.mark.parametrize("name", RECIPES)
def test_every_layer_has_the_limit_of_change_of_the_facts(name: str) -> None:
    network = Network(text(name, 32), 7)
    wanted = {"w_all": 1.5, "w_rp": 1.5, "peepholes": 0.75, "output": 1.5, "output-xent": 1.5}
    groups = SGD(network, 1e-3).param_groups
    found = {group["name"]: group["max_change"] for group in groups}
    assert len(found) == len(groups) == len(NaturalGradient(network).layers)
    for layer, limit in found.items():
        assert limit == wanted.get(layer.rpartition(".")[2], 0.75), layer
    xent = next(g for g in groups if g["name"] == "layers.output-xent")
    regularize = {"ami": 0.1, "swbd": 0.01, "tedlium": 0.1}[name.partition("/")[0]]
    regularize = 0.025 if "blstm" in name else regularize
    assert xent["learning_rate_factor"] == pytest.approx(0.5 / regularize)


@pytest.mark.parametrize("shift", [-1, 0, 1])
@pytest.mark.parametrize("name", RECIPES)
def test_the_grid_changes_no_value_and_no_gradient(name: str, shift: int) -> None:
    narrow = text(name, 32)
    torch.manual_seed(0)
    network = drawn(Network(narrow, 7)).double()
    dense = Network(narrow, 7, infer_grid=False).double()
    dense.load_state_dict(network.state_dict())
    # running averages of derivatives are over other frames: every third one, or all
    for layer in (*network.modules(), *dense.modules()):
        if hasattr(layer, "self_repair"):
            layer.self_repair = 0.0
    assert {grid.step for grid in dense.grids.values()} == {1}
    x, ivectors = torch.randn(3, 61, 40).double(), torch.randn(3, network.ivector_dim).double()
    lengths = torch.tensor([61, 44, 3])
    found, out_lengths = network.outputs(x, lengths, shift, ivectors)
    wanted, _ = dense.outputs(x, lengths, shift, ivectors)
    assert list(found) == list(wanted) == ["output", "output-xent"]
    assert out_lengths.tolist() == [21, 15, 1]
    for output in found:
        torch.testing.assert_close(found[output], wanted[output], rtol=0, atol=1e-10)
    for values in (found, wanted):
        sum(y.square().sum() for y in values.values()).backward()
    for (key, p), q in zip(network.named_parameters(), dense.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, rtol=1e-6, atol=1e-8), key


def test_every_layer_behind_the_first_splicing_of_three_frames_has_every_third_row() -> None:
    for name in RECIPES:
        network = Network(text(name, 32), 7)
        dense = {n for n, grid in network.grids.items() if grid.step == 1}
        first = {"tdnn1", "tdnn2", "lda"} if "ami" in name or "1e" in name else {"tdnn1", "lda"}
        assert dense == {"input", "ivector", *(set() if "blstm" in name else first)}
        lstms = [m for m in network.modules() if hasattr(m, "delay")]
        assert {abs(m.delay) // m.step for m in lstms} == {1}


def test_a_full_ami_network_gives_the_same_with_and_without_the_grid() -> None:
    xconfig = text("ami/conf/tdnn_lstm_1j")
    torch.manual_seed(0)
    network = drawn(Network(xconfig, 3770)).eval()
    with torch.device("meta"):
        dense = Network(xconfig, 3770, infer_grid=False).eval()
    dense.load_state_dict(network.state_dict(), assign=True)
    for part in dense.modules():  # not in the state
        for key, buffer in part.named_buffers(recurse=False):
            if buffer.is_meta:
                setattr(part, key, torch.zeros(buffer.shape))
    x, lengths = torch.randn(2, 40, 40), torch.tensor([40, 31])
    ivectors = torch.randn(2, 100)
    with torch.no_grad():
        found, wanted = (n(x, lengths, 0, ivectors)[0] for n in (network, dense))
    assert found.shape == (2, 14, 3770)
    assert found.std() > 0.1
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", RECIPES)
def test_values_and_gradients_are_those_of_the_frame_by_frame_twin(name: str) -> None:
    torch.manual_seed(0)
    network = drawn(Network(text(name, 128), 5)).double().eval()
    x = torch.randn(2, 17, 40, dtype=torch.float64, requires_grad=True)
    ivectors = torch.randn(2, 1, dtype=torch.float64, requires_grad=True)
    assert network.ivector_dim == 1
    lengths = torch.tensor([17, 11])
    variables = [x, ivectors, *(p for p in network.parameters())]
    for output in network.output_names:
        found = network.outputs(x, lengths, 1, ivectors, [output])[0][output]
        twin = [
            simple_forward(network, x[i, :n], 1, ivectors[i], output)
            for i, n in enumerate(lengths.tolist())
        ]
        wanted = torch.nn.utils.rnn.pad_sequence(twin, batch_first=True)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
        weights = torch.randn_like(found)
        gradients = [
            torch.autograd.grad((y * weights).sum(), variables, allow_unused=True)
            for y in (found, wanted)
        ]
        for a, b in zip(*gradients, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
