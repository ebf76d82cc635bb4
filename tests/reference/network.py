"""The dull twin of Network.forward: one utterance at a time, all layers, all frames, recursion."""

from __future__ import annotations

import torch


def simple_forward(network, features, shift=0):
    """features (frames, dim) -> (ceil(frames / s), outputs), network in evaluation mode."""
    frames = len(features)
    by_name = {spec.name: spec for spec in network.specs}
    cache = {}

    def value(name, t):
        if (name, t) not in cache:
            spec = by_name[name]
            if spec.kind == "input":
                result = features[min(max(t + shift, 0), frames - 1)]
            else:
                x = torch.cat([value(source, t + offset) for source, offset in spec.inputs])
                result = network.layers[name.replace(".", "_")](x[None])[0]
            cache[name, t] = result
        return cache[name, t]

    last = network.specs[-1].name
    return torch.stack([value(last, t) for t in range(0, frames, network.subsampling)])
