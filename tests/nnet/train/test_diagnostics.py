"""Diagnostics measure and leave no trace; batch-norm statistics are plain averages."""

from __future__ import annotations

import copy

import pytest
import torch

from chainstitch.nnet.layers import BatchNorm
from chainstitch.nnet.nets import Network
from chainstitch.nnet.optim import SGD, NaturalGradient
from chainstitch.nnet.tasks.utterances import ChainExamples
from chainstitch.nnet.train import diagnostics
from tests.toy import XCONFIG, Toy, same_tensors

NORM = "input name=input dim=13\nbatchnorm-component name=norm\noutput-layer name=output\n"


def make(toy: Toy, xconfig: str = XCONFIG) -> Network:
    torch.manual_seed(0)
    network = Network(xconfig, toy.loss().denominator.num_pdfs)
    torch.nn.init.normal_(network.layers["output"].weight, std=0.3)  # it starts at zero
    return network


def test_objective_leaves_the_state_of_training_unchanged(toy: Toy) -> None:
    network, loss, examples = make(toy), toy.loss(), toy.examples()
    natural_gradient, sgd = NaturalGradient(network), SGD(network, 1e-3)
    for _ in range(3):
        batch = examples.batch([0, 1, 2])
        network.zero_grad()
        loss(*batch.outputs(network, "cpu"), batch.targets).backward()
        natural_gradient.precondition_gradients()
        sgd.step()
    before = copy.deepcopy(network.state_dict())
    fisher = copy.deepcopy(natural_gradient.state_dict())
    gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    generator = torch.get_rng_state()
    value = diagnostics.objective(network, loss, examples, [3, 4, 5], "cpu")
    assert value <= 0
    assert same_tensors(before, network.state_dict())
    torch.testing.assert_close(natural_gradient.state_dict(), fisher, rtol=0, atol=0)
    after = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(gradients, after, strict=True))
    assert torch.equal(generator, torch.get_rng_state())
    assert network.training and all(m.training for m in network.modules())


def test_objective_is_per_frame_however_it_is_batched(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, loss, examples = make(toy), toy.loss(), toy.examples()
    indices = diagnostics.subset(examples)
    together = diagnostics.objective(network, loss, examples, indices, "cpu")
    monkeypatch.setattr(ChainExamples, "at_once", 5)
    assert diagnostics.objective(network, loss, examples, indices, "cpu") == pytest.approx(together)
    frames = [-(-int(n) // 3) for n in examples.frames]
    single = [diagnostics.objective(network, loss, examples, [i], "cpu") for i in indices]
    weighted = sum(v * n for v, n in zip(single, frames, strict=True)) / sum(frames)
    assert weighted == pytest.approx(together)


def test_subset_is_spread_over_the_set_and_never_repeats(toy: Toy) -> None:
    examples = toy.examples()
    assert diagnostics.subset(examples) == list(range(24))
    assert diagnostics.subset(examples, 6) == [0, 4, 8, 12, 16, 20]


@pytest.mark.parametrize("size", [5, 64])
def test_refreshed_statistics_are_the_plain_average_over_all_rows(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(ChainExamples, "at_once", size)
    network, examples = make(toy, NORM), toy.examples()
    diagnostics.refresh_statistics(network, examples, list(range(24)), "cpu")
    rows = [torch.from_numpy(examples.reader.load(c))[::3] for c in examples.cuts]
    number = -(-24 // size)
    batches = [torch.cat(rows[i::number]) for i in range(number)]  # from everywhere in the set
    norm = network.layers["norm"]
    torch.testing.assert_close(norm.running_mean, torch.cat(rows).mean(0), rtol=1e-4, atol=1e-4)
    shares = torch.tensor([float(len(b)) for b in batches]) / sum(map(len, rows))
    variance = (torch.stack([b.var(0) for b in batches]) * shares[:, None]).sum(0)
    torch.testing.assert_close(norm.running_var, variance, rtol=1e-4, atol=1e-4)


def test_refreshing_forgets_the_past_and_changes_nothing_else(toy: Toy) -> None:
    network, examples = make(toy), toy.examples()
    parameters = [p.clone() for p in network.parameters()]
    generator = torch.get_rng_state()
    norms = [m for m in network.modules() if isinstance(m, BatchNorm)]
    seen = []
    for garbage in (0.0, 100.0):
        for m in norms:
            m.running_mean.fill_(garbage)
        diagnostics.refresh_statistics(network, examples, [1, 3, 5], "cpu")
        seen.append([m.running_mean.clone() for m in norms])
    assert norms and all(torch.equal(a, b) for a, b in zip(*seen, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(parameters, network.parameters(), strict=True))
    assert torch.equal(generator, torch.get_rng_state())  # dropout was off
    assert all(m.momentum == 0.1 and not m._forward_pre_hooks for m in norms)
    assert all(m.training for m in network.modules())
