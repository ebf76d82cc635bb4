"""Augmentation inside the network: masks over frequency and time, and a warp of the mel axis.

Done here and not to stored features, so that every pass sees other masks, at no disk; and with
torch's generator, so that both steps of backstitch see the same. In evaluation nothing happens.

Values come as rows (one per frame), the sequences of a minibatch behind one another, with the
number of rows of each: a mask or a warp is drawn per sequence.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PerSequence(nn.Module):
    """A layer whose forward takes (rows, counts): the rows, and how many each sequence has."""


class SpecAugment(PerSequence):
    """Zeroes one band of dimensions, and stretches of frames, of every sequence.

    Stands behind a batch-norm, where zero is the mean. The band is uniformly wide up to
    `freq_max_proportion` of the dimensions, anywhere. Stretches are uniformly 1 to
    `time_mask_max_frames` long; between them lie uniformly 1 to b frames, b such that
    `time_zeroed_proportion` of all frames are zeroed in the mean.

    Raises:
        ValueError: a proportion outside [0, 1), or a length below 1.

    Source: Park et al., arXiv 1904.08779, sec. 2; Kaldi's spec-augment-layer (its options).
    """

    def __init__(
        self,
        freq_max_proportion: float = 0.5,
        time_zeroed_proportion: float = 0.2,
        time_mask_max_frames: float = 20,
    ) -> None:
        super().__init__()
        if not (0 <= freq_max_proportion < 1 and 0 <= time_zeroed_proportion < 1):
            raise ValueError("spec-augment: proportions lie between 0 and 1")
        if time_mask_max_frames < 1:
            raise ValueError("spec-augment: time-mask-max-frames is at least 1")
        self.freq_max_proportion = freq_max_proportion
        self.time_zeroed_proportion = time_zeroed_proportion
        self.time_mask_max_frames = int(time_mask_max_frames)

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(rows, dim), (sequences,) -> (rows, dim)."""
        if not self.training:
            return x
        if self.freq_max_proportion:
            keep = self._band(len(counts), x.shape[1])
            x = x * keep.to(x).repeat_interleave(counts.to(x.device), 0, output_size=len(x))
        if self.time_zeroed_proportion:
            x = x * self._stretches(counts).to(x)[:, None]
        return x

    def _band(self, sequences: int, dim: int) -> Tensor:
        """(sequences, dim) False in each one's band."""
        width = (torch.rand(sequences, 1) * (self.freq_max_proportion * dim + 1)).floor()
        first = (torch.rand(sequences, 1) * (dim - width + 1)).floor()
        position = torch.arange(dim)
        return (position < first) | (position >= first + width)

    def _stretches(self, counts: Tensor) -> Tensor:
        """(rows,) False in the stretches."""
        p, longest = self.time_zeroed_proportion, self.time_mask_max_frames
        # mean lengths (1 + longest)/2 masked and (1 + b)/2 between: p = their share
        between = max(1.0, (1 + longest) * (1 - p) / p - 1)
        total = int(counts.max())
        runs = 2 * (total // 2 + 1)
        draw = torch.rand(len(counts), runs)
        limits = torch.tensor([between, float(longest)]).repeat(runs // 2)
        lengths = (1 + (draw * limits).floor()).long()
        # begin within the first run, as if the sequence were cut out of a longer one
        start = (torch.rand(len(counts), 1) * (lengths[:, :1] + lengths[:, 1:2])).long()
        ends = lengths.cumsum(1) - start
        position = torch.arange(total).expand(len(counts), -1).contiguous()
        run = torch.searchsorted(ends, position, right=True)
        keep = run % 2 == 0
        return keep[torch.arange(total) < counts.cpu()[:, None]]


class FreqWarp(PerSequence):
    """Stretches the mel axis of every sequence: as if the speaker's vocal tract were longer.

    Bin n reads the input at n * s, s uniform in [1 - max_warp, 1 + max_warp], up to where 0.8 of
    the axis is reached on the longer side; from there a straight line ends at the last bin, so
    that nothing falls off. Values between bins are interpolated linearly.

    Raises:
        ValueError: max_warp outside [0, 0.2).

    Source: Jaitly and Hinton, Vocal tract length perturbation (2013), on mel bins instead of Hz.
    """

    KNEE = 0.8

    def __init__(self, dim: int, max_warp: float = 0.1) -> None:
        super().__init__()
        if not 0 <= max_warp < 0.2:
            raise ValueError("freq-warp: max-warp lies between 0 and 0.2")
        self.dim, self.max_warp = dim, max_warp

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(rows, dim), (sequences,) -> (rows, dim)."""
        if not self.training or not self.max_warp:
            return x
        read = self._positions(1 + self.max_warp * (2 * torch.rand(len(counts)) - 1))
        low = read.floor().clamp(max=self.dim - 2)
        share = (read - low).to(x)
        rows = torch.arange(len(counts)).repeat_interleave(counts.cpu()).to(x.device)
        index = low.long().to(x.device)[rows]
        return torch.lerp(x.gather(1, index), x.gather(1, index + 1), share[rows])

    def _positions(self, stretch: Tensor) -> Tensor:
        """(sequences,) factors -> (sequences, dim) where each bin reads."""
        last = self.dim - 1
        n = torch.arange(self.dim, dtype=stretch.dtype)
        s = stretch[:, None]
        knee = self.KNEE * last / s.clamp(min=1)
        above = s * knee + (n - knee) * (last - s * knee) / (last - knee)
        return torch.where(n <= knee, s * n, above).clamp(0, last)
