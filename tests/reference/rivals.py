"""The dull twins of SAM, ASAM and Lookahead over plain gradient descent, in float64 numpy.

`gradients` is a function from a list of parameters to the list of their gradients.
"""

from __future__ import annotations

import numpy as np


def simple_sam(gradients, theta, lr, rho, adaptive=False):
    """One minibatch of SAM, or of ASAM."""
    first = gradients(theta)
    sizes = [np.abs(p) + 0.01 if adaptive and p.ndim > 1 else np.ones_like(p) for p in theta]
    norm = np.sqrt(sum(((t * g) ** 2).sum() for t, g in zip(sizes, first, strict=True)))
    worst = [p + rho * t**2 * g / norm for p, t, g in zip(theta, sizes, first, strict=True)]
    return [p - lr * g for p, g in zip(theta, gradients(worst), strict=True)]


def simple_lookahead(minibatches, theta, lr, steps, share):
    """All minibatches of an iteration, a function of gradients each."""
    slow = theta
    for number, gradients in enumerate(minibatches, 1):
        theta = [p - lr * g for p, g in zip(theta, gradients(theta), strict=True)]
        if number % steps == 0:
            slow = [s + share * (p - s) for s, p in zip(slow, theta, strict=True)]
            theta = slow
    return theta
