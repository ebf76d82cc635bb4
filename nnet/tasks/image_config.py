"""What the config of an image classifier (egs/cifar/conf/*.toml) may say, with the defaults.

Read by `bin/train_image.py`; [optim] is that of all training (train_config.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chainstitch.nnet.nets.wide_resnet import BOTTLENECK, FILTERS
from chainstitch.nnet.tasks.speech_config import Optim, check_precision


@dataclass
class ImageNetwork:
    """[network]: filters of the three groups and in the middle of bottlenecks, times `width`;
    `kaldi_offsets`: see nets/wide_resnet.py."""

    filters: list[int] = field(default_factory=lambda: list(FILTERS))
    bottleneck: int = BOTTLENECK
    width: float = 1.0
    kaldi_offsets: bool = False

    def __post_init__(self) -> None:
        if len(self.filters) != 3 or self.width <= 0:
            raise ValueError(
                f"network: wanted three filters and width > 0, found {self.filters} and "
                f"{self.width}"
            )
        if round(self.width * min(*self.filters, self.bottleneck)) < 1:
            raise ValueError(f"network: width {self.width} leaves a convolution without filters")


@dataclass
class ImageTraining:
    """[training]: how much data, augmentation, and on how many images objectives are measured.

    Learning rate, backstitch's slow start and shrinking move once an iteration, of
    `images_per_iteration`. `max_shift` is in pixels (up, down, left, right), `flip` mirrors half of
    the images. The training objective of an iteration, that of combination and the batch-norm
    statistics of the final model are taken over `train_measured` images; the validation objective
    over `valid_measured` (0: all). `precision` is that of train_config.py.
    """

    epochs: float = 140.0
    minibatch_size: int = 256
    images_per_iteration: int = 25_000
    max_shift: float = 4.0
    flip: bool = True
    train_measured: int = 5000
    valid_measured: int = 0
    precision: str = "auto"

    def __post_init__(self) -> None:
        check_precision(self.precision)
        if self.epochs <= 0 or self.minibatch_size < 1 or self.images_per_iteration < 1:
            raise ValueError(
                "training: wanted epochs > 0, minibatch_size >= 1 and images_per_iteration >= 1"
            )
        if min(self.max_shift, self.train_measured - 1, self.valid_measured) < 0:
            raise ValueError(
                "training: wanted max_shift >= 0, train_measured >= 1 and valid_measured >= 0"
            )


@dataclass
class ImageConfig:
    """A whole conf/*.toml."""

    network: ImageNetwork = field(default_factory=ImageNetwork)
    optim: Optim = field(default_factory=Optim)
    training: ImageTraining = field(default_factory=ImageTraining)
