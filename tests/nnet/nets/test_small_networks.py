"""The small networks of images: what they compute, how they are trained, and what fits them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from chainstitch.nnet.layers import Affine, BatchNorm
from chainstitch.nnet.nets.convnet import ConvNet
from chainstitch.nnet.nets.mlp import MLP
from chainstitch.nnet.optim import SGD, Backstitch, NaturalGradient
from tests.reference.small_networks import convolutional, perceptron

SHAPE = (7, 9, 2)


def mlp(dropout=0.0):
    torch.manual_seed(0)
    return MLP(4, SHAPE, [6, 5], dropout)


def convnet(dropout=0.0):
    torch.manual_seed(0)
    return ConvNet(4, SHAPE, [3, 5], dropout)


BOTH = pytest.mark.parametrize("make", [mlp, convnet])


def parts(network):
    """What the twins are given: (W, b, mean, variance) of each layer, and the output's W and b."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    found = [
        (layer.weight, layer.bias, norm.running_mean, norm.running_var)
        for layer, norm in zip(layers, norms, strict=False)
    ]
    output = (network.output.weight, network.output.bias)
    return [[t.detach().numpy() for t in part] for part in (*found, output)]


@pytest.mark.parametrize(("make", "twin"), [(mlp, perceptron), (convnet, convolutional)])
def test_it_agrees_with_the_naive_twin(make, twin):
    network = make(dropout=0.3).double().eval()
    nn.init.normal_(network.output.weight)  # it starts at zero
    for m in network.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.running_mean.normal_()
            m.running_var.uniform_(0.5, 2.0)
    images = torch.rand(3, SHAPE[2], *SHAPE[:2], dtype=torch.float64)
    *layers, output = parts(network)
    wanted = [twin(image, layers, output) for image in images.numpy()]
    with torch.no_grad():
        np.testing.assert_allclose(network(images).numpy(), wanted, rtol=1e-12, atol=1e-12)


@BOTH
def test_every_layer_has_natural_gradient_and_its_limit(make):
    network = make()
    limits = {group["name"]: group["max_change"] for group in SGD(network, 1.0).param_groups}
    assert limits.pop("output") == 1.5 and set(limits.values()) == {0.75} and len(limits) == 2
    natural_gradient = NaturalGradient(network)
    assert set(natural_gradient.layers) == {*limits, "output"} and not natural_gradient.left_out
    assert not network.output.weight.any()


def test_convolutions_start_from_one_over_in_without_biases():
    torch.manual_seed(0)
    for layer in ConvNet(10, (28, 28, 1), [32, 64]).modules():
        if isinstance(layer, nn.Conv2d):
            expected = layer.weight[0].numel() ** -0.5
            assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=0.15)
            assert not layer.bias.any()


@BOTH
def test_both_steps_of_backstitch_see_the_same_units_and_count_once(make):
    network, dropped = make(dropout=0.5), []
    nn.init.normal_(network.output.weight)
    for m in network.modules():
        if isinstance(m, nn.Dropout):
            m.register_forward_hook(lambda _m, _x, y: dropped.append((y == 0).clone()))
    plain = copy.deepcopy(network)
    images, labels = torch.rand(8, SHAPE[2], *SHAPE[:2]), torch.randint(4, (8,))

    def closure():
        network.zero_grad()
        loss = F.cross_entropy(network(images), labels, reduction="sum")
        loss.backward()
        return loss

    Backstitch(SGD(network, 0.0), 0.5, 1, module=network).step(closure)
    assert len(dropped) == 4 and all(mask.any() and not mask.all() for mask in dropped)
    assert torch.equal(dropped[0], dropped[2]) and torch.equal(dropped[1], dropped[3])
    plain(images)
    first = next(m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    assert int(first.num_batches_tracked) == 1
    other = next(m for m in plain.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    assert torch.equal(first.running_mean, other.running_mean)  # before any dropout


@BOTH
def test_a_last_minibatch_of_one_image_goes_through(make):
    network = make()
    nn.init.normal_(network.output.weight)
    network(torch.rand(5, SHAPE[2], *SHAPE[:2]))
    norm = BatchNorm(3)
    norm(torch.randn(6, 3))
    one = torch.randn(1, 3, requires_grad=True)
    wanted = (one - norm.running_mean) * torch.rsqrt(norm.running_var + norm.eps)
    torch.testing.assert_close(norm(one), wanted)
    norm(one).sum().backward()
    assert int(norm.num_batches_tracked) == 1 and one.grad.all()
    assert network(torch.rand(1, SHAPE[2], *SHAPE[:2])).isfinite().all()


def test_no_hidden_layer_is_a_linear_classifier():
    network = MLP(4, SHAPE, [])
    assert [type(m) for m in network.modules()] == [MLP, nn.Sequential, Affine]
    assert network(torch.rand(3, SHAPE[2], *SHAPE[:2])).shape == (3, 4)


def test_more_poolings_than_an_image_has_halves_are_refused():
    with pytest.raises(ValueError, match="3 poolings leave nothing of an image of 7 x 9 pixels"):
        ConvNet(4, SHAPE, [3, 3, 3])
