"""Derivatives at some rows only: Kaldi's truncation of derivatives at the edges of chunks.

A chunk's features reach beyond it, to fill a recurrent layer's memory; but what the loss says about
the frames of the chunk need not be carried back all that way. With a margin given, in input frames,
of a chunk whose outputs stand at times first ... last,

    first - margin - left context  <=  t  <=  last + margin + right context                     (1)

are the times, at every layer, whose derivatives are computed; all others are zero, of a layer's
output and of an LSTM's c and r. The contexts are the network's own, so that without memory nothing
is lost; an LSTM's loop backward ends where (1) does.

One departure: in Kaldi the rows outside of (1) are not seen by natural gradient either. Here that
is so in an LSTM; in other layers they are rows with a derivative of zero.

Source: Kaldi nnet-optimize-utils.cc, DerivativeTimeLimiter; steps/libs/nnet3/train/chain_objf/
acoustic_model.py (min-deriv-time, max-deriv-time-relative); kaldi-facts 4.8.
"""

from __future__ import annotations

import torch
from torch import Tensor


def only_at(x: Tensor, rows: Tensor | None) -> Tensor:
    """x (rows, dim), whose derivative is zero but at `rows` (rows,) bool; None: at all.

    >>> x = torch.ones(2, 1, requires_grad=True)
    >>> only_at(x, torch.tensor([True, False])).sum().backward()
    >>> x.grad.tolist()
    [[1.0], [0.0]]
    """
    return x if rows is None else torch.where(rows[:, None], x, x.detach())
