"""The task of image classifiers.

A run's directory holds, besides what all have, `classes.txt`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from chainstitch.nnet.loss import ClassLoss
from chainstitch.nnet.nets.trainable import Trainable
from chainstitch.nnet.tasks.image_config import ImageConfig, ImageInputs
from chainstitch.nnet.tasks.image_examples import ImageExamples
from chainstitch.nnet.tasks.image_networks import KINDS, check_shape, shape_in
from chainstitch.nnet.tasks.run_directory import wants_half
from chainstitch.nnet.tasks.task import Built, Place, Task
from chainstitch.nnet.train import diagnostics
from chainstitch.nnet.train.job_plan import num_pieces
from chainstitch.nnet.train.plan import BatchPlan
from chainstitch.utils.data.images import CLASSES, ImageSet, read_classes, read_images
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file


class Images(Task[ImageConfig, ImageInputs, Built]):
    """See the module's text."""

    Config, Inputs = ImageConfig, ImageInputs

    def build(self, config: ImageConfig, inputs: ImageInputs, place: Place, device: str) -> Built:
        """What the run trains.

        Raises:
            UserError: the sets are missing, damaged or of different classes.
        """
        train, valid = read_sets(config, inputs, device)
        if place.written is not None and read_classes(place.written / CLASSES) != train.classes:
            raise UserError(
                f"{inputs.data} has other classes than {place.written / CLASSES}; put back what it "
                "was trained on, or train again"
            )
        torch.manual_seed(inputs.seed)
        network = config.network.build(len(train.classes), train.shape)
        network.bf16 = wants_half(config.training.precision, device)
        training, loss = config.training, ClassLoss()
        # Kaldi's recipe has two archives of 25,000 images; its rule for speech would make it three
        archives = math.ceil(len(train) / training.images_per_iteration)
        pieces = num_pieces(training.passes, archives)
        plan = BatchPlan(
            len(train), training.minibatch_size, training.passes, pieces, inputs.seed, (0,),
            jobs=training.jobs,
        )  # fmt: skip
        return Built(network, config.losses.to(loss), loss, train, valid, plan, train.num_measured)

    def write(
        self, directory: Path, config: ImageConfig, inputs: ImageInputs, built: Built
    ) -> dict[str, Any]:
        """The names of the classes."""
        assert isinstance(built.train, ImageExamples)
        with atomic_file(directory / CLASSES) as stream:
            stream.writelines(f"{name}\n" for name in built.train.classes)
        return {"num_classes": len(built.train.classes)}

    def check_same(self, directory: Path, config: ImageConfig, inputs: ImageInputs) -> None:
        """Compares the classes."""
        if read_classes(Path(inputs.data) / CLASSES) != read_classes(directory / CLASSES):
            raise UserError(f"{inputs.data} has other classes than {directory} was begun with")

    def facts(self, config: ImageConfig, built: Built) -> dict[str, Any]:
        """How many classes, and what images."""
        assert isinstance(built.train, ImageExamples)
        return {"num_outputs": len(built.train.classes), "image_shape": list(built.train.shape)}

    def open_network(self, exp: Path, config: ImageConfig, facts: dict[str, Any]) -> Trainable:
        """The network that the config describes."""
        classes = read_classes(exp / CLASSES)
        if len(classes) != facts["num_outputs"]:
            raise UserError(
                f"{exp / CLASSES} has {len(classes)} classes, the network {facts['num_outputs']} "
                "outputs; put back the file that `chainstitch train` wrote"
            )
        return config.network.build(len(classes), shape_in(facts, exp / "final.pt"))


def classify(network: Trainable, images: ImageSet, device: str) -> Iterator[list[int]]:
    """The likeliest class of each image, some images at a time."""
    examples = ImageExamples(images, device)
    with diagnostics.evaluating(network):
        for begin_ in range(0, len(examples), examples.at_once):
            indices = range(begin_, min(begin_ + examples.at_once, len(examples)))
            yield examples.batch(indices).outputs(network, device).argmax(1).tolist()


def read_sets(
    config: ImageConfig, inputs: ImageInputs, device: str
) -> tuple[ImageExamples, ImageExamples]:
    """The two sets, on the device.

    Raises:
        UserError: they are missing, damaged, of different classes or sizes, or of one that the
            network is not for.
    """
    train, valid = read_images(inputs.data), read_images(inputs.valid)
    if train.classes != valid.classes:
        raise UserError(f"{inputs.data} and {inputs.valid} have different classes")
    wanted = KINDS[config.network.kind].shape or train.pixels.shape[1:]
    for images, directory in ((train, inputs.data), (valid, inputs.valid)):
        check_shape(images, directory, wanted)
    training = config.training
    return (
        ImageExamples(train, device, training.max_shift, training.flip, training.train_measured),
        ImageExamples(valid, device, num_measured=training.valid_measured),
    )
