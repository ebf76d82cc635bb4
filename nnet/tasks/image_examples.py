"""Images as training examples: resident on the device, augmented there, in one gather.

All pixels of a set lie on the device as bytes, (images * rows * columns, colours). A minibatch is
one index of that table: of image n, the output's pixel (r, c) is

    pixels[n, clamp(r + dy_n), clamp'(c + dx_n)]      clamp': mirrored left to right if flip_n

so choosing the images, flipping, shifting and padding with the nearest pixel are a single pass over
bytes; division by 255 follows, and the result is channels-last as it stands. There are no workers.

dy, dx are uniform in [-s, s], rounded to whole pixels, and the flip is a fair coin, as in Kaldi
(s = 4: the ends have half the probability of the others). All are drawn by torch's generator of the
device inside the closure of a step: from (seed, iteration), as `Trainer` seeds it, and for both
steps of backstitch the same, as `Backstitch` rewinds it. In evaluation nothing is drawn.

Source: paper, section 5.2; Kaldi nnet3bin/nnet3-egs-augment-image.cc.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from chainstitch.nnet.loss.outcome import Loss, Outcome, Outputs
from chainstitch.nnet.nets.trainable import Trainable
from chainstitch.nnet.train.protocols import Stateless
from chainstitch.utils.data.images import ImageSet

AT_ONCE = 256  # in evaluation


class ImageExamples(Stateless):
    """A set of images on a device.

    Args:
        images: the set.
        device: where its pixels go.
        max_shift: of augmentation in training, pixels; flip: whether half of them are mirrored.
        num_measured: as in `Examples`; 0: all.

    Attributes:
        classes: their names.

    Raises:
        ValueError: max_shift < 0.
    """

    unit, at_once = "image", AT_ONCE

    def __init__(
        self,
        images: ImageSet,
        device: str = "cpu",
        max_shift: float = 0.0,
        flip: bool = False,
        num_measured: int = 0,
    ) -> None:
        if max_shift < 0:
            raise ValueError(f"augmentation: wanted max_shift >= 0, found {max_shift}")
        count, self.rows, self.columns, self.colours = images.pixels.shape
        self.classes = images.classes
        self.pixels = torch.from_numpy(images.pixels).to(device).view(-1, self.colours)
        self.labels = torch.from_numpy(images.labels).to(device)
        self.max_shift, self.flip = max_shift, flip
        self.num_measured = num_measured or count
        self.frames = np.ones(count, np.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def __str__(self) -> str:
        return f"{len(self)} images"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and colours of an image."""
        return self.rows, self.columns, self.colours

    def batch(self, indices: Sequence[int]) -> ImageBatch:
        """These images."""
        chosen = torch.tensor(indices)
        if self.pixels.is_cuda:
            chosen = chosen.pin_memory().to(self.pixels.device, non_blocking=True)
        return ImageBatch(self, chosen)

    def images(self, chosen: Tensor, augment: bool) -> Tensor:
        """(batch,) numbers -> (batch, colours, rows, columns) in [0, 1], channels last."""
        device = chosen.device
        row = torch.arange(self.rows, device=device).expand(len(chosen), -1)
        column = torch.arange(self.columns, device=device).expand(len(chosen), -1)
        if augment:
            draw = torch.rand(3, len(chosen), 1, device=device)
            dy, dx = ((2 * draw[1:] - 1) * self.max_shift).round().long()
            row = (row + dy).clamp(0, self.rows - 1)
            column = (column + dx).clamp(0, self.columns - 1)
            if self.flip:
                column = torch.where(draw[0] < 0.5, self.columns - 1 - column, column)
        place = (chosen[:, None] * self.rows + row)[:, :, None] * self.columns + column[:, None]
        return self.pixels[place].permute(0, 3, 1, 2) / 255


@dataclass(frozen=True)
class ImageBatch:
    """Some images of a set; `chosen` (batch,) are their numbers, on the device."""

    examples: ImageExamples
    chosen: Tensor

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def count(self) -> int:
        """Images."""
        return len(self.chosen)

    def outputs(self, network: nn.Module, device: str = "cpu") -> Tensor:
        """(batch, classes) before the softmax; of augmented images while the network trains."""
        outputs: Tensor = network(self.examples.images(self.chosen, network.training))
        return outputs

    def outcome(self, network: Trainable, loss: Loss, device: str, shift: int = 0) -> Outcome:
        """The loss of the network's outputs."""
        images = self.examples.images(self.chosen, network.training)
        outputs, taps = network.tapped(loss.taps, images)
        return loss.outcome(Outputs(outputs, None, taps), self.examples.labels[self.chosen])
