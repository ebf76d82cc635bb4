"""Runs of image classifiers: begun, resumed, reopened for combination, and used.

The directory holds `config.toml inputs.toml classes.txt receipt.json`, then `<iter>.pt train.jsonl
tensorboard/` from train.py and `final.pt` from combination, as a speech run's does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from chainstitch.nnet.loss import ClassLoss
from chainstitch.nnet.nets.wide_resnet import WideResNet
from chainstitch.nnet.tasks.image_config import ImageConfig
from chainstitch.nnet.tasks.image_examples import ImageExamples
from chainstitch.nnet.tasks.reopened import Reopened
from chainstitch.nnet.tasks.run_directory import (
    CONFIG,
    INPUTS,
    begin,
    schedule_of,
    wants_half,
    write_settings,
)
from chainstitch.nnet.train import diagnostics
from chainstitch.nnet.train.plan import BatchPlan
from chainstitch.nnet.train.shares import num_iterations
from chainstitch.nnet.train.trainer import Trainer
from chainstitch.utils import checkpoint
from chainstitch.utils import config as configs
from chainstitch.utils.data.images import CLASSES, ImageSet, read_classes, read_images
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_directory, atomic_file

logger = logging.getLogger(__name__)

NUM_COMBINE_STATISTICS = 1024  # images that batch-norm statistics of a candidate are taken over


@dataclass
class ImageInputs:
    """What a run was made from, besides its config."""

    data: str
    valid: str
    seed: int


def start_image_training(
    config: ImageConfig,
    data: Path,
    valid: Path,
    out: Path,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    overwrite: bool = False,
) -> Trainer:
    """Makes (or reopens) the experiment directory `out` and a `Trainer` ready to `run()`.

    Raises:
        UsageError: `out` exists and neither resume nor overwrite is asked for.
        UserError: the sets are missing, damaged or of different classes, or do not fit a run that
            is to be resumed.
    """
    inputs = ImageInputs(str(data), str(valid), seed)
    resuming = begin(out, config, inputs, resume, overwrite)
    examples, valid_examples, classes = _load(config, inputs, device)
    if resuming and classes != read_classes(out / CLASSES):
        raise UserError(f"{data} has other classes than {out} was begun with")
    torch.manual_seed(seed)
    network = _network(config, len(classes), device)
    training, optim = config.training, config.optim
    count = num_iterations(len(examples), training.epochs, training.images_per_iteration)
    plan = BatchPlan(
        len(examples), training.minibatch_size, training.epochs, count, seed, frame_shift=False
    )
    trainer = Trainer(
        network, ClassLoss(), examples, valid_examples, plan, schedule_of(optim), out, seed, device,
        optim.natural_gradient, optim.momentum,
    )  # fmt: skip
    if not resuming:
        with atomic_directory(out, overwrite):
            pass
        with atomic_file(out / CLASSES) as stream:
            stream.writelines(f"{name}\n" for name in classes)
        write_settings(out, config, inputs)
    elif not trainer.resume():
        logger.info("%s has no checkpoint yet; starting from the beginning", out)
    return trainer


def is_image_run(exp: Path) -> bool:
    """Whether `start_image_training` made the directory."""
    return (exp / CLASSES).is_file()


def reopen_images(exp: Path, device: str) -> Reopened:
    """The run in `exp`, for combination.

    Raises:
        UserError: its sets are gone or damaged.
    """
    config = configs.load(exp / CONFIG, ImageConfig)
    inputs = configs.load(exp / INPUTS, ImageInputs)
    train, valid, classes = _load(config, inputs, device)
    network, loss = _network(config, len(classes), device).to(device), ClassLoss()
    return Reopened(
        exp, device, network, loss, loss, train, valid, NUM_COMBINE_STATISTICS, train.num_measured,
        {"num_outputs": len(classes)},
    )  # fmt: skip


def load_classifier(exp: Path, device: str) -> tuple[WideResNet, list[str]]:
    """The final model of `exp`, ready for use, and the names of its classes.

    Raises:
        UsageError: `exp` is not the directory of an image run.
        UserError: it has no final.pt, or a damaged one.
    """
    if not (is_image_run(exp) and (exp / CONFIG).is_file()):
        raise UsageError(f"{exp} is not a directory that `chainstitch train-image` wrote")
    path = exp / "final.pt"
    if not path.is_file():
        raise UserError(f"{path} does not exist; run `chainstitch combine {exp}` first")
    classes = read_classes(exp / CLASSES)
    network = _network(configs.load(exp / CONFIG, ImageConfig), len(classes), device).to(device)
    network.load_state_dict(checkpoint.load(path, device)["model"])
    return network.eval(), classes


def classify(network: WideResNet, images: ImageSet, device: str) -> Iterator[list[int]]:
    """The likeliest class of each image, some images at a time."""
    examples = ImageExamples(images, device)
    with diagnostics.evaluating(network):
        for begin_ in range(0, len(examples), examples.at_once):
            indices = range(begin_, min(begin_ + examples.at_once, len(examples)))
            yield examples.batch(indices).outputs(network).argmax(1).tolist()


def _network(config: ImageConfig, num_classes: int, device: str) -> WideResNet:
    options = config.network
    network = WideResNet(
        num_classes, options.filters, options.bottleneck, options.width, options.kaldi_offsets
    )
    network.bf16 = wants_half(config.training.precision, device)
    return network


def _load(
    config: ImageConfig, inputs: ImageInputs, device: str
) -> tuple[ImageExamples, ImageExamples, list[str]]:
    train, valid = read_images(inputs.data), read_images(inputs.valid)
    if train.classes != valid.classes:
        raise UserError(f"{inputs.data} and {inputs.valid} have different classes")
    for images, directory in ((train, inputs.data), (valid, inputs.valid)):
        if images.pixels.shape[1:] != (32, 32, 3):
            raise UserError(
                f"{directory} has images of {images.pixels.shape[1:]}, wanted 32 x 32 of 3 colours"
            )
    training = config.training
    return (
        ImageExamples(train, device, training.max_shift, training.flip, training.train_measured),
        ImageExamples(valid, device, num_measured=training.valid_measured),
        train.classes,
    )
