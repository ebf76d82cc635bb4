"""What stands between an LSTM and the rest of a network: ragged rows, dropout masks."""

from __future__ import annotations

import torch
from torch import Tensor

from chainstitch.nnet.layers.augment import PerSequence
from chainstitch.nnet.layers.dropout import GateDropout
from chainstitch.nnet.layers.lstmp import FastLSTMP


class LSTMPRows(PerSequence):
    """A FastLSTMP on rows of ragged sequences, behind one another: (rows, dim) -> (rows, R + P).

    Args:
        lstmp: the layer, with or without projection.
        dropout: of its gates.
    """

    def __init__(self, lstmp: FastLSTMP, dropout: GateDropout | None = None) -> None:
        super().__init__()
        self.lstmp, self.dropout = lstmp, dropout

    def forward(self, x: Tensor, counts: Tensor, derivs: Tensor | None = None) -> Tensor:
        """`counts` (batch,): rows of each sequence; `derivs` (rows,): see deriv_range.py."""
        inside = torch.arange(int(counts.max()))[None, :] < counts[:, None]
        inside = inside.to(x.device)  # (batch, frames)

        def padded(rows: Tensor) -> Tensor:  # (frames, batch, dim)
            zeros = rows.new_zeros(*inside.shape, rows.shape[1])
            return zeros.index_put((inside,), rows).transpose(0, 1)

        masks = None if self.dropout is None else self.dropout(len(x), x)
        masks = None if masks is None else padded(masks)
        at = None if derivs is None else inside.index_put((inside,), derivs).t()
        y: Tensor = self.lstmp(padded(x), masks, counts, at)
        return y.transpose(0, 1)[inside]
