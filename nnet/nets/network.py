"""A frame-synchronous network over ragged batches, computing each layer only where it is needed.

With frame subsampling 3 the output is wanted at input frames 0, 3, 6, ... Going backwards through
the layers, layer l is wanted at 3 j + o for a set of offsets o; where all o agree modulo 3 (all
splicing above is by multiples of 3), two thirds of the frames are never computed. And utterances
differ in length. So a layer's values are *rows*: one for each (utterance, time) that is needed, all
utterances behind one another, no padding. Splicing is then one gather,

    row (b, t) of layer l = [ row (b, t + o) of source, for every (source, offset o) of its input ]

and everything else (affine, batch-norm, natural gradient) sees a plain matrix of valid frames:
nothing has to be masked, and padding neither costs time nor leaks into batch-norm or Fisher
statistics. Kaldi computes the same rows under the name of indexes (n, t). Times before the first
and after the last frame repeat that frame.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chainstitch.nnet.layers import (
    Affine,
    BatchNorm,
    FastLSTMP,
    FreqWarp,
    InverseDCT,
    LSTMPRows,
    PerSequence,
    Renorm,
    SpecAugment,
)
from chainstitch.nnet.nets.xconfig import LayerSpec, parse_xconfig
from chainstitch.utils.errors import UsageError

_DELAY = -1  # of an LSTM, frames


class Network(nn.Module):
    """The network of an xconfig text.

    Args:
        xconfig: the text, see xconfig.py.
        num_outputs: dimension of the output layer (number of pdfs).
        subsampling: output frames are 1/subsampling of the input frames, rounded up.

    Attributes:
        left_context, right_context: input frames used before and after the output's own frame.
    """

    def __init__(self, xconfig: str, num_outputs: int, subsampling: int = 3) -> None:
        super().__init__()
        self.specs = parse_xconfig(xconfig)
        self.subsampling = subsampling
        self.num_outputs = num_outputs
        self.input_dim = int(self.specs[0].options["dim"])
        dims = {self.specs[0].name: self.input_dim}
        self._grids = _grids(self.specs, subsampling)
        self.layers = nn.ModuleDict()
        for spec in self.specs[1:]:
            dim_in = sum(dims[source] for source, _ in spec.inputs)
            # a dot is not allowed in a module's name
            try:
                step = self._grids[spec.name][2]
                layer, dims[spec.name] = _build(spec, dim_in, num_outputs, step)
            except ValueError as error:
                raise UsageError(f"xconfig, layer {spec.name!r}: {error}") from None
            self.layers[spec.name.replace(".", "_")] = layer
        first, last, _ = self._grids[self.specs[0].name]
        self.left_context, self.right_context = -first, last

    def forward(self, features: Tensor, lengths: Tensor, shift: int = 0) -> tuple[Tensor, Tensor]:
        """Outputs of a padded batch.

        Args:
            features: (batch, frames, input_dim); what stands past a length is not looked at.
            lengths: (batch,) input frames of each sequence, on the host.
            shift: output frame j looks at input frame subsampling * j + shift (frame-shift
                augmentation: -1, 0 or 1).

        Returns:
            (batch, ceil(frames / subsampling), num_outputs) zero past each length, and (batch,)
            output lengths.
        """
        if features.dim() != 3 or features.shape[2] != self.input_dim:
            raise ValueError(
                f"network: features must be (batch, frames, {self.input_dim}), "
                f"got {tuple(features.shape)}"
            )
        size = lengths.cpu().numpy()
        out_size = -(-size // self.subsampling)
        values = {self.specs[0].name: features.reshape(-1, self.input_dim)}
        for spec in self.specs[1:]:
            parts = []
            for source, offset in spec.inputs:
                index = self._index(
                    spec.name, source, offset, size, out_size, features.shape[1], shift
                )
                rows = values[source]
                if index is not None:
                    rows = F.embedding(torch.from_numpy(index).to(rows.device), rows)
                parts.append(rows)
            x = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
            layer = self.layers[spec.name.replace(".", "_")]
            if isinstance(layer, PerSequence):
                values[spec.name] = layer(x, torch.from_numpy(self._rows(spec.name, out_size)))
            else:
                values[spec.name] = layer(x)
        rows = values[self.specs[-1].name]
        lengths_out = torch.from_numpy(out_size)
        if (out_size == out_size.max()).all():
            return rows.view(len(size), int(out_size.max()), -1), lengths_out
        padded = nn.utils.rnn.pad_sequence(list(rows.split(out_size.tolist())), batch_first=True)
        return padded, lengths_out

    def _index(
        self,
        name: str,
        source: str,
        offset: int,
        size: np.ndarray,
        out_size: np.ndarray,
        padded: int,
        shift: int,
    ) -> np.ndarray | None:
        """Row numbers in `source` that layer `name` splices at `offset`; None: all, in order."""
        first, last, step = self._grids[name]
        # times of this layer's rows, relative to `shift`: first, first + step, ...
        count = self._rows(name, out_size)
        begin = np.cumsum(count) - count
        position = np.arange(count.sum()) - np.repeat(begin, count)
        time = first + step * position + offset
        if source == self.specs[0].name:
            last_frame = np.repeat(size - 1, count)
            base = np.arange(len(size)) * padded
            rows: np.ndarray = np.repeat(base, count) + np.clip(time + shift, 0, last_frame)
            return rows
        source_first, source_last, source_step = self._grids[source]
        if (first + offset, last + offset, step) == (source_first, source_last, source_step):
            return None
        source_count = self._rows(source, out_size)
        base = np.cumsum(source_count) - source_count
        rows = np.repeat(base, count) + (time - source_first) // source_step
        return rows

    def _rows(self, name: str, out_size: np.ndarray) -> np.ndarray:
        """How many rows layer `name` has for sequences of `out_size` output frames."""
        first, last, step = self._grids[name]
        rows: np.ndarray = ((out_size - 1) * self.subsampling + last - first) // step + 1
        return rows

    def dropouts(self) -> dict[str, nn.Dropout]:
        """The dropout of every layer that has one, by the layer's name in the xconfig."""
        return {
            spec.name: part
            for spec in self.specs[1:]
            for part in self.layers[spec.name.replace(".", "_")].modules()
            if isinstance(part, nn.Dropout)
        }

    def num_parameters(self) -> int:
        """Trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def _grids(specs: list[LayerSpec], subsampling: int) -> dict[str, tuple[int, int, int]]:
    """Per layer (first, last, step): computed at s*j + first ... s*j + last in steps of `step`."""
    needed: dict[str, set[int]] = {spec.name: set() for spec in specs}
    needed[specs[-1].name] = {0}
    everywhere = {specs[0].name}  # layers that some layer wants at all frames
    grids = {}
    for spec in reversed(specs):
        offsets = needed[spec.name]
        if not offsets:
            raise UsageError(f"xconfig: no layer uses {spec.name!r}; remove it or splice it in")
        aligned = len({o % subsampling for o in offsets}) == 1 and spec.name not in everywhere
        # an LSTM also wants its own rows, `delay` frames away
        aligned &= int(spec.options.get("delay", _DELAY)) % subsampling == 0 or not _is_lstm(spec)
        step = subsampling if aligned else 1
        if step == 1:
            everywhere |= {source for source, _ in spec.inputs}
        grids[spec.name] = (min(offsets), max(offsets), step)
        reached = range(min(offsets), max(offsets) + 1, step)
        for source, offset in spec.inputs:
            needed[source] |= {o + offset for o in reached}
    return grids


def _is_lstm(spec: LayerSpec) -> bool:
    return spec.kind == "fast-lstmp-layer"


def _build_lstmp(spec: LayerSpec, dim_in: int, step: int) -> tuple[nn.Module, int]:
    options = spec.options
    cell = int(options["cell-dim"])
    layer = FastLSTMP(
        dim_in,
        cell,
        int(options.get("recurrent-projection-dim", cell // 4)),
        int(options.get("non-recurrent-projection-dim", cell // 4)),
        int(options.get("delay", _DELAY)),
        step,
        options.get("decay-time", 0.0),
        options.get("clipping-threshold", 30.0),
        options.get("zeroing-threshold", 15.0),
    )
    for part in (layer.w_all, layer.w_rp, layer.peepholes):
        part.learning_rate_factor = options.get("learning-rate-factor", 1.0)
        part.l2_regularize = options.get("l2-regularize", 0.0)
    for part in (layer.w_all, layer.w_rp):
        part.max_change = options.get("max-change", 1.5)
    return LSTMPRows(layer), layer.recurrent + layer.nonrecurrent


def _build(spec: LayerSpec, dim_in: int, num_outputs: int, step: int) -> tuple[nn.Module, int]:
    options = spec.options
    if spec.kind == "batchnorm-component":
        return BatchNorm(dim_in, options.get("target-rms", 1.0)), dim_in
    if spec.kind == "idct-layer":
        return InverseDCT(dim_in, options.get("cepstral-lifter", 22.0)), dim_in
    if spec.kind == "freq-warp-layer":
        return FreqWarp(dim_in, options.get("max-warp", 0.1)), dim_in
    if spec.kind == "spec-augment-layer":
        names = ("freq-max-proportion", "time-zeroed-proportion", "time-mask-max-frames")
        given = {n.replace("-", "_"): options[n] for n in names if n in options}
        return SpecAugment(**given), dim_in
    if _is_lstm(spec):
        return _build_lstmp(spec, dim_in, step)
    factor = options.get("learning-rate-factor", 1.0)
    l2 = options.get("l2-regularize", 0.0)
    if spec.kind == "output-layer":
        dim = int(options.get("dim", num_outputs))
        if dim != num_outputs:
            raise UsageError(
                f"xconfig: output-layer has dim={dim}, but the graph has {num_outputs} pdfs; "
                "leave dim out"
            )
        limit = options.get("max-change", 1.5)
        return Affine(dim_in, dim, limit, factor, zero=True, l2_regularize=l2), dim
    dim = int(options["dim"])
    parts: list[nn.Module] = [
        Affine(dim_in, dim, options.get("max-change", 0.75), factor, l2_regularize=l2),
        nn.ReLU(),
    ]
    rms = options.get("target-rms", 1.0)
    parts.append(BatchNorm(dim, rms) if spec.kind == "relu-batchnorm-layer" else Renorm(rms))
    if "dropout-proportion" in options:  # of 0, too: a schedule may raise it
        parts.append(nn.Dropout(options["dropout-proportion"]))
    return nn.Sequential(*parts), dim


def output_lengths(lengths: Tensor, subsampling: int = 3) -> Tensor:
    """Output frames for input frames: rounded up."""
    return -(-lengths // subsampling)
