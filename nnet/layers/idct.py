"""From MFCC back to log mel energies: a fixed linear layer.

High-resolution MFCC (as many cepstra as mel bins) are an invertible transform of the log mel
energies, good for storing and for subtracting means. A network that masks or warps frequencies, or
that normalises each dimension (batch-norm gives the 40th cepstrum as much weight as the first),
wants the energies. With D the orthonormal DCT and L the lifter's diagonal, MFCC = L D log-mel, so

    log-mel = D' L^-1 MFCC,    D_0n = sqrt(1/N),  D_kn = sqrt(2/N) cos(pi k (n + 1/2) / N)
    L_kk = 1 + (Q/2) sin(pi k / Q),  Q = cepstral-lifter

Source: Kaldi feature-functions.cc (ComputeDctMatrix), mel-computations.cc (ComputeLifterCoeffs).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InverseDCT(nn.Module):
    """Liftered cepstra (rows, dim) -> log mel energies (rows, dim); no parameters.

    Args:
        dim: cepstra, as many as mel bins.
        lifter: Q, as the cepstra were made with; 0 for none.
    """

    def __init__(self, dim: int, lifter: float = 22.0) -> None:
        super().__init__()
        k = torch.arange(dim, dtype=torch.float64)
        dct = math.sqrt(2 / dim) * torch.cos(math.pi / dim * torch.outer(k, k + 0.5))
        dct[0] = math.sqrt(1 / dim)
        weights = 1 + lifter / 2 * torch.sin(math.pi * k / lifter) if lifter else torch.ones(dim)
        if float(weights.abs().min()) < 1e-6:
            raise ValueError(
                f"cepstral-lifter={lifter:g} makes one of {dim} cepstra 0, which nothing brings "
                "back; give the lifter that the features were made with (22, say)"
            )
        self.register_buffer("matrix", (dct / weights[:, None]).T.float(), persistent=False)
        self.matrix: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(rows, dim) -> (rows, dim)."""
        return F.linear(x, self.matrix)
