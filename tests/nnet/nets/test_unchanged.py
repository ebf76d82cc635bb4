"""Networks of the recipes give what they gave before xconfig.py read more than they say.

The figures were printed by the code below at commit 1862ec4, before the builder was taken apart.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch

from chainstitch.nnet.nets import Network
from chainstitch.nnet.optim import SGD, NaturalGradient

LSTM = """
input name=input dim=40
relu-renorm-layer name=tdnn1 dim=8 input=Append(-1,0,1)
fast-lstmp-layer name=lstm1 cell-dim=12 delay=-3 decay-time=20 {off}
relu-renorm-layer name=tdnn2 dim=7 input=Append(-3,0,3) dropout-proportion=0.2
fast-lstmp-layer name=forwards cell-dim=8 recurrent-projection-dim=3 delay=-3 input=tdnn2 {off}
fast-lstmp-layer name=backwards cell-dim=8 non-recurrent-projection-dim=1 delay=3 input=tdnn2 {off}
fast-lstmp-layer name=each cell-dim=8 delay=-1 input=Append(forwards, backwards) {off}
output-layer name=output
""".replace("{off}", "self-repair-scale-nonlinearity=0")  # which was not there then

# entries of the state, sum of the parameters' absolute values, outputs
BEFORE = {
    "digits": (30, 17498.28704786994, [-0.65135, -3.39845, 1.31523, -2.12793, -0.73694, -3.69621]),
    "mini": (30, 17500.394175585083, [-0.37586, -3.80661, 2.12497, -0.384, -0.07048, -3.74627]),
    "yesno": (25, 5220.609529083629, [1.08344, -2.54884, -2.25567, 0.71156, 2.09734, -2.39168]),
    "lstm": (34, 731.2493836294852, [-0.12254, 0.03477, -0.32524, 0.11087, -0.11891, 0.01624]),
}


def text(repository: Path, name: str) -> str:
    if name == "lstm":
        return LSTM
    config = (repository / "egs" / name / "conf" / "tdnn_1a.toml").read_text()
    xconfig: str = tomllib.loads(config)["network"]["xconfig"]
    return xconfig


@pytest.mark.parametrize("name", BEFORE)
def test_three_updates_and_an_evaluation_give_what_they_did(repository: Path, name: str) -> None:
    torch.manual_seed(0)
    network = Network(text(repository, name), 6)
    for layer in network.modules():
        if getattr(layer, "_zero", False):
            torch.nn.init.normal_(layer.weight, std=0.3)
    natural_gradient, sgd = NaturalGradient(network), SGD(network, 1e-3)
    x, lengths = torch.randn(4, 33, 40), torch.tensor([33, 20, 31, 7])
    for shift in (-1, 0, 1):
        network.zero_grad()
        y, out_lengths = network(x, lengths, shift)
        y.square().sum().backward()
        natural_gradient.precondition_gradients()
        sgd.step()
    network.eval()
    y, out_lengths = network(x, lengths, 1)
    entries, total, outputs = BEFORE[name]
    assert out_lengths.tolist() == [11, 7, 11, 3]
    assert len(network.state_dict()) == entries
    found = sum(float(p.detach().double().abs().sum()) for p in network.parameters())
    assert found == pytest.approx(total, rel=1e-7)
    assert y[0, 3, :4].tolist() + y[2, 10, :2].tolist() == pytest.approx(outputs, abs=2e-4)
