"""The lines of an xconfig as nodes of a graph, each of which computes its rows at times of its own.

Most lines are one node. Two are more:

    tdnnf-layer, time stride s     .linear  reads its input at -s and 0; no bias, semi-orthogonal
                                   .affine  reads .linear at 0 and s; then ReLU, batch-norm, dropout
                                   itself   Sum(Scale(bypass-scale, input), .affine)
    output-layer, output-delay d   reads its input d frames later

Source: Kaldi steps/libs/nnet3/xconfig/composite_layers.py (tdnnf-layer), basic_layers.py
(output-layer).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from torch import nn

from chainstitch.nnet.nets.descriptors import Parts, Term
from chainstitch.nnet.nets.xconfig import LayerSpec
from chainstitch.utils.errors import UsageError

_TAKEN = frozenset(dir(nn.ModuleDict()))  # "forward", say
TDNNF_AFFINE = "tdnnf-affine"  # a kind of node, of no line


@dataclass(frozen=True)
class Node:
    """Like a `LayerSpec`; `line` is the name in the xconfig, `number` that of its line there."""

    name: str
    line: str
    kind: str
    parts: Parts
    options: dict[str, float]
    number: int = 0

    @property
    def place(self) -> str:
        """What a message about it begins with."""
        return f"xconfig line {self.number}, layer {self.line!r}"

    @property
    def key(self) -> str:
        """The name as torch allows it to a module: without dots, and none of its own names."""
        key = self.name.replace(".", "_")
        return f"{key}_" if key in _TAKEN else key

    @property
    def is_lstm(self) -> bool:
        """Whether it also reads its own rows, `delay` frames away."""
        return "lstm" in self.kind


def expand(specs: list[LayerSpec]) -> list[Node]:
    """The nodes of the lines, in order.

    Raises:
        UsageError: a tdnnf-layer with a bypass of several layers; two names that differ only in
            '.' and '_'.
    """
    nodes: list[Node] = []
    for spec in specs:
        if spec.kind == "tdnnf-layer":
            nodes += _tdnnf(spec)
        else:
            parts = _later(spec.parts, int(spec.options.get("output-delay", 0)))
            nodes.append(Node(spec.name, spec.name, spec.kind, parts, spec.options, spec.number))
    keys: dict[str, str] = {}
    for node in nodes:
        other = keys.setdefault(node.key, node.name)
        if other != node.name:
            raise UsageError(
                f"xconfig: the layers {other!r} and {node.name!r} have names too much alike; "
                "rename one of them"
            )
    return nodes


def _later(parts: Parts, frames: int) -> Parts:
    """What `parts` are that many frames later."""
    return [
        tuple(
            term if term.constant else dataclasses.replace(term, offset=term.offset + frames)
            for term in part
        )
        for part in parts
    ]


def _tdnnf(spec: LayerSpec) -> list[Node]:
    name, options = spec.name, spec.options
    stride = int(options.get("time-stride", 1))
    bypass = options.get("bypass-scale", 0.66)
    update = {k: v for k, v in options.items() if k not in ("dim", "bottleneck-dim")}
    linear, affine = f"{name}.linear", f"{name}.affine"
    before = spec.parts if not stride else [*_later(spec.parts, -stride), *spec.parts]
    after: Parts = [(Term(linear),)] if not stride else [(Term(linear),), (Term(linear, stride),)]
    total: tuple[Term, ...] = (Term(affine),)
    if bypass:
        if len(spec.parts) != 1:
            raise UsageError(
                f"xconfig line {spec.number}, layer {name!r}: the bypass wants an input of one "
                f"part, found Append of {len(spec.parts)}; write bypass-scale=0"
            )
        scaled = [dataclasses.replace(term, scale=term.scale * bypass) for term in spec.parts[0]]
        total = (*scaled, *total)
    bottleneck = {"dim": options["bottleneck-dim"], "orthonormal-constraint": -1.0}
    line = spec.number
    return [
        Node(linear, name, "linear-component", before, update | bottleneck, line),
        Node(affine, name, TDNNF_AFFINE, after, update | {"dim": options["dim"]}, line),
        Node(name, name, "no-op-component", [total], {}, line),
    ]
