"""The dull twin of nets/lda.py: frame by frame, symmetric square roots in place of Cholesky."""

from __future__ import annotations

import torch


def simple_transform(x, classes, factor=1e-4, limit=5.0):
    """x (rows, dim) and classes (rows,), -1 left out -> M and b, rows of M up to their signs."""
    kept = [(row.double(), int(c)) for row, c in zip(x, classes, strict=True) if c >= 0]
    n, dim = len(kept), x.shape[1]
    mean = sum(row for row, _ in kept) / n
    within, between = torch.zeros(dim, dim).double(), torch.zeros(dim, dim).double()
    for c in {c for _, c in kept}:
        rows = [row for row, other in kept if other == c]
        own = sum(rows) / len(rows)
        between += len(rows) / n * torch.outer(own - mean, own - mean)
        for row in rows:
            within += torch.outer(row - own, row - own) / n
    values, vectors = torch.linalg.eigh(within)
    root = vectors @ torch.diag(values**-0.5) @ vectors.t()
    s, u = torch.linalg.eigh(root @ between @ root)
    order = s.argsort(descending=True)
    rows = []
    for i in order.tolist():
        scale = ((factor + max(0.0, float(s[i]))) / (1 + max(0.0, float(s[i])))) ** 0.5
        rows.append(scale * (root @ u[:, i]))
    left, values, right = torch.linalg.svd(torch.stack(rows))
    m = left @ torch.diag(torch.tensor([min(limit, float(v)) for v in values]).double()) @ right
    return m, -m @ mean
