"""From nodes to layers: one function for every kind of node, found in a dict.

Each is given the node's options, the dimension that it reads, the number of outputs and the step of
its grid in frames, and gives the layer and the dimension of its output. Limits of change are those
of Kaldi's xconfig (kaldi-facts section 2): 1.5 for output layers and the matrices of fast LSTMs,
else 0.75.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from chainstitch.nnet.layers import (
    LSTMP,
    Affine,
    BatchNorm,
    FastLSTM,
    FastLSTMP,
    FixedAffine,
    FreqWarp,
    GateDropout,
    InverseDCT,
    Linear,
    LSTMPRows,
    PerSequence,
    Renorm,
    RepairedReLU,
    SharedDropout,
    SpecAugment,
)
from chainstitch.nnet.layers.deriv_range import only_at
from chainstitch.nnet.nets.grid import DELAY
from chainstitch.nnet.nets.layer_options import KEYS, RELU
from chainstitch.nnet.nets.nodes import TDNNF_AFFINE, Node
from chainstitch.utils.errors import UsageError

Options = dict[str, float]
Built = tuple[nn.Module, int]


class Stack(nn.Sequential):
    """Layers in a row, some of which want to know the rows of each sequence."""

    def forward(
        self, x: Tensor, counts: Tensor | None = None, derivs: Tensor | None = None
    ) -> Tensor:
        """(rows, in), (sequences,) -> (rows, out); `derivs` (rows,): see deriv_range.py."""
        for part in self:
            x = part(x, counts) if isinstance(part, PerSequence) else part(x)
            x = only_at(x, derivs)
        return x


def build(node: Node, dim_in: int, num_outputs: int, step: int) -> Built:
    """The layer of a node, and its output's dimension.

    Raises:
        UsageError: options that do not go together, or with the dimensions.
    """
    try:
        return _BUILDERS[node.kind](node, dim_in, num_outputs, step)
    except ValueError as error:
        raise UsageError(f"{node.place}: {error}") from None


def _update(layer: Any, options: Options, text: str, limit: float) -> Any:
    """Gives a layer what the optimiser and natural gradient look for; see layer_options.py.

    What a line says in its quoted `text` holds where the line itself is silent.
    """
    given = {k.partition(".")[2]: v for k, v in options.items() if k.startswith(f"{text}.")}
    given |= {k: options[k] for k in ("param-stddev", "bias-stddev") if k in options}
    layer.max_change = options.get("max-change", given.get("max-change", limit))
    for name, default in (("learning-rate-factor", 1.0), ("l2-regularize", 0.0)):
        setattr(layer, name.replace("-", "_"), options.get(name, given.get(name, default)))
    for name in ("rank-in", "rank-out", "update-period"):  # whole numbers
        if name in given:
            setattr(layer, name.replace("-", "_"), int(given[name]))
    for name in ("num-samples-history", "alpha"):
        if name in given:
            setattr(layer, name.replace("-", "_"), given[name])
    if "param-stddev" in given or "param-mean" in given:
        nn.init.normal_(layer.weight, given.get("param-mean", 0.0), given.get("param-stddev", 1.0))
    if "bias-stddev" in given:
        nn.init.normal_(layer.bias, std=given["bias-stddev"])
    return layer


def _affine(
    options: Options, dim_in: int, dim: int, limit: float = 0.75, zero: bool = False
) -> Any:
    return _update(Affine(dim_in, dim, zero=zero), options, "ng-affine-options", limit)


def _linear(options: Options, dim_in: int, dim: int, orthonormal: float) -> Any:
    return _update(Linear(dim_in, dim, orthonormal), options, "ng-linear-options", 0.75)


def _after(options: Options, dim: int, kind: str) -> list[nn.Module]:
    """ReLU, normalisation and dropout, as the kind's name has them."""
    repair = options.get("self-repair-scale", 0.0)
    parts: list[nn.Module] = [RepairedReLU(dim, repair) if repair else nn.ReLU()]
    if "renorm" in kind:
        parts.append(Renorm(options.get("target-rms", 1.0)))
    if "batchnorm" in kind:
        parts.append(BatchNorm(dim, options.get("target-rms", 1.0)))
    per_dim, continuous = (
        bool(options.get(f"dropout-per-dim{more}", 0.0)) for more in ("", "-continuous")
    )
    if "dropout-proportion" in options or "dropout" in kind:  # of 0, too: a schedule may raise it
        p = options.get("dropout-proportion", 0.5)
        if per_dim or continuous:
            parts.append(SharedDropout(p, continuous))
        else:
            parts.append(nn.Dropout(p))
    return parts


def _relu(node: Node, dim_in: int, num_outputs: int, step: int) -> Built:
    options, dim = node.options, int(node.options["dim"])
    parts: list[nn.Module] = []
    if "bottleneck-dim" in options:
        parts.append(_linear(options, dim_in, int(options["bottleneck-dim"]), 0.0))
        dim_in = int(options["bottleneck-dim"])
    parts += [_affine(options, dim_in, dim), *_after(options, dim, node.kind)]
    return Stack(*parts), dim


def _tdnnf_affine(node: Node, dim_in: int, num_outputs: int, step: int) -> Built:
    dim = int(node.options["dim"])
    options = node.options | {"dropout-per-dim-continuous": 1.0}
    return Stack(_affine(options, dim_in, dim), *_after(options, dim, "relu-batchnorm")), dim


def _prefinal(node: Node, dim_in: int, num_outputs: int, step: int) -> Built:
    big, small = int(node.options["big-dim"]), int(node.options["small-dim"])
    return Stack(
        _affine(node.options, dim_in, big), nn.ReLU(), BatchNorm(big),
        _linear(node.options, big, small, -1.0), BatchNorm(small),
    ), small  # fmt: skip


def _output(node: Node, dim_in: int, num_outputs: int, step: int) -> Built:
    options = node.options
    dim = int(options.get("dim", num_outputs))
    if dim != num_outputs:
        raise UsageError(
            f"{node.place}: output-layer has dim={dim}, but the graph has {num_outputs} pdfs; "
            "leave dim out"
        )
    if "bottleneck-dim" not in options:
        return _affine(options, dim_in, dim, 1.5, zero=True), dim
    bottleneck, orthonormal = int(options["bottleneck-dim"]), options.get("orthonormal-constraint")
    linear = {k: v for k, v in options.items() if not k.endswith("-stddev")}
    return Stack(
        _linear(linear, dim_in, bottleneck, orthonormal or 0.0),
        _affine(options, bottleneck, dim, 1.5, zero=True),
    ), dim


def _lstm(node: Node, dim_in: int, num_outputs: int, step: int) -> Built:
    options, fast = node.options, node.kind.startswith("fast")
    cell = int(options["cell-dim"])
    given: dict[str, Any] = {
        "delay": int(options.get("delay", DELAY)),
        "step": step,
        "decay_time": max(0.0, options.get("decay-time", 0.0)),
        "clip": options.get("clipping-threshold", 30.0),
        "zero_above": options.get("zeroing-threshold", 15.0),
        "self_repair": options.get("self-repair-scale-nonlinearity", 1e-5),
    }
    layer: FastLSTMP
    if node.kind == "fast-lstm-layer":
        layer = FastLSTM(dim_in, cell, **given)
    else:
        given_dims = {n: options.get(f"{n}-projection-dim") for n in _PROJECTIONS}
        if cell < 4 and None in given_dims.values():
            raise ValueError(
                f"cell-dim={cell} has no fourth part for the projections; wanted cell-dim >= 4, or "
                "recurrent-projection-dim and non-recurrent-projection-dim"
            )
        dims = (cell // 4 if dim is None else int(dim) for dim in given_dims.values())
        layer = (FastLSTMP if fast else LSTMP)(dim_in, cell, *dims, **given)
    limit = 1.5 if fast else 0.75
    own = "lstm-nonlinearity-options" if fast else "ng-per-element-scale-options"
    without_limit = {k: v for k, v in options.items() if k != "max-change"}
    for part in layer.modules():
        if isinstance(part, Affine):
            _update(part, options, "ng-affine-options", limit)
        elif part is not layer and list(part.parameters(recurse=False)):
            _update(part, without_limit, own, 0.75)
    return LSTMPRows(
        layer, _gate_dropout(options, fast, cell)
    ), layer.recurrent + layer.nonrecurrent


_PROJECTIONS = ("recurrent", "non-recurrent")


def _gate_dropout(options: Options, fast: bool, cell: int) -> GateDropout | None:
    p = options.get("dropout-proportion", -1.0)  # Kaldi's word for none
    per_frame = bool(options.get("dropout-per-frame", 1.0 if fast else 0.0))
    if fast and not per_frame:
        raise ValueError(
            "a fast LSTM has dropout frame by frame only; leave dropout-per-frame=false out, or "
            "use lstmp-layer"
        )
    if p == -1.0:
        return None
    return GateDropout(p, joint=fast, columns=1 if per_frame else cell)


def _augment(node: Node, dim_in: int, num_outputs: int, step: int) -> Built:
    return SpecAugment(**{k.replace("-", "_"): v for k, v in node.options.items()}), dim_in


def _plain(node: Node, dim_in: int, num_outputs: int, step: int) -> Built:
    options, dim = node.options, int(node.options["dim"])
    if node.kind == "affine-layer":
        return _affine(options, dim_in, dim), dim
    return _linear(options, dim_in, dim, options.get("orthonormal-constraint", 0.0)), dim


def _same_dim(node: Node, dim_in: int, num_outputs: int, step: int) -> Built:
    options = node.options
    makers: dict[str, Callable[[], nn.Module]] = {
        "no-op-component": nn.Identity,
        "batchnorm-component": lambda: BatchNorm(dim_in, options.get("target-rms", 1.0)),
        "idct-layer": lambda: InverseDCT(dim_in, options.get("cepstral-lifter", 22.0)),
        "freq-warp-layer": lambda: FreqWarp(dim_in, options.get("max-warp", 0.1)),
    }
    return makers[node.kind](), dim_in


def _fixed(node: Node, dim_in: int, num_outputs: int, step: int) -> Built:
    dim = int(node.options.get("dim", dim_in))
    if dim != dim_in:
        raise ValueError(f"a fixed affine layer keeps its dimension, {dim_in}; found dim={dim}")
    return FixedAffine(dim), dim


_BUILDERS: dict[str, Callable[[Node, int, int, int], Built]] = {
    **{kind: _relu for kind, keys in KEYS.items() if keys is RELU},
    "fixed-affine-layer": _fixed,
    "affine-layer": _plain,
    "linear-component": _plain,
    **dict.fromkeys(
        ("no-op-component", "batchnorm-component", "idct-layer", "freq-warp-layer"), _same_dim
    ),
    "spec-augment-layer": _augment,
    "fast-lstm-layer": _lstm,
    "fast-lstmp-layer": _lstm,
    "lstmp-layer": _lstm,
    TDNNF_AFFINE: _tdnnf_affine,
    "prefinal-layer": _prefinal,
    "output-layer": _output,
}  # fmt: skip
