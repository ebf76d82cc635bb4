"""A multi-layer perceptron for small images.

    the pixels in a row
    affine, ReLU, batch-norm, dropout      for each hidden layer
    affine, softmax

The order is that of Kaldi's relu-batchnorm-dropout-layer, and so are max-change and start: 0.75
and N(0, 1/in) for the hidden layers, 1.5 and zero for the output.

Source: Kaldi steps/libs/nnet3/xconfig/basic_layers.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from chainstitch.nnet.layers import Affine, BatchNorm
from chainstitch.nnet.nets.trainable import Trainable

HIDDEN = (256, 256)


class MLP(Trainable):
    """(batch, colours, rows, columns) images in [0, 1] -> (batch, classes) before the softmax.

    Args:
        num_classes: outputs.
        shape: rows, columns and colours of an image.
        hidden: units of each hidden layer; none makes it a linear classifier.
        dropout: proportion of the hidden units that is dropped in training.

    >>> MLP(10, (28, 28, 1), [100]).num_parameters()
    79510
    """

    def __init__(
        self,
        num_classes: int,
        shape: tuple[int, int, int],
        hidden: Sequence[int] = HIDDEN,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        dim = math.prod(shape)
        for units in hidden:
            layers += [Affine(dim, units), nn.ReLU(), BatchNorm(units), nn.Dropout(dropout)]
            dim = units
        self.hidden = nn.Sequential(*layers)
        self.output = Affine(dim, num_classes, max_change=1.5, zero=True)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, colours, rows, columns) -> (batch, classes)."""
        with self.autocast(images):
            scores: Tensor = self.output(self.hidden(images.flatten(1)))
            return scores
