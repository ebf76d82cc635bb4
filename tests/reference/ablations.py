"""The dull twins of backstitch without one of its precautions, in float64 numpy."""

from __future__ import annotations

from tests.reference.max_change import simple_limit_change


def simple_unshared(first, second, theta, lr, alpha):
    """(13) and (14) of two losses, which draw different masks."""
    theta = [p + alpha * lr * g for p, g in zip(theta, first(theta), strict=True)]
    return [p - (1 + alpha) * lr * g for p, g in zip(theta, second(theta), strict=True)]


def simple_same_limits(gradients, theta, lr, alpha, limits, most):
    """With the max-change of a plain step in both; a parameter is a layer, and is flat."""
    for scale in (-alpha, 1 + alpha):
        steps = [-lr * g for g in gradients(theta)]
        changes = simple_limit_change(steps, limits, most, scale)
        theta = [p + change for p, change in zip(theta, changes, strict=True)]
    return theta


def simple_momentum(gradients, theta, running, lr, alpha, momentum):
    """With a running sum of the gradients of both passes; returns it, too."""
    for scale in (-alpha, 1 + alpha):
        pairs = zip(running, gradients(theta), strict=True)
        running = [momentum * delta - lr * g for delta, g in pairs]
        theta = [
            p + scale * (1 - momentum) * delta for p, delta in zip(theta, running, strict=True)
        ]
    return theta, running
