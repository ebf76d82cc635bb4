"""The dull twin of Network.forward: one utterance at a time, one frame at a time, by recursion.

A layer's value at a time is computed when somebody asks for it, from what it reads at that time.
"""

from __future__ import annotations

import torch

from tests.reference.lstmp import simple_cell


def simple_forward(network, features, shift=0, ivector=None, name=None, derivs=None):
    """features (frames, dim) -> (ceil(frames / s), outputs), network in evaluation mode.

    With `derivs`, (first, last), what any layer computes at other times is a constant.
    """
    frames = len(features)
    nodes = {node.name: node for node in network.nodes}
    outputs = -(-frames // network.subsampling)
    cache = {}

    def read(term, t):
        x = ivector if term.constant else value(term.source, t + term.offset)
        return term.scale * x

    def limited(x, t):
        return x if derivs is None or derivs[0] <= t <= derivs[1] else x.detach()

    def value(name, t):
        if (name, t) not in cache:
            node = nodes[name]
            if node.kind == "input":
                result = features[min(max(t + shift, 0), frames - 1)]
            else:
                x = torch.cat([sum(read(term, t) for term in part) for part in node.parts])
                layer = network.layers[node.key]
                result = lstmp(name, layer, x, t) if node.is_lstm else layer(x[None])[0]
            cache[name, t] = limited(result, t)
        return cache[name, t]

    def lstmp(name, rows, x, t):
        """r and p; c is kept beside them. State is zero outside the frames that are computed."""
        grid, layer = network.grids[name], rows.lstmp
        mask = x.new_ones(3) * (1 - (rows.dropout.p if rows.dropout else 0))
        before = t + layer.delay
        if grid.first <= before <= (outputs - 1) * network.subsampling + grid.last:
            r = layer.decay * value(name, before)[: layer.recurrent]
            c = layer.decay * cache[name, before, "c"]
        else:
            r, c = x.new_zeros(layer.recurrent), x.new_zeros(layer.cell)
        gates = layer.w_all.weight @ torch.cat([x, r]) + layer.w_all.bias
        cell, m = simple_cell(gates, c, layer.peepholes.weight, mask)
        cache[name, t, "c"] = limited(cell, t)
        return m if layer.w_rp is None else layer.w_rp.weight @ m + layer.w_rp.bias

    name = name or network.output_names[0]
    times = range(0, frames, network.subsampling)
    result = torch.stack([value(name, t) for t in times])
    softmax = nodes[name].options.get("include-log-softmax", name == "output-xent")
    return result.log_softmax(1) if softmax else result
