"""Kaldi's layers in training: they learn, and a run that was cut off goes on bit for bit."""

from __future__ import annotations

from pathlib import Path

import torch

from chainstitch.nnet.nets import Network
from chainstitch.nnet.train import diagnostics
from chainstitch.nnet.train.plan import BatchPlan
from chainstitch.nnet.train.trainer import Trainer
from tests.toy import Toy, same_tensors
from tests.training import make_trainer, settings

NET = """
input name=input dim=13
fixed-affine-layer name=lda input=Append(-1,0,1)
relu-batchnorm-dropout-layer name=tdnn1 dim=16 dropout-proportion=0.1 self-repair-scale=1e-5
tdnnf-layer name=tdnnf2 dim=16 bottleneck-dim=8 time-stride=3 dropout-proportion=0.0
fast-lstmp-layer name=forward cell-dim=16 delay=-3 decay-time=20 dropout-proportion=0.0
lstmp-layer name=backward cell-dim=16 delay=3 decay-time=20 input=tdnnf2
fast-lstm-layer name=lstm3 cell-dim=8 delay=-3 input=Append(forward, backward)
prefinal-layer name=chain big-dim=16 small-dim=8
output-layer name=output output-delay=3
output-layer name=output-xent input=lstm3
"""
SCHEDULE = settings(
    5e-3, 1e-3, backstitch_scale=0.3, backstitch_interval=2, dropout="0,0.2,0 tdnnf2=0,0.1"
)


def trainer(toy: Toy, out: Path) -> Trainer:
    out.mkdir()
    loss, examples, valid = toy.loss(), toy.examples(), toy.examples(toy.dev)
    torch.manual_seed(0)
    network = Network(NET, loss.denominator.num_pdfs)
    plan = BatchPlan(len(examples), 4, 6.0, 3, 0)
    return make_trainer(network, loss, examples, valid, plan, SCHEDULE, out)


def test_they_learn_and_resume_and_their_parts_do_their_work(toy: Toy, tmp_path: Path) -> None:
    made = trainer(toy, tmp_path / "whole")
    before = {k: p.detach().clone() for k, p in made.network.named_parameters()}
    made.run()
    rows = made.rows
    assert rows[-1]["train_diag_objf"] > rows[0]["train_diag_objf"]
    assert set(rows[1]["dropout"]) == {"tdnn1", "tdnnf2", "forward"}
    assert 0 < rows[1]["dropout"]["forward"] <= 0.2
    assert all(0.0 < row["saturation"] < 1.0 for row in rows[1:])
    assert "layers.output-xent" not in rows[0]["max_change"]["layers"]
    for name, p in made.network.named_parameters():
        assert torch.equal(p, before[name]) == ("output-xent" in name), name  # has no loss here
    for name in ("tdnnf2_linear", "chain"):
        layer = made.network.layers[name]
        values = torch.linalg.svdvals((layer[3] if name == "chain" else layer).weight)
        assert float(values.detach().max() / values.detach().min()) < 1.3, name
    assert made.network.self_repaired()["forward"] < 0.5
    cut = trainer(toy, tmp_path / "cut")
    (tmp_path / "cut" / "1.pt").write_bytes((tmp_path / "whole" / "1.pt").read_bytes())
    assert cut.resume()
    cut.run()
    assert same_tensors(cut.network.state_dict(), made.network.state_dict())


def test_what_the_main_output_does_not_need_has_a_derivative_of_zero(toy: Toy) -> None:
    torch.manual_seed(0)
    loss = toy.loss()
    loss.output_l2 = 0.0
    network = Network(NET, loss.denominator.num_pdfs)
    _, found = diagnostics.objective_and_gradient(network, loss, toy.examples(), [0, 1], "cpu")
    assert found.keys() == dict(network.named_parameters()).keys()
    assert not found["layers.output-xent.weight"].any()
    assert found["layers.output.weight"].any()
