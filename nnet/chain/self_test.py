"""Forward-backward on a graph of three states whose path sum is known, on any back end."""

from __future__ import annotations

import torch

from chainstitch.nnet.chain.backends import path_sums
from chainstitch.nnet.chain.denominator import DenominatorGraph

# of the graph below by leak, enumerated path by path in float64
LOG_Z = {0.0: 0.94361822, 0.1: 1.53250160}
TOLERANCE = 1e-4  # float32


def self_test(backend: str, device: str = "cpu", leaky: float = 0.1) -> float:
    """How far log Z and the posteriors are off: the largest absolute error.

    Posteriors are compared with the `reference` back end.
    """
    graph = DenominatorGraph.from_arcs(
        src=torch.tensor([0, 0, 1, 1, 1, 2, 2]),
        dst=torch.tensor([1, 2, 1, 2, 0, 2, 0]),
        pdf=torch.tensor([0, 1, 1, 2, 0, 3, 2]),
        prob=torch.tensor([0.6, 0.4, 0.5, 0.3, 0.2, 0.4, 0.6]),
    )
    t, k = torch.meshgrid(torch.arange(5.0), torch.arange(4.0), indexing="ij")
    y = torch.sin(1 + 0.9 * t + 1.7 * k + 0.3 * t * k)[None]  # (1, frames, pdfs)
    length = torch.tensor([5])
    log_z, posteriors = path_sums(backend, graph, y.to(device), length, leaky)
    _, wanted = path_sums("reference", graph, y, length, leaky)
    worst = float((posteriors.cpu() - wanted).abs().max())
    return max(worst, abs(float(log_z[0]) - LOG_Z[leaky]))
