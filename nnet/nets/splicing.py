"""The values of nodes as rows, and which rows of one node another one reads.

The values of a node are *rows*: one for each (sequence, time) on its grid, all sequences behind one
another, no padding. Splicing is then one gather,

    row (b, t) of a node = [ row (b, t + o) of source, for every (source, offset o) that it reads ]

and everything else (affine, batch-norm, natural gradient) sees a plain matrix of valid frames:
nothing has to be masked, and padding neither costs time nor leaks into batch-norm or Fisher
statistics. Kaldi computes the same rows under the name of indexes (n, t).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from chainstitch.nnet.nets.descriptors import Parts, Term
from chainstitch.nnet.nets.grid import Grid


@dataclass(frozen=True)
class Rows:
    """The rows of one minibatch.

    Attributes:
        frames: (batch,) input frames of each sequence; outputs: (batch,) output frames.
        padded: input rows that each sequence takes up, one behind the other.
        subsampling: input frames from one output to the next; shift: what input times are moved by.
    """

    frames: np.ndarray
    outputs: np.ndarray
    padded: int
    subsampling: int
    shift: int

    def count(self, grid: Grid) -> np.ndarray:
        """(batch,) rows of a node."""
        span = (self.outputs - 1) * self.subsampling + grid.last - grid.first
        rows: np.ndarray = span // grid.step + 1
        return rows

    def sequence(self, grid: Grid) -> np.ndarray:
        """(rows,) the sequence that each row belongs to."""
        return np.repeat(np.arange(len(self.frames)), self.count(grid))

    def times(self, grid: Grid) -> np.ndarray:
        """(rows,) the input frame that each row stands at, before the shift."""
        count = self.count(grid)
        begin = np.cumsum(count) - count
        times: np.ndarray = grid.first + grid.step * (
            np.arange(count.sum()) - np.repeat(begin, count)
        )
        return times

    def between(self, grid: Grid, first: Tensor, last: Tensor) -> Tensor:
        """(rows,) whether each stands at one of its sequence's frames first ... last, (batch,)."""
        times, sequence = self.times(grid), self.sequence(grid)
        inside = (times >= first.numpy()[sequence]) & (times <= last.numpy()[sequence])
        return torch.from_numpy(inside)

    def of_input(self, grid: Grid, offset: int) -> np.ndarray:
        """(rows,) input rows; times beyond the ends are those of the outermost frames."""
        count = self.count(grid)
        times = self.times(grid) + offset + self.shift
        base = np.repeat(np.arange(len(count)) * self.padded, count)
        rows: np.ndarray = base + np.clip(times, 0, np.repeat(self.frames - 1, count))
        return rows

    def of_node(self, grid: Grid, source: Grid, offset: int) -> np.ndarray | None:
        """(rows,) rows of `source`; None where they are all of it, in order."""
        if (grid.first + offset, grid.last + offset, grid.step) == (
            source.first, source.last, source.step,
        ):  # fmt: skip
            return None
        count = self.count(source)
        base = np.repeat(np.cumsum(count) - count, self.count(grid))
        rows: np.ndarray = base + (self.times(grid) + offset - source.first) // source.step
        return rows


class Values:
    """What the nodes of one minibatch have, by name: (rows, dim).

    Args:
        rows: of the minibatch; grids: of the nodes.
        input: the name of the input of frames, with its (batch * padded, dim) features.
    """

    def __init__(self, rows: Rows, grids: dict[str, Grid], input: str, features: Tensor) -> None:
        self.rows, self.grids, self.input = rows, grids, input
        self.by_name = {input: features}

    def splice(self, parts: Parts, grid: Grid) -> Tensor:
        """(rows, dim) what `parts` are on a grid."""
        done = []
        for first, *others in parts:
            x = self._term(first, grid)
            for term in others:
                x = x + self._term(term, grid)
            done.append(x)
        return torch.cat(done, 1) if len(done) > 1 else done[0]

    def _term(self, term: Term, grid: Grid) -> Tensor:
        x = self.by_name[term.source]
        index: np.ndarray | None
        if term.constant:
            index = self.rows.sequence(grid)
        elif term.source == self.input:
            index = self.rows.of_input(grid, term.offset)
        else:
            index = self.rows.of_node(grid, self.grids[term.source], term.offset)
        if index is not None:
            x = F.embedding(torch.from_numpy(index).to(x.device), x)
        return x if term.scale == 1.0 else x * term.scale
