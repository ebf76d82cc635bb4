"""Kaldi's older LSTM with projection, `lstmp-layer`: the same function, gate by gate.

It computes what FastLSTMP does. What differs is which parameters make one layer for max-change and
natural gradient: each of the four gates has an affine layer and i, f and o each have peepholes of
their own, all with max-change 0.75 (kaldi-facts section 2).

One departure: Kaldi's natural gradient sees the peepholes' rows, frame by frame; ours sees the
finished gradient, as it does for the fast layer.

Source: Kaldi libs/nnet3/xconfig/lstm.py (lstmp-layer).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from chainstitch.nnet.layers.affine import Affine
from chainstitch.nnet.layers.lstmp import FastLSTMP, Peepholes

MAX_CHANGE = 0.75


class _SideBySide(nn.ModuleList):
    """Affine layers of the same input, as one with their outputs behind one another."""

    @property
    def weight(self) -> Tensor:
        return torch.cat([part.weight for part in self])  # type: ignore[misc]

    @property
    def bias(self) -> Tensor:
        return torch.cat([part.bias for part in self])  # type: ignore[misc]

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """(rows, in) -> (rows, all outs), of which the values are known: see `Affine`."""
        values = known.chunk(len(self), 1)
        return torch.cat([part(x, value) for part, value in zip(self, values, strict=True)], 1)


class LSTMP(FastLSTMP):
    """The layer; arguments as of `FastLSTMP`.

    >>> LSTMP(40, cell=16, delay=-3)(torch.randn(50, 2, 40)).shape
    torch.Size([50, 2, 8])
    """

    def _add_parameters(self) -> None:
        dim, out = self.dim + self.recurrent, self.recurrent + self.nonrecurrent
        self.w_all = _SideBySide(Affine(dim, self.cell, MAX_CHANGE) for _ in range(4))
        self.w_rp = Affine(self.cell, out, MAX_CHANGE)
        self.peepholes = _SideBySide(Peepholes(self.cell, MAX_CHANGE, 1) for _ in range(3))
