"""What a network is made of: for `chainstitch info`.

A multiplication and the addition behind it are two flops. Only those of matrices are counted, as
all else is less than a hundredth of them in networks of usual width. A layer has subsampling / step
rows for each output frame; how much work the inferred grid saves is what all layers would cost with
a row at every input frame, over what they do cost.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from chainstitch.nnet.layers import FixedAffine, InverseDCT
from chainstitch.nnet.nets.network import Network

Description = dict[str, Any]


def describe(network: Network) -> Description:
    """Plain values for JSON: sums over the network, and a list `layers` of its nodes.

    Of a layer: name, kind, dim_in and dim_out, parameters (trained ones), first, last and step of
    its grid (grid.py), in input frames, and flops for each output frame. The sums of flops are
    those of the main output and of what it needs.
    """
    layers: list[dict[str, Any]] = []
    for node in network.nodes:
        grid = network.grids[node.name]
        layer = nn.Identity() if node.kind == "input" else network.layers[node.key]
        flops = sum(map(_flops, layer.modules()))
        layers.append(
            {
                "name": node.name,
                "kind": node.kind,
                "dim_in": sum(network.dims[part[0].source] for part in node.parts),
                "dim_out": network.dims[node.name],
                "parameters": sum(p.numel() for p in layer.parameters() if p.requires_grad),
                "first": grid.first,
                "last": grid.last,
                "step": grid.step,
                "flops": flops * network.subsampling // grid.step,
            }
        )
    main = network.upstream(network.output_names[:1])
    cost = sum(layer["flops"] for layer in layers if layer["name"] in main)
    dense = sum(layer["flops"] * layer["step"] for layer in layers if layer["name"] in main)
    fixed = [m for m in network.modules() if isinstance(m, FixedAffine)]
    return {
        "parameters": network.num_parameters(),
        "parameters_of_other_outputs": sum(
            layer["parameters"] for layer in layers if layer["name"] not in main
        ),
        "fixed_parameters": sum(m.weight.numel() + m.bias.numel() for m in fixed),
        "outputs": ", ".join(network.output_names),
        "subsampling": network.subsampling,
        "left_context": network.left_context,
        "right_context": network.right_context,
        "flops_per_output_frame": cost,
        "saved_by_grid": round(dense / cost, 3) if cost else 1.0,
        "layers": layers,
    }


def _flops(module: nn.Module) -> int:
    """Of one row."""
    if isinstance(module, nn.Linear):
        return 2 * module.in_features * module.out_features
    if isinstance(module, FixedAffine):
        return 2 * module.weight.numel()
    return 2 * module.matrix.numel() if isinstance(module, InverseDCT) else 0


def table(description: Description) -> list[str]:
    """The layers of a description for a person, one a line, below a head."""
    head = ("layer", "type", "in", "out", "parameters", "frames", "step", "Mflop")
    rows = [
        (
            layer["name"], layer["kind"], str(layer["dim_in"] or ""), str(layer["dim_out"]),
            f"{layer['parameters']:,}" if layer["parameters"] else "",
            f"{layer['first']:+d} to {layer['last']:+d}", str(layer["step"]),
            f"{layer['flops'] / 1e6:.3f}" if layer["flops"] else "",
        )
        for layer in description["layers"]
    ]  # fmt: skip
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [head, *rows]
    ]
