"""The dull twin of a step towards a semi-orthogonal matrix: the gradient by autograd."""

from __future__ import annotations

import torch


def simple_step(weight, scale):
    """weight (out, in) -> the new one; `scale` below 0 floats."""
    if weight.shape[0] > weight.shape[1]:
        return simple_step(weight.t(), scale).t()
    m = weight.clone().requires_grad_()
    p = m @ m.t()
    speed, square = 0.125, scale * scale
    eigenvalues = torch.linalg.eigvalsh(p.detach())
    if scale < 0:
        square = float((eigenvalues**2).sum() / eigenvalues.sum())
        spread = float((eigenvalues**2).mean() / eigenvalues.mean() ** 2)
        speed /= 4 if spread > 1.1 else 2 if spread > 1.02 else 1
    distance = (p - square * torch.eye(len(p)).double()).square().sum()
    (gradient,) = torch.autograd.grad(distance, m)
    return weight - speed / square * gradient
