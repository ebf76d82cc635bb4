"""The network over padded batches, of torch's operations alone, is the network."""

from __future__ import annotations

import itertools

import pytest
import torch

from chainstitch.nnet.nets import Network
from chainstitch.nnet.nets.portable import Portable, PortableWithIvectors
from chainstitch.nnet.nets.portable_layers import portable_layers
from tests.nnet.nets.test_kaldi_layers import ALL, make

AUGMENTED = """
input name=input dim=6
idct-layer name=idct
batchnorm-component name=bn target-rms=0.5
freq-warp-layer name=warp
spec-augment-layer name=spec
relu-renorm-dropout-layer name=a dim=8 input=Append(-4,0,2) target-rms=0.5
relu-batchnorm-layer name=b dim=8 input=Append(-1,0,1) dropout-proportion=0.3
fast-lstm-layer name=f cell-dim=5 delay=-2
fast-lstmp-layer name=g cell-dim=8 delay=1 input=b dropout-proportion=0.2
output-layer name=output input=Append(Offset(f,-1), g) include-log-softmax=true
"""


@pytest.mark.parametrize("infer", [True, False])
@pytest.mark.parametrize("subsampling", [1, 3])
@pytest.mark.parametrize("text", [ALL, AUGMENTED])
def test_every_kind_of_layer_gives_the_networks_values_at_all_lengths(
    text: str, subsampling: int, infer: bool
) -> None:
    network = make(text, subsampling=subsampling, infer_grid=infer).eval()
    kind = PortableWithIvectors if network.ivector_dim else Portable
    module = kind(network).double()
    generator = torch.Generator().manual_seed(0)
    for lengths in ([20, 14, 3], [1], [2, 1], [30, 31, 32, 5], [7, 7]):
        x = torch.randn(
            len(lengths), max(lengths), network.input_dim, generator=generator, dtype=torch.float64
        )
        ivectors = None
        if network.ivector_dim:
            ivectors = torch.randn(len(lengths), network.ivector_dim, dtype=torch.float64)
        wanted, wanted_lengths = network(x, torch.tensor(lengths), 0, ivectors)
        for n, length in enumerate(lengths):
            x[n, length:] = torch.nan  # what stands there is not looked at
        more = () if ivectors is None else (ivectors,)
        found, found_lengths = module(x, torch.tensor(lengths), *more)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-11)
        assert torch.equal(found_lengths, wanted_lengths)


def test_an_lstm_is_the_same_in_chains_and_lengths_of_any_kind() -> None:
    for delay, frames in itertools.product((-4, -1, 1, 3), (1, 3, 4, 11)):
        text = f"input name=input dim=3\nfast-lstmp-layer name=a cell-dim=8 delay={delay}\n"
        network = make(text + "output-layer name=output", subsampling=1).eval()
        x = torch.randn(2, frames, 3, dtype=torch.float64)
        lengths = torch.tensor([frames, max(1, frames - 2)])
        torch.testing.assert_close(
            Portable(network).double()(x, lengths)[0], network(x, lengths)[0], rtol=0, atol=1e-11
        )


def test_scaled_likelihoods_are_those_of_the_prior() -> None:
    network = make(AUGMENTED).eval().float()
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    x, lengths = torch.randn(2, 9, 6), torch.tensor([9, 4])
    outputs, _ = network(x, lengths)
    found, _ = Portable(network, prior, 0.3)(x, lengths)
    torch.testing.assert_close(found[0], 0.3 * (outputs[0].log_softmax(1) - prior))
    assert not found[1, 2:].any()


def test_a_layer_that_it_does_not_know_is_named() -> None:
    with pytest.raises(TypeError, match="a Tanh cannot be exported"):
        portable_layers(torch.nn.Tanh())


def test_it_keeps_no_hold_on_the_networks_parameters() -> None:
    network = Network("input name=input dim=3\noutput-layer name=output", 2)
    module = Portable(network)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with torch.no_grad():
        for p in network.parameters():
            p += 1.0
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


class Halved(torch.nn.Module):
    """A layer that export has no row for."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 2


def test_a_layer_by_row_goes_as_it_is_and_another_unknown_one_is_refused() -> None:
    layer = Halved()
    with pytest.raises(TypeError, match="by_row"):
        portable_layers(layer)
    layer.by_row = True
    [portable] = portable_layers(layer)
    x = torch.randn(2, 5, 3)
    scripted = torch.jit.script(portable)
    torch.testing.assert_close(scripted(x, torch.tensor([5, 3])), x / 2)
