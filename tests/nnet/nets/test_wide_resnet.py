"""The paper's network for CIFAR: its size, what it computes, and how it is trained."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from chainstitch.nnet.nets.wide_resnet import WideResNet
from chainstitch.nnet.optim import SGD, Backstitch, NaturalGradient
from tests.reference.wide_resnet import scores


def small(**options) -> WideResNet:
    torch.manual_seed(0)
    return WideResNet(7, (4, 6, 8), 5, **options)


@pytest.mark.parametrize("classes, parameters", [(10, 2_616_842), (100, 2_651_492)])
def test_it_has_the_papers_parameters_and_convolutions(classes, parameters):
    network = WideResNet(classes)
    assert network.num_parameters() == parameters
    assert sum(isinstance(m, nn.Conv2d) for m in network.modules()) == 20
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 17 and all(m.weight is None and m.eps == 1e-3 for m in norms)


@pytest.mark.parametrize(
    "kaldi_offsets, times",
    [(False, list(range(0, 32, 4))), (True, [2, 6, 10, 14, 18, 22, 24, 28])],
)
def test_it_agrees_with_the_naive_twin(kaldi_offsets, times):
    network = small(kaldi_offsets=kaldi_offsets).double().eval()
    nn.init.normal_(network.output.weight)  # it starts at zero
    for m in network.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.normal_()
            m.running_var.uniform_(0.5, 2.0)
    images = torch.rand(3, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(network(images), scores(network, images, times))


def test_layers_have_kaldis_limits_rates_and_start():
    network = small()
    sgd = SGD(network, 1.0)
    groups = {group["name"]: group for group in sgd.param_groups}
    output = groups.pop("output")
    assert (output["max_change"], output["learning_rate_factor"]) == (1.5, 0.1)
    assert all(g["max_change"] == 0.75 and g["learning_rate_factor"] == 1 for g in groups.values())
    assert len(groups) == 20 and set(NaturalGradient(network).layers) == {*groups, "output"}
    assert not network.output.weight.any()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            assert not layer.bias.any()
            expected = layer.weight[0].numel() ** -0.5
            assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=0.4)


def test_width_multiplies_all_filters():
    halved, written = WideResNet(10, width=0.5), WideResNet(10, (24, 64, 192), 96)
    assert halved.num_parameters() == written.num_parameters()
    with pytest.raises(ValueError, match="one filter"):
        WideResNet(10, width=0.001)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_batch_norm_statistics_after_a_backstitch_step_equal_a_normal_steps(alpha):
    network = small()
    nn.init.normal_(network.output.weight)
    plain = copy.deepcopy(network)
    images, labels = torch.rand(8, 3, 32, 32), torch.randint(7, (8,))

    def closure() -> torch.Tensor:
        network.zero_grad()
        loss = F.cross_entropy(network(images), labels, reduction="sum")
        loss.backward()
        return loss

    # learning rate 0: both passes see the same parameters, so the same statistics as a normal step
    Backstitch(SGD(network, 0.0), alpha, 1, module=network).step(closure)
    plain(images)
    for (name, ours), (_, theirs) in zip(
        network.named_buffers(), plain.named_buffers(), strict=True
    ):
        assert torch.equal(ours, theirs), name
    assert int(network.third[1].norms[0].num_batches_tracked) == 1
