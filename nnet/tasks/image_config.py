"""What the config of an image classifier (egs/cifar/conf/*.toml) may say, with the defaults.

[network] is in image_networks.py; [optim] and [training] also have the keys of options.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chainstitch.nnet.loss.added import AddedLosses
from chainstitch.nnet.tasks.image_networks import ImageNetwork
from chainstitch.nnet.tasks.options import Optim, Training
from chainstitch.utils.bounds import SEED


@dataclass
class ImageTraining(Training):
    """[training]: how much data, augmentation, and on how many images objectives are measured.

    The training objective of an iteration, that of combination and the batch-norm statistics of the
    final model are taken over `train_measured` images.
    """

    passes: float = field(
        default=140.0, metadata={"help": "passes over the data", "bounds": "(0, 1000000]"}
    )
    minibatch_size: int = field(
        default=256, metadata={"help": "images of a minibatch", "bounds": "[1, 1000000]"}
    )
    precision: str = field(default="auto", metadata={"help": "float32; bf16; auto: bf16 on a GPU"})
    images_per_iteration: int = field(
        default=25_000,
        metadata={
            "help": "images that a job of an iteration trains on",
            "bounds": "[1, 1000000000000]",
        },
    )
    max_shift: float = field(
        default=4.0,
        metadata={"help": "pixels up, down, left, right, drawn in training", "bounds": "[0, 32]"},
    )
    flip: bool = field(default=True, metadata={"help": "mirror half of the images in training"})
    train_measured: int = field(
        default=5000,
        metadata={
            "help": "training images that objectives are measured on",
            "bounds": "[1, 1000000000]",
        },
    )
    valid_measured: int = field(
        default=0, metadata={"help": "and held-out ones; 0: all", "bounds": "[0, 1000000000]"}
    )


@dataclass
class ImageConfig:
    """A whole conf/*.toml."""

    task: str = field(default="images", metadata={"help": "what is trained"})
    network: ImageNetwork = field(default_factory=ImageNetwork)
    optim: Optim = field(default_factory=Optim)
    training: ImageTraining = field(default_factory=ImageTraining)
    losses: AddedLosses = field(default_factory=AddedLosses)


@dataclass
class ImageInputs:
    """What a run was made from, besides its config: sets of images."""

    data: str
    valid: str
    seed: int = field(metadata={"bounds": SEED})
