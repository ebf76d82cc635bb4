"""The dull twin of max-change: Kaldi's loop over components, in float64 numpy."""

from __future__ import annotations

import numpy as np


def simple_limit_change(deltas, limits, global_limit, scale=1.0, limit_scale=1.0):
    """Returns the changes to apply, one array a layer (deltas: one flat array a layer)."""
    changes = []
    total = 0.0
    for delta, limit in zip(deltas, limits, strict=True):
        norm = np.sqrt((delta**2).sum())
        factor = 1.0
        if limit != 0 and norm * abs(scale) > limit * limit_scale:
            factor = limit * limit_scale / (norm * abs(scale))
        changes.append(factor * delta)
        total += factor**2 * norm**2
    total = abs(scale) * np.sqrt(total)
    if not np.isfinite(total):
        return [np.zeros_like(d) for d in deltas]
    if global_limit != 0 and total > global_limit * limit_scale:
        scale *= global_limit * limit_scale / total
    return [scale * c for c in changes]
