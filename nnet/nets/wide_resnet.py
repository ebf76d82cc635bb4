"""The paper's image network: a shallow wide ResNet of Kaldi's kind (section 5.2).

    conv, 2 residual blocks                         f1 = 48 filters at 32 x 32
    conv of stride 2, 2 residual blocks             f2 = 128        at 16 x 16
    conv of stride 2, 3 bottleneck blocks           f3 = 384, 192 in the middle, at 8 x 8
    mean over the places, affine, softmax

20 convolutions. A residual block is ReLU, batch-norm, 3x3 conv, ReLU, batch-norm, 3x3 conv; a
bottleneck block has convolutions of 1x1, 3x3 and 1x1. ReLU comes *before* batch-norm, which has no
scale and shift of its own, and the skip leaves from the first batch-norm's *output*. The three
convolutions between the groups have no nonlinearity.

With G convolutions' gradients preconditioned (optim/natural_gradient.py) every convolution is a
component with max-change 0.75; the output layer has 1.5, a learning rate of one tenth, and starts
at zero.

Kaldi reads an image column by column, as 32 frames of 32 rows x 3 colours; its columns of the third
group stand at every fourth time, and its recipes average those at times

    2, 6, 10, 14, 18, 22, 24, 28

as they were written down, where a uniform grid ends 26, 30. Six of them are on one grid and two on
another, and each grid is a third group of its own with shared weights: `kaldi_offsets` computes
both, which takes twice the work at 8 x 8. Here batch-norm sees all columns of both grids, in Kaldi
those that are needed. Without it the columns are 0, 4, ..., 28, as the rows are.

Departure: Kaldi's ReLUs repair themselves with scale 2e-5 (units active on less than 5 % or more
than 95 % of places); these do not.

Source: Kaldi egs/cifar/v1/local/nnet3/run_resnet_1a.sh, steps/libs/nnet3/xconfig/convolution.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chainstitch.nnet.layers import Affine, BatchNorm2d
from chainstitch.nnet.nets.trainable import Trainable

FILTERS, BOTTLENECK = (48, 128, 384), 192
KALDI_COLUMNS = ((2, 6, 10, 14, 18, 22), (24, 28))  # of the two grids, 2 + 4 j and 4 j


class WideResNet(Trainable):
    """(batch, 3, 32, 32) images in [0, 1] -> (batch, classes) before the softmax.

    Args:
        num_classes: outputs.
        filters: of the three groups; bottleneck: in the middle of the third's blocks.
        width: multiplies all of them; 0.25 is a quarter of the filters, a sixteenth of the work.
        kaldi_offsets: average the columns that Kaldi's recipes do.

    Raises:
        ValueError: no class, or no filter.

    >>> WideResNet(10).num_parameters(), WideResNet(100).num_parameters()
    (2616842, 2651492)
    """

    def __init__(
        self,
        num_classes: int,
        filters: Sequence[int] = FILTERS,
        bottleneck: int = BOTTLENECK,
        width: float = 1.0,
        kaldi_offsets: bool = False,
    ) -> None:
        super().__init__()
        f1, f2, f3, middle = (round(width * n) for n in (*filters, bottleneck))
        if num_classes < 1 or min(f1, f2, f3, middle) < 1:
            raise ValueError(
                f"wide resnet: wanted at least one class and one filter everywhere, found "
                f"{num_classes} classes, {f1}, {f2}, {f3} filters and {middle} in the middle"
            )
        self.num_outputs, self.kaldi_offsets = num_classes, kaldi_offsets
        self.first = nn.Sequential(_conv(3, f1), _pair(f1), _pair(f1))
        self.second = nn.Sequential(_conv(f1, f2, stride=2), _pair(f2), _pair(f2))
        self.third = nn.Sequential(
            _conv(f2, f3, stride=2, padding=0), *(_bottleneck(f3, middle) for _ in range(3))
        )
        self.output = Affine(f3, num_classes, max_change=1.5, learning_rate_factor=0.1, zero=True)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.weight[0].numel()))
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 3, rows, columns) -> (batch, classes)."""
        with self.autocast(images):
            return self._scores(images)

    def _scores(self, images: Tensor) -> Tensor:
        x = self.second(self.first(images))
        if not self.kaldi_offsets:
            mean = self.third(F.pad(x, (1, 1, 1, 1))).mean((2, 3))
        else:
            grids = [F.pad(x, (left, 1 - left, 1, 1)) for left in (0, 1)]
            shifted = self.third(torch.cat(grids)).chunk(2)
            columns = [
                part[..., [time // 4 for time in times]]
                for part, times in zip(shifted, KALDI_COLUMNS, strict=True)
            ]
            mean = torch.cat(columns, 3).mean((2, 3))
        scores: Tensor = self.output(mean)
        return scores


class Residual(nn.Module):
    """ReLU, batch-norm, convolution, in turn; the skip leaves from the first batch-norm."""

    def __init__(self, *convolutions: nn.Conv2d) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(convolutions)
        self.norms = nn.ModuleList(BatchNorm2d(c.in_channels) for c in convolutions)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, filters, rows, columns), and out the same."""
        skip = x = self.norms[0](F.relu(x, inplace=True))
        x = self.convolutions[0](x)
        for norm, convolution in zip(self.norms[1:], self.convolutions[1:], strict=True):
            x = convolution(norm(F.relu(x, inplace=True)))
        out: Tensor = x + skip
        return out


def _conv(
    dim: int, out: int, size: int = 3, stride: int = 1, padding: int | None = None
) -> nn.Conv2d:
    return nn.Conv2d(dim, out, size, stride, size // 2 if padding is None else padding)


def _pair(filters: int) -> Residual:
    return Residual(_conv(filters, filters), _conv(filters, filters))


def _bottleneck(filters: int, middle: int) -> Residual:
    return Residual(_conv(filters, middle, 1), _conv(middle, middle), _conv(middle, filters, 1))
