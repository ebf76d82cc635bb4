"""A frame-synchronous network over ragged batches, computing each layer only where it is needed.

The text of an xconfig becomes nodes (nodes.py), each with a grid of times (grid.py) and a layer
(build.py); what a node reads of others is one gather for each part (splicing.py). Times before the
first and after the last frame repeat that frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from chainstitch.nnet.layers import (
    GateDropout,
    HasProportion,
    Linear,
    LSTMPRows,
    PerSequence,
    SharedDropout,
)
from chainstitch.nnet.layers.deriv_range import only_at
from chainstitch.nnet.nets.build import Stack, build
from chainstitch.nnet.nets.descriptors import Term
from chainstitch.nnet.nets.grid import Grid, infer_grids
from chainstitch.nnet.nets.nodes import Node, expand
from chainstitch.nnet.nets.size import check_size
from chainstitch.nnet.nets.splicing import Rows, Values
from chainstitch.nnet.nets.trainable import Trainable, unknown_tap
from chainstitch.nnet.nets.xconfig import IVECTOR, OUTPUTS, parse_xconfig
from chainstitch.utils.errors import UsageError

Range = tuple[Tensor, Tensor]
CONSTRAIN_ONE_IN = 4  # updates, for a semi-orthogonal layer


class Network(Trainable):
    """The network of an xconfig text.

    Args:
        xconfig: the text, see xconfig.py.
        num_outputs: dimension of the output layers (number of pdfs).
        subsampling: output frames are 1/subsampling of the input frames, rounded up.
        infer_grid: False computes every layer at every frame, and then takes each
            `subsampling`-th output: the same values, for more work.

    Attributes:
        input_dim, ivector_dim: of a frame, and of a sequence (0: there is no such input).
        ivector_extractor: what made the i-vectors of its training, once loaded (infer/outputs.py).
        output_names: of the output layers, the main one first.
        left_context, right_context: input frames used before and after the output's own frame; of
            an LSTM only what its own rows need, not what it remembers.

    Raises:
        UsageError: the text has an error; it names the line or the layer.

    >>> text = "input name=input dim=40\\nrelu-renorm-layer name=a dim=8\\noutput-layer name=output"
    >>> outputs, lengths = Network(text, 5)(torch.randn(2, 30, 40), torch.tensor([30, 20]))
    >>> outputs.shape, lengths
    (torch.Size([2, 10, 5]), tensor([10,  7]))
    """

    def __init__(
        self, xconfig: str, num_outputs: int, subsampling: int = 3, infer_grid: bool = True
    ) -> None:
        super().__init__()
        if num_outputs < 1 or subsampling < 1:
            raise UsageError(
                f"a network wants 1 or more outputs and a subsampling of 1 or more, found "
                f"{num_outputs} and {subsampling}"
            )
        self.specs = parse_xconfig(xconfig)
        self.nodes = expand(self.specs)
        self.subsampling, self.num_outputs = subsampling, num_outputs
        self.grids = infer_grids(self.nodes, subsampling, infer_grid)
        self.dims: dict[str, int] = {}
        self.layers = nn.ModuleDict()
        weights = 0
        for node in self.nodes:
            if node.kind == "input":
                self.dims[node.name] = int(node.options["dim"])
                continue
            dim_in = self._dim_in(node)
            weights = check_size(node, dim_in, num_outputs, weights)
            layer, dim = build(node, dim_in, num_outputs, self.grids[node.name].step)
            self.layers[node.key], self.dims[node.name] = layer, dim
        self.input = next(n.name for n in self.nodes if n.kind == "input" and n.name != IVECTOR)
        self.input_dim, self.ivector_dim = self.dims[self.input], self.dims.get(IVECTOR, 0)
        self.ivector_extractor = ""
        outputs = [node.name for node in self.nodes if node.kind == "output-layer"]
        self.output_names = sorted(outputs, key=lambda name: name == OUTPUTS[1])
        self._output_grid = Grid(0, 0, subsampling)
        self.left_context = max(0, -self.grids[self.input].first)
        self.right_context = max(0, self.grids[self.input].last)

    def _dim_in(self, node: Node) -> int:
        total = 0
        for part in node.parts:
            found = {term.source: self.dims[term.source] for term in part}
            if len(set(found.values())) != 1:
                said = ", ".join(f"{name} has {dim}" for name, dim in found.items())
                raise UsageError(f"{node.place}: Sum wants layers of one dimension, but {said}")
            total += next(iter(found.values()))
        return total

    def forward(
        self, features: Tensor, lengths: Tensor, shift: int = 0, ivectors: Tensor | None = None,
        derivs: Range | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """The main output of a padded batch; layers that only others want are not computed.

        Args:
            features: (batch, frames, input_dim); what stands past a length is not looked at.
            lengths: (batch,) input frames of each sequence, on the host.
            shift: output frame j looks at input frame subsampling * j + shift (frame-shift
                augmentation: -1, 0 or 1).
            ivectors: (batch, ivector_dim), where the xconfig has such an input.
            derivs: (batch,) first and last input frame of each that has derivatives, heeded in
                training mode (deriv_range.py); None: all have.

        Returns:
            (batch, ceil(frames / subsampling), num_outputs) zero past each length, and (batch,)
            output lengths.

        Raises:
            ValueError: an input of another shape, or one missing.
        """
        name = self.output_names[0]
        outputs, out_lengths = self.outputs(features, lengths, shift, ivectors, [name], derivs)
        return outputs[name], out_lengths

    def tapped(
        self,
        taps: Sequence[str],
        features: Tensor,
        lengths: Tensor,
        shift: int = 0,
        ivectors: Tensor | None = None,
        derivs: Range | None = None,
    ) -> tuple[tuple[Tensor, Tensor], dict[str, Tensor]]:
        """What `forward` gives, and the outputs of the layers or output layers called `taps`.

        Those are (batch, frames, their dim) at the times of the main output, zero past each length.
        """
        if not taps:
            return self(features, lengths, shift, ivectors, derivs), {}
        names = [self.output_names[0], *taps]
        outputs, out_lengths = self.outputs(features, lengths, shift, ivectors, names, derivs)
        return (outputs.pop(self.output_names[0]), out_lengths), outputs

    def check_taps(self, taps: Sequence[str]) -> None:
        """Whether there are layers of these names, with values at the times of the outputs.

        Raises:
            UsageError: there is none, or it has no values at those times.
        """
        known = [node.name for node in self.nodes if node.kind != "input"]
        for tap in taps:
            if tap not in known:
                raise unknown_tap(tap, known)
            if not self._has_output_times(tap, 0):
                raise UsageError(
                    f"a loss wants the outputs of the layer {tap!r}, which has no values at the "
                    "times of the network's outputs; name another layer"
                )

    def _has_output_times(self, name: str, offset: int) -> bool:
        """Whether a node has values `offset` frames after each output."""
        grid = self.grids[name]
        return grid.first <= offset <= grid.last and (offset - grid.first) % grid.step == 0

    def outputs(
        self,
        features: Tensor,
        lengths: Tensor,
        shift: int = 0,
        ivectors: Tensor | None = None,
        names: Iterable[str] | None = None,
        derivs: Range | None = None,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """All outputs, or those of layers `names`, by name, and lengths; as `forward` has them."""
        names = self.output_names if names is None else list(names)
        values = self._values(features, lengths, shift, ivectors)
        with self.autocast(features):
            self._evaluate(values, self.upstream(names), derivs if self.training else None)
        out_lengths = torch.from_numpy(values.rows.outputs)
        return {name: self._output(name, values) for name in names}, out_lengths

    def spliced(
        self, name: str, features: Tensor, lengths: Tensor, ivectors: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the layer `name` would read at the times of the outputs: (rows, dim).

        All sequences behind one another, and with them (batch,) output lengths.

        Raises:
            UsageError: it reads a layer that has no rows at those times.
        """
        node = next(node for node in self.nodes if node.line == name)
        for term in (term for part in node.parts for term in part):
            there = term.source in (self.input, IVECTOR)
            if not there and not self._has_output_times(term.source, term.offset):
                raise UsageError(
                    f"{node.place}: it reads {term.source!r}, which has no values at "
                    "the times of the outputs; let it read the inputs"
                )
        values = self._values(features, lengths, 0, ivectors)
        self._evaluate(values, self.upstream([node.name]) - {node.name})
        out_lengths = torch.from_numpy(values.rows.outputs)
        return values.splice(node.parts, self._output_grid), out_lengths

    def _values(
        self, features: Tensor, lengths: Tensor, shift: int, ivectors: Tensor | None
    ) -> Values:
        if features.dim() != 3 or features.shape[2] != self.input_dim:
            raise ValueError(
                f"network: features must be (batch, frames, {self.input_dim}), "
                f"got {tuple(features.shape)}"
            )
        found = None if ivectors is None else tuple(ivectors.shape)
        wanted = (len(features), self.ivector_dim) if self.ivector_dim else None
        if found != wanted:
            raise ValueError(f"network: ivectors must be {wanted} for its {IVECTOR}, got {found}")
        size = lengths.cpu().numpy()
        rows = Rows(size, -(-size // self.subsampling), features.shape[1], self.subsampling, shift)
        values = Values(rows, self.grids, self.input, features.reshape(-1, self.input_dim))
        if ivectors is not None:
            values.by_name[IVECTOR] = ivectors
        return values

    def _evaluate(self, values: Values, needed: set[str], derivs: Range | None = None) -> None:
        for node in self.nodes:
            if node.kind == "input" or node.name not in needed:
                continue
            grid, layer = self.grids[node.name], self.layers[node.key]
            x = values.splice(node.parts, grid)
            at = None if derivs is None else values.rows.between(grid, *derivs).to(x.device)
            counts = torch.from_numpy(values.rows.count(grid))
            if isinstance(layer, LSTMPRows | Stack):
                x = layer(x, counts, at)
            elif isinstance(layer, PerSequence):
                x = layer(x, counts)
            else:
                x = layer(x)
            values.by_name[node.name] = only_at(x, at)

    def _output(self, name: str, values: Values) -> Tensor:
        """An output layer's rows at the times of the outputs, padded."""
        x = values.splice([(Term(name),)], self._output_grid)
        if self.bf16:
            x = x.float()
        node = next(node for node in self.nodes if node.name == name)
        if node.options.get("include-log-softmax", name == OUTPUTS[1]):
            x = x.log_softmax(1)
        count = values.rows.outputs
        if (count == count.max()).all():
            return x.view(len(count), int(count.max()), -1)
        return nn.utils.rnn.pad_sequence(list(x.split(count.tolist())), batch_first=True)

    def constrain(self) -> None:
        """Has each semi-orthogonal layer take its step, in one call of four; after an update.

        Drawn from torch's generator (layers/linear.py; Kaldi nnet-utils.cc, ConstrainOrthonormal).
        """
        for layer in self.modules():
            if not isinstance(layer, Linear) or not layer.orthonormal:
                continue
            if int(torch.randint(CONSTRAIN_ONE_IN, ())) == 0:
                layer.constrain()

    def dropouts(self) -> dict[str, HasProportion]:
        """The dropout of every layer that has one, by the layer's name in the xconfig."""
        return {
            node.line: part
            for node in self.nodes
            if node.kind != "input"
            for part in self.layers[node.key].modules()
            if isinstance(part, nn.Dropout | GateDropout | SharedDropout)
        }

    def self_repaired(self) -> dict[str, float]:
        """Share of units that were repaired in training, by layer; where there is self-repair."""
        found = {}
        for node in self.nodes:
            for part in self.layers[node.key].modules() if node.kind != "input" else ():
                repaired = getattr(part, "repaired", None)
                if isinstance(repaired, Tensor):
                    found[node.line] = float(repaired[0] / repaired[1].clamp(min=1.0))
        return found

    def upstream(self, names: Iterable[str]) -> set[str]:
        """The nodes of those names, and all that they need."""
        needed = set(names)
        for node in reversed(self.nodes):
            if node.name in needed:
                needed |= {term.source for part in node.parts for term in part}
        return needed
