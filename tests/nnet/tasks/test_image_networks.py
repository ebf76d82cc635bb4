"""[network] of image configs: the keys of each kind, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainstitch.nnet.nets.convnet import ConvNet
from chainstitch.nnet.nets.mlp import MLP
from chainstitch.nnet.nets.wide_resnet import WideResNet
from chainstitch.nnet.tasks.image_config import ImageConfig
from chainstitch.nnet.tasks.image_networks import ImageNetwork, shape_in
from chainstitch.utils import config as configs
from chainstitch.utils.errors import UsageError, UserError

MNIST = (28, 28, 1)


@pytest.mark.parametrize(
    ("kind", "filters", "made"),
    [
        ("wide_resnet", [48, 128, 384], WideResNet),
        ("mlp", [], MLP),
        ("convnet", [32, 64], ConvNet),
    ],
)
def test_each_kind_has_filters_of_its_own_and_a_config_says_so_when_written(
    tmp_path: Path, kind: str, filters: list[int], made: type
) -> None:
    path = tmp_path / "conf.toml"
    path.write_text(f'[network]\nkind = "{kind}"\n')
    config = configs.load(path, ImageConfig)
    assert config.network.filters == filters
    configs.save(config, path)
    assert configs.load(path, ImageConfig) == config
    shape = (32, 32, 3) if kind == "wide_resnet" else MNIST
    assert type(config.network.build(10, shape)) is made


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "lstm"}, "network.kind: wanted wide_resnet or mlp or convnet, found 'lstm'"),
        ({"kind": "mlp", "filters": [32]}, "network.filters is not for kind 'mlp'"),
        ({"kind": "mlp", "width": 0.5}, "network.width is not for kind 'mlp'"),
        ({"kind": "convnet", "hidden": [9]}, "network.hidden is not for kind 'convnet'"),
        ({"dropout": 0.1}, "network.dropout is not for kind 'wide_resnet'"),
        ({"kind": "mlp", "dropout": 1.0}, "dropout wants 0 or more, below 1"),
        ({"kind": "mlp", "hidden": [9, 0]}, "hidden wants 1 to 65536, found 0"),
        ({"filters": [4, 8]}, "wanted three filters"),
    ],
)
def test_keys_that_a_kind_does_not_have_are_refused(options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ImageNetwork(**options)


def test_networks_that_do_not_fit_the_images_or_the_memory_are_refused() -> None:
    many = ImageNetwork("convnet", [4, 4, 4, 4, 4])
    with pytest.raises(UsageError, match=r"5 poolings leave nothing .* set fewer filters than"):
        many.build(10, MNIST)
    wide = ImageNetwork("mlp", hidden=[65536] * 50)
    with pytest.raises(UsageError, match=r"hidden = .* of memory.*; set fewer units"):
        wide.build(10, MNIST)
    wide = ImageNetwork("convnet", [65536] * 4)
    with pytest.raises(UsageError, match=r"filters = .* of memory.*; set fewer filters"):
        wide.build(10, MNIST)


def test_a_model_of_before_is_of_cifars_images_and_a_shape_that_is_none_is_refused() -> None:
    assert shape_in({}, Path("final.pt")) == (32, 32, 3)
    assert shape_in({"image_shape": [28, 28, 1]}, Path("final.pt")) == MNIST
    for found in ([28, 28], [28, 28, 0], [28, 28, 1.0], ["a", 1, 1]):
        with pytest.raises(UserError, match="final.pt is not one of ours"):
            shape_in({"image_shape": found}, Path("final.pt"))
