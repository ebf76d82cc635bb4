"""Added losses: their values and derivatives by hand, their figures, and what is refused."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from chainstitch.nnet.loss.activation import ActivationPenalty
from chainstitch.nnet.loss.added import AddedLosses
from chainstitch.nnet.loss.classes import ClassLoss
from chainstitch.nnet.loss.outcome import Loss, LossSum, Outcome, Outputs
from chainstitch.nnet.nets import Network
from chainstitch.nnet.nets.wide_resnet import WideResNet
from chainstitch.nnet.tasks.image_examples import ImageExamples
from chainstitch.utils.errors import UsageError
from tests import images
from tests.toy import XCONFIG, Toy, rows, run

WEIGHT = 0.1
PENALTY = ("--set", f"losses.activation.weight={WEIGHT}", "--set", "losses.activation.layer=tdnn1")


def penalised(loss: Loss, layer: str) -> Loss:
    return AddedLosses(ActivationPenalty(WEIGHT, layer)).to(loss)


class Zero:
    """A loss of nothing, for any outputs."""

    taps = ()

    def outcome(self, outputs: Outputs, targets: Any) -> Outcome:
        return Outcome(0 * outputs.main.sum(), torch.zeros(len(outputs.main)), 1)


def gradients(network: nn.Module, value: Tensor) -> dict[str, Tensor]:
    network.zero_grad()
    value.backward()
    return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


def hidden(network: Network, features: Tensor, frames: int) -> Tensor:
    """What tdnn1, which reads frames -1, 0 and 1, is at every third frame."""
    found = []
    for t in range(0, frames, 3):
        near = [min(max(t + n, 0), frames - 1) for n in (-1, 0, 1)]
        found.append(network.layers["tdnn1"](features[near].reshape(1, -1)))
    return torch.cat(found)


@pytest.mark.parametrize("cut", [False, True], ids=["utterances", "chunks"])
def test_of_sequences_it_counts_each_frame_with_a_target_once(toy: Toy, cut: bool) -> None:
    torch.manual_seed(0)
    loss: Loss = Zero() if cut else toy.loss()
    network = Network(XCONFIG, toy.loss().denominator.num_pdfs).double().eval()
    batch = toy.examples().batch([0, 5, 11])
    assert len(set(batch.lengths.tolist())) == 3  # so that there is padding
    batch = dataclasses.replace(batch, features=batch.features.double())
    if cut:
        first, count = torch.tensor([2, 0, 5]), torch.tensor([9, 12, 7])
        batch = dataclasses.replace(batch, first=first, num_outputs=count)
    found = batch.outcome(network, penalised(loss, "tdnn1"), "cpu", 0)
    alone = batch.outcome(network, loss, "cpu", 0)
    penalty = torch.zeros((), dtype=torch.float64)
    for n, frames in enumerate(batch.lengths.tolist()):
        h = hidden(network, batch.features[n, :frames], frames)
        if cut:
            h = h[batch.first[n] : batch.first[n] + batch.num_outputs[n]]
        assert len(h) == batch.num_outputs[n]
        penalty = penalty + h.square().sum() / 2
    torch.testing.assert_close(found.value, alone.value + WEIGHT * penalty, rtol=1e-6, atol=0)
    assert float(found.figures["activation"]) == pytest.approx(float(penalty.detach()), rel=1e-6)
    assert torch.equal(found.objective, alone.objective) and found.count == alone.count
    assert {k: v for k, v in found.figures.items() if k != "activation"} == dict(alone.figures)
    ours, before = gradients(network, found.value), gradients(network, alone.value)
    more = gradients(network, WEIGHT * penalty)
    assert set(more) == {"layers.tdnn1.0.weight", "layers.tdnn1.0.bias"}
    for name, value in ours.items():
        wanted = before[name] + more.get(name, 0.0)
        torch.testing.assert_close(value, wanted, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    "layer", ["first", "second.0", "third.2.convolutions.1", "third.1.norms.0"]
)
def test_of_images_it_sees_what_the_module_puts_out(layer: str) -> None:
    torch.manual_seed(0)
    network = WideResNet(3, (4, 4, 8), 4).eval()
    nn.init.normal_(network.output.weight)
    examples = ImageExamples(images.images(6))
    batch = examples.batch([1, 4, 2])
    found = batch.outcome(network, penalised(ClassLoss(), layer), "cpu")
    alone = batch.outcome(network, ClassLoss(), "cpu")
    seen: list[Tensor] = []
    hook = network.get_submodule(layer).register_forward_hook(lambda *a: seen.append(a[2].clone()))
    network(examples.images(torch.tensor([1, 4, 2]), False))
    hook.remove()
    penalty = sum((x**2).sum() / 2 for x in seen)
    assert isinstance(penalty, Tensor)
    torch.testing.assert_close(found.value, alone.value + WEIGHT * penalty)
    assert torch.equal(found.objective, alone.objective)
    ours, before = gradients(network, found.value), gradients(network, alone.value)
    more = gradients(network, WEIGHT * penalty)
    for name, value in ours.items():
        wanted = before[name] + more.get(name, 0.0)
        torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-4, msg=name)


def test_losses_add_up_with_their_weights_figures_and_counts() -> None:
    @dataclasses.dataclass
    class Another:
        size: float
        taps: tuple[str, ...]

        def outcome(self, outputs: Outputs, targets: Any) -> Outcome:
            more = {"x": self.size + 1}, {"y": self.size + 2}
            return Outcome(self.size * outputs.main.sum(), outputs.main.sum(1), 7, *more)

    loss = LossSum(
        Another(2.0, ("a",)), {"b": (0.5, Another(3.0, ("a", "c"))), "d": (2.0, Another(5.0, ()))}
    )
    assert loss.taps == ("a", "c")
    found = loss.outcome(Outputs(torch.ones(2, 1)), None)
    assert float(found.value) == 2 * (2 + 0.5 * 3 + 2 * 5) and found.count == 7
    assert found.figures == {"x": 3, "b": 6, "b_x": 4, "d": 10, "d_x": 6}
    assert found.counts == {"y": 4, "b_y": 5, "d_y": 7}
    assert found.objective.tolist() == [1, 1]


def shown(exp: Path) -> list[str]:
    events = EventAccumulator(str(exp / "tensorboard"))
    events.Reload()
    return list(events.Tags()["scalars"])


def test_its_figure_is_in_the_record_the_pictures_and_the_log(
    toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, more in (("with", PENALTY), ("without", ())):
        out = tmp_path / name
        caplog.clear()
        with caplog.at_level(logging.INFO):
            assert run(*toy.arguments(out, *more, "--set", "training.passes=1")) == 0
        there = name == "with"
        assert all((row.get("activation", 0) > 0) == there for row in rows(out))
        assert all(("activation" in row["figures"]) == there for row in rows(out))  # type: ignore[operator]
        assert ("figures/activation" in shown(out)) == there and "figures/num_log_z" in shown(out)
        said = [record.message for record in caplog.records if "iter 1/" in record.message]
        assert len(said) == 1 and ("activation " in said[0]) == there


def test_a_layer_that_is_not_there_is_refused_with_the_names_of_those_that_are(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = (*PENALTY[:3], "losses.activation.layer=tdnn7")
    assert run(*toy.arguments(tmp_path / "exp", *wrong)) == 2
    said = capsys.readouterr().err
    assert "'tdnn7'" in said and "tdnn1, tdnn2, output" in said and said.count("\n") == 1
    images.write(tmp_path)
    assert run(*images.arguments(tmp_path, tmp_path / "exp", *wrong)) == 2
    said = capsys.readouterr().err
    assert "'tdnn7'" in said and "second.0" in said
    assert run(*toy.arguments(tmp_path / "exp", *PENALTY[:2])) == 2
    assert "the name of a layer with a weight" in capsys.readouterr().err
    assert not (tmp_path / "exp").exists()


def test_a_layer_without_values_at_the_times_of_the_outputs_is_refused(toy: Toy) -> None:
    network = Network(XCONFIG.replace("Append(-3,0,3)", "Append(-2,1)"), 4)
    with pytest.raises(UsageError, match="'tdnn1', which has no values at the times"):
        network.check_taps(["tdnn1"])
    network.check_taps(["tdnn2"])
    Network(XCONFIG, 4).check_taps(["tdnn1", "output"])
