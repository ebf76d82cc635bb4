"""A trained network as one module over padded batches, of torch's own operations only.

`Network` keeps ragged rows and finds with numpy which rows each layer reads; nothing of that could
leave Python. On a grid (grid.py) of times first, first + step, ... the rows of a sequence with U
outputs, s input frames apart, are

    rows(U) = a U + c,    a = s / step,    c = (last - first - s) // step + 1

in number. With sequences padded to the longest, U is one number for all, and what a node reads is

    of the input     frame clip(first + step n + offset, 0, length - 1), n = 0 ... rows - 1: a
                     gather, in which alone the sequences' own lengths count
    of a node        rows begin, begin + stride, ...: a slice
    of the i-vector  its one row, repeated

(and in an LSTM that looks ahead: portable_layers.py). The values at the rows that a sequence has
are those of `Network`; behind them stands what padding gives, and the result is zeroed there.

The result is what `infer.log_likes` hands to the decoder: the main output, and of a model that was
trained by cross-entropy the scaled log-likelihoods of infer/outputs.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from chainstitch.nnet.nets.descriptors import Term
from chainstitch.nnet.nets.grid import Grid
from chainstitch.nnet.nets.network import Network
from chainstitch.nnet.nets.portable_layers import portable_layers
from chainstitch.nnet.nets.xconfig import IVECTOR, OUTPUTS


class _Extent(nn.Module):
    """Number of rows on a grid, for U outputs."""

    def __init__(self, grid: Grid, subsampling: int) -> None:
        super().__init__()
        self.a = subsampling // grid.step
        self.c = (grid.last - grid.first - subsampling) // grid.step + 1

    def forward(self, outputs: int) -> int:
        return self.a * outputs + self.c


class _OfInput(nn.Module):
    """Frames of the input, those beyond the ends repeated."""

    def __init__(self, extent: _Extent, grid: Grid, offset: int, source: int) -> None:
        super().__init__()
        self.extent, self.first, self.step = extent, grid.first + offset, grid.step
        self.source = source

    def forward(self, values: list[Tensor], lengths: Tensor, outputs: int) -> Tensor:
        x = values[self.source]
        batch, frames, dim = x.shape[0], x.shape[1], x.shape[2]
        rows = self.extent(outputs)
        times = self.first + self.step * torch.arange(rows, device=x.device)
        times = torch.minimum(times.clamp(min=0)[None, :], lengths[:, None] - 1)
        index = times + frames * torch.arange(batch, device=x.device)[:, None]
        flat = x.reshape(batch * frames, dim).index_select(0, index.reshape(batch * rows))
        return flat.reshape(batch, rows, dim)


class _OfNode(nn.Module):
    """Rows of a node."""

    def __init__(self, extent: _Extent, grid: Grid, of: Grid, offset: int, source: int) -> None:
        super().__init__()
        self.extent, self.source = extent, source
        self.begin = (grid.first + offset - of.first) // of.step
        self.stride = grid.step // of.step
        self.whole = (grid.first + offset, grid.last + offset, grid.step) == (
            of.first, of.last, of.step,
        )  # fmt: skip

    def forward(self, values: list[Tensor], lengths: Tensor, outputs: int) -> Tensor:
        x = values[self.source]
        if self.whole:
            return x
        rows = self.extent(outputs)
        if self.stride == 1:
            return x.narrow(1, self.begin, rows)
        index = self.begin + self.stride * torch.arange(rows, device=x.device)
        return x.index_select(1, index)


class _OfIvector(nn.Module):
    """The same row at all times."""

    def __init__(self, extent: _Extent, source: int) -> None:
        super().__init__()
        self.extent, self.source = extent, source

    def forward(self, values: list[Tensor], lengths: Tensor, outputs: int) -> Tensor:
        x = values[self.source]
        return x[:, None, :].expand(x.shape[0], self.extent(outputs), x.shape[1])


class _Sum(nn.Module):
    """Terms times their scales, added up."""

    def __init__(self, terms: list[nn.Module], scales: list[float]) -> None:
        super().__init__()
        self.terms, self.scales = nn.ModuleList(terms), scales

    def forward(self, values: list[Tensor], lengths: Tensor, outputs: int) -> Tensor:
        done: list[Tensor] = []
        for n, term in enumerate(self.terms):
            x = term(values, lengths, outputs)
            done.append(x if self.scales[n] == 1.0 else x * self.scales[n])
        total = done[0]
        for n in range(1, len(done)):
            total = total + done[n]
        return total


class _Node(nn.Module):
    """What a node reads, behind one another, through its layers."""

    def __init__(self, parts: list[nn.Module], extent: _Extent, layers: list[nn.Module]) -> None:
        super().__init__()
        self.parts, self.extent = nn.ModuleList(parts), extent
        self.layers = nn.ModuleList(layers)

    def forward(
        self, values: list[Tensor], lengths: Tensor, out_lengths: Tensor, outputs: int
    ) -> Tensor:
        done: list[Tensor] = []
        for part in self.parts:
            done.append(part(values, lengths, outputs))
        x = torch.cat(done, 2) if len(done) > 1 else done[0]
        counts = self.extent.a * out_lengths + self.extent.c
        for layer in self.layers:
            x = layer(x, counts)
        return x


class Portable(nn.Module):
    """The network, called with (features, lengths) or, if it has that input, with ivectors too.

    Args:
        network: the trained one.
        log_prior: (pdfs,) of a model trained by cross-entropy, and scale: see infer/outputs.py.

    Attributes:
        input_dims: of a frame and of an i-vector (0: there is none).
    """

    def __init__(
        self, network: Network, log_prior: Tensor | None = None, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.subsampling, self.scale = network.subsampling, scale
        self.input_dims = [network.input_dim, network.ivector_dim]
        self.scaled = log_prior is not None
        prior = torch.zeros(network.num_outputs) if log_prior is None else log_prior
        self.register_buffer("log_prior", prior.detach().clone())
        main = network.output_names[0]
        needed = network.upstream([main])
        places = {network.input: 0, IVECTOR: 1}
        nodes = []
        for node in network.nodes:
            if node.kind == "input" or node.name not in needed:
                continue
            grid = network.grids[node.name]
            nodes.append(
                _Node(
                    [_sum(network, part, grid, places) for part in node.parts],
                    _Extent(grid, network.subsampling),
                    portable_layers(network.layers[node.key]),
                )
            )
            places[node.name] = len(places)
            if node.name == main:
                self.normalised = bool(node.options.get("include-log-softmax", main == OUTPUTS[1]))
        self.nodes = nn.ModuleList(nodes)
        at_outputs = Grid(0, 0, network.subsampling)
        self.read_output = _sum(network, (Term(main),), at_outputs, places)
        self.eval()

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log-likelihoods (batch, ceil(frames / subsampling), pdfs) and their lengths (batch,).

        Args:
            features: float32 (batch, frames, dim), padded with anything.
            lengths: int64 (batch,) frames of each sequence, at least 1, at most `frames`.
        """
        return self.run(features, lengths, features.new_zeros(features.shape[0], 0))

    def run(self, features: Tensor, lengths: Tensor, ivectors: Tensor) -> tuple[Tensor, Tensor]:
        """`forward`, with ivectors (batch, ivector_dim)."""
        outputs = (features.shape[1] + self.subsampling - 1) // self.subsampling
        out_lengths = torch.div(
            lengths + (self.subsampling - 1), self.subsampling, rounding_mode="floor"
        )
        values = [features, ivectors]
        for node in self.nodes:
            values.append(node(values, lengths, out_lengths, outputs))
        y = self.read_output(values, lengths, outputs)
        if self.normalised:
            y = y.log_softmax(2)
        if self.scaled:
            y = self.scale * (y.log_softmax(2) - self.log_prior)
        past = torch.arange(outputs, device=y.device)[None, :] >= out_lengths[:, None]
        return y.masked_fill(past[:, :, None], 0.0), out_lengths


class PortableWithIvectors(Portable):
    """The same, called with (features, lengths, ivectors)."""

    def forward(  # type: ignore[override]
        self, features: Tensor, lengths: Tensor, ivectors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As of `Portable`; ivectors: float32 (batch, ivector_dim), one of each sequence."""
        return self.run(features, lengths, ivectors)


def _sum(
    network: Network, terms: tuple[Term, ...], grid: Grid, places: dict[str, int]
) -> nn.Module:
    """What adds up these terms on a grid; `places` of the values by the names of nodes."""
    reads: list[nn.Module] = []
    for term in terms:
        extent, source = _Extent(grid, network.subsampling), places[term.source]
        if term.constant:
            reads.append(_OfIvector(extent, source))
        elif term.source == network.input:
            reads.append(_OfInput(extent, grid, term.offset, source))
        else:
            of = network.grids[term.source]
            reads.append(_OfNode(extent, grid, of, term.offset, source))
    return _Sum(reads, [term.scale for term in terms])
