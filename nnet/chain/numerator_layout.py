"""The arrays in which the kernels read the numerators of a minibatch (numerator.py makes them)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """The graphs of a minibatch behind one another; states are numbered within their graph.

    Attributes:
        states: (batch + 1,) where each graph's states begin in the arrays by state.
        timed: (batch,) 1 where states have a time.
        first_at, first: graph b's states of time t begin at first[first_at[b] + t]; without times,
            all of them are first[first_at[b]] .. first[first_at[b] + 1].
        in_start: (states + 1,) into in_state, in_pdf, in_log_prob: the arcs into each state; out_*
            those out of it.
        final: (states,).
    """

    states: Tensor
    timed: Tensor
    first_at: Tensor
    first: Tensor
    final: Tensor
    in_start: Tensor
    in_state: Tensor
    in_pdf: Tensor
    in_log_prob: Tensor
    out_start: Tensor
    out_state: Tensor
    out_pdf: Tensor
    out_log_prob: Tensor
