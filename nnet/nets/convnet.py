"""A small convolutional network for images of any size.

    3x3 conv, ReLU, batch-norm, 2x2 max-pool, dropout      for each number of filters
    all places in a row
    affine, softmax

Every pooling halves rows and columns, an odd one at the end being left out. ReLU comes before
batch-norm, which has no scale and shift of its own, as in wide_resnet.py; convolutions also start
as there, from N(0, 1/in) with biases of zero, with max-change 0.75. The output layer has 1.5 and
starts at zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from chainstitch.nnet.layers import Affine, BatchNorm2d
from chainstitch.nnet.nets.trainable import Trainable

FILTERS = (32, 64)


class ConvNet(Trainable):
    """(batch, colours, rows, columns) images in [0, 1] -> (batch, classes) before the softmax.

    Args:
        num_classes: outputs.
        shape: rows, columns and colours of an image.
        filters: of each convolution.
        dropout: proportion of what each layer gives that is dropped in training.

    Raises:
        ValueError: the poolings leave no place of such an image.

    >>> ConvNet(10, (28, 28, 1), [8, 16]).num_parameters()
    9098
    """

    def __init__(
        self,
        num_classes: int,
        shape: tuple[int, int, int],
        filters: Sequence[int] = FILTERS,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        rows, columns, dim = shape
        places = places_left((rows, columns), len(filters))
        layers: list[nn.Module] = []
        for count in filters:
            convolution = nn.Conv2d(dim, count, 3, padding=1)
            nn.init.normal_(convolution.weight, std=1 / math.sqrt(9 * dim))
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)
            layers += [convolution, nn.ReLU(), BatchNorm2d(count), nn.MaxPool2d(2)]
            layers.append(nn.Dropout(dropout))
            dim = count
        self.layers = nn.Sequential(*layers)
        self.output = Affine(dim * places, num_classes, max_change=1.5, zero=True)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        """(batch, colours, rows, columns) -> (batch, classes)."""
        with self.autocast(images):
            scores: Tensor = self.output(self.layers(images).flatten(1))
            return scores


def places_left(size: tuple[int, int], poolings: int) -> int:
    """How many places of an image of so many rows and columns are left.

    Raises:
        ValueError: none.

    >>> places_left((28, 28), 3)
    9
    """
    rows, columns = (side >> poolings for side in size)
    if not rows * columns:
        raise ValueError(
            f"{poolings} poolings leave nothing of an image of {size[0]} x {size[1]} pixels"
        )
    return rows * columns
