"""Images for tests: three classes, each with a colour of its own, and a small network of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from chainstitch.nnet.loss import ClassLoss
from chainstitch.nnet.nets.wide_resnet import WideResNet
from chainstitch.nnet.parallel.ranks import Ranks
from chainstitch.nnet.tasks.image_examples import ImageExamples
from chainstitch.nnet.train.plan import BatchPlan
from chainstitch.nnet.train.trainer import Trainer
from chainstitch.utils.data.images import ImageSet, write_images
from tests.training import Settings, make_trainer

COLOURS = ["red", "green", "blue"]
CONFIG = """
task = "images"
[network]
filters = [4, 4, 8]
bottleneck = 4
[optim]
initial_lr = 2e-2
final_lr = 5e-3
[optim.backstitch]
scale = 0.5
interval = 1
slow_start = 2
slow_start_share = 1.0
[training]
passes = 2
minibatch_size = 8
images_per_iteration = 16
train_measured = 16
"""


def images(count: int, seed: int = 0) -> ImageSet:
    """Noise, and in every image one colour more than the others."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % len(COLOURS)
    pixels = generator.integers(0, 120, (count, 32, 32, 3))
    pixels[np.arange(count), :, :, labels] += 100
    return ImageSet(pixels.astype(np.uint8), labels, COLOURS)


def write(place: Path) -> None:
    """conf.toml, train and test."""
    write_images(images(32), place / "train")
    write_images(images(12, 1), place / "test")
    (place / "conf.toml").write_text(CONFIG)


def arguments(place: Path, out: Path, *more: object) -> list[str]:
    """The `train` command that writes `out`, of what `write` wrote."""
    fixed = ["--data", place / "train", "--valid", place / "test", "--device", "cpu"]
    return list(map(str, ["train", place / "conf.toml", *fixed, "--out", out, *more]))


def trainer(
    out: Path,
    settings: Settings,
    ranks: Ranks | None = None,
    augment: bool = False,
    normalise: bool = True,
    passes: float = 10.0,
    **options: Any,
) -> Trainer:
    """Minibatches of 5, the last of a pass of 3; 5 a pass, in 4 iterations."""
    out.mkdir(exist_ok=True)
    torch.manual_seed(0)
    network = WideResNet(len(COLOURS), (4, 4, 8), 4)
    if not normalise:
        for layer in list(network.modules()):
            for number in range(len(getattr(layer, "norms", ()))):
                layer.norms[number] = torch.nn.Identity()  # type: ignore[index,operator,union-attr]
    train = ImageExamples(images(23), "cpu", 4.0 if augment else 0.0, augment)
    plan = BatchPlan(len(train), 5, passes, 4, 0, (0,))
    return make_trainer(
        network, ClassLoss(), train, ImageExamples(images(9, 1)), plan, settings, out,
        ranks=ranks, **options,
    )  # fmt: skip
