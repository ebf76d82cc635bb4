"""Kaldi's dropouts that torch has not: masks for an LSTM's gates, one mask for a whole sequence.

**Gates** (`GateDropout`). In every frame three scalars multiply all of i, f and o, (2) of lstmp.py.
Jointly, from one number u, uniform in [0, 1], for i and f:

    s_i = [u >= p]    s_f = [u <= 1 - p]    s_o = [v >= p], v another one

so that for p < 1/2 a frame never loses both its input and its memory. There is no 1/(1 - p): in
evaluation all three are 1 - p.

**Over time** (`SharedDropout`). Each dimension of a sequence is zeroed with probability p at all
frames or at none, and divided by 1 - p; or, `continuous`, multiplied by a number uniform in
[1 - 2p, 1 + 2p]. In evaluation nothing happens.

All have the attribute `p`, which a dropout schedule moves (train/dropout_schedule.py). With p = 0
nothing is drawn.

Source: Kaldi nnet-general-component.cc, DropoutMaskComponent and GeneralDropoutComponent;
nnet-simple-component.cc, DropoutComponent; kaldi-facts 4.5.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from chainstitch.nnet.layers.augment import PerSequence


@runtime_checkable
class HasProportion(Protocol):
    """A dropout, whose proportion `p` may be moved in training."""

    p: float


def _check(p: float) -> float:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout-proportion lies between 0 and 1, found {p:g}")
    return p


class GateDropout(nn.Module):
    """Masks for i, f and o of an LSTM.

    Args:
        p: proportion that is dropped.
        joint: i and f from one number, as above; else all three are independent.
        columns: of each gate: 1, or the LSTM's cells for a mask of each of them.

    Raises:
        ValueError: p outside [0, 1], or joint with more than one column.
    """

    def __init__(self, p: float, joint: bool = True, columns: int = 1) -> None:
        super().__init__()
        if joint and columns != 1:
            raise ValueError("dropout masks of every cell are independent: joint wants columns = 1")
        self.p, self.joint, self.columns = _check(p), joint, columns

    def forward(self, rows: int, like: Tensor) -> Tensor | None:
        """(rows, 3 columns) on the device and of the type of `like`; None where all are 1."""
        if not self.p:
            return None
        shape = (rows, 3 * self.columns)
        if not self.training:
            return like.new_full(shape, 1.0 - self.p)
        if not self.joint:
            return (torch.rand(shape, device=like.device) >= self.p).to(like)
        u, v = torch.rand(2, rows, device=like.device)
        return torch.stack([u >= self.p, u <= 1.0 - self.p, v >= self.p], 1).to(like)


class SharedDropout(PerSequence):
    """Dropout with one mask for all frames of a sequence.

    Raises:
        ValueError: p outside [0, 1]; above 1/2 where continuous.
    """

    def __init__(self, p: float, continuous: bool = False) -> None:
        super().__init__()
        if continuous and p > 0.5:
            raise ValueError(f"continuous dropout wants dropout-proportion <= 0.5, found {p:g}")
        self.p, self.continuous = _check(p), continuous

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(rows, dim), (sequences,) -> (rows, dim)."""
        if not self.training or not self.p:
            return x
        mask = torch.rand(len(counts), x.shape[1], device=x.device)
        if self.continuous:
            mask = 1.0 + 2.0 * self.p * (2.0 * mask - 1.0)
        else:
            mask = (mask >= self.p) / max(1.0 - self.p, torch.finfo(x.dtype).tiny)
        return x * mask.to(x).repeat_interleave(counts.to(x.device), 0, output_size=len(x))
