"""The paper's wide ResNet written out, as Kaldi sees it: every column of the third group at once.

The third group is computed at all of the second group's 16 columns (times 0, 2, ..., 30), with
convolutions that reach two columns, that is 4 times, to each side; then the wanted times are taken.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from chainstitch.nnet.nets.wide_resnet import WideResNet


def scores(network: WideResNet, images: Tensor, times: list[int]) -> Tensor:
    """(batch, classes) in evaluation mode, averaging the columns at these even times."""
    x = images
    for group in (network.first, network.second):
        first, *blocks = group
        x = F.conv2d(x, first.weight, first.bias, first.stride, padding=1)
        for block in blocks:
            x = residual(block, x, 1)
    first, *blocks = network.third
    x = F.conv2d(x, first.weight, first.bias, stride=(2, 1), padding=1)
    for block in blocks:
        x = residual(block, x, 2)
    mean = sum(x[:, :, :, time // 2].mean(2) for time in times) / len(times)
    return mean @ network.output.weight.t() + network.output.bias


def residual(block: nn.Module, x: Tensor, columns: int) -> Tensor:
    """ReLU, norm, convolution, ..., plus the first norm's output."""
    skip = None
    for norm, convolution in zip(block.norms, block.convolutions, strict=True):
        mean, var = (s[None, :, None, None] for s in (norm.running_mean, norm.running_var))
        x = (x.clamp(min=0) - mean) / (var + 1e-3).sqrt()
        skip = x if skip is None else skip
        reach = convolution.weight.shape[2] // 2
        x = F.conv2d(
            x, convolution.weight, convolution.bias,
            padding=(reach, reach * columns), dilation=(1, columns),
        )  # fmt: skip
    return x + skip
