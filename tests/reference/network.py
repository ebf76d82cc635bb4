"""The dull twin of Network.forward: one utterance at a time, all layers, all frames, recursion."""

from __future__ import annotations

import torch

from tests.reference.lstmp import simple_cell


def simple_forward(network, features, shift=0):
    """features (frames, dim) -> (ceil(frames / s), outputs), network in evaluation mode."""
    frames = len(features)
    by_name = {spec.name: spec for spec in network.specs}
    outputs = -(-frames // network.subsampling)
    cache = {}

    def value(name, t):
        if (name, t) not in cache:
            spec = by_name[name]
            if spec.kind == "input":
                result = features[min(max(t + shift, 0), frames - 1)]
            else:
                x = torch.cat([value(source, t + offset) for source, offset in spec.inputs])
                layer = network.layers[name.replace(".", "_")]
                if spec.kind == "fast-lstmp-layer":
                    result = lstmp(name, layer.lstmp, x, t)
                else:
                    result = layer(x[None])[0]
            cache[name, t] = result
        return cache[name, t]

    def lstmp(name, layer, x, t):
        """r and p; c is kept beside them. State is zero outside the frames that are computed."""
        first, last, _ = network._grids[name]
        before = t + layer.delay
        if first <= before <= (outputs - 1) * network.subsampling + last:
            r = layer.decay * value(name, before)[: layer.recurrent]
            c = layer.decay * cache[name, before, "c"]
        else:
            r, c = x.new_zeros(layer.recurrent), x.new_zeros(layer.cell)
        gates = layer.w_all.weight @ torch.cat([x, r]) + layer.w_all.bias
        cell, m = simple_cell(gates, c, layer.peepholes.weight, x.new_ones(3))
        cache[name, t, "c"] = cell
        return layer.w_rp.weight @ m + layer.w_rp.bias

    last = network.specs[-1].name
    return torch.stack([value(last, t) for t in range(0, frames, network.subsampling)])
