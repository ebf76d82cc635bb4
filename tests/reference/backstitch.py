"""The dull twin of backstitch over torch's optimisers: (13), (14) and their papers, in numpy.

A rule takes a gradient and the state, {} at first, and returns the direction of which lr times is
subtracted, and the new state; it modifies neither. Hyper-parameters are torch's defaults.
"""

from __future__ import annotations

import numpy as np


def sgd(gradient, state):
    return gradient, {}


def adadelta(gradient, state, rho=0.9, eps=1e-6):
    squares = rho * state.get("squares", 0.0) + (1 - rho) * gradient**2
    moved = state.get("moved", 0.0)
    direction = np.sqrt(moved + eps) / np.sqrt(squares + eps) * gradient
    return direction, {"squares": squares, "moved": rho * moved + (1 - rho) * direction**2}


def adam(gradient, state, beta1=0.9, beta2=0.999, eps=1e-8):
    t = state.get("t", 0) + 1
    mean = beta1 * state.get("mean", 0.0) + (1 - beta1) * gradient
    squares = beta2 * state.get("squares", 0.0) + (1 - beta2) * gradient**2
    direction = mean / (1 - beta1**t) / (np.sqrt(squares / (1 - beta2**t)) + eps)
    return direction, {"t": t, "mean": mean, "squares": squares}


def rmsprop(gradient, state, alpha=0.99, eps=1e-8):
    squares = alpha * state.get("squares", 0.0) + (1 - alpha) * gradient**2
    return gradient / (np.sqrt(squares) + eps), {"squares": squares}


def adagrad(gradient, state, eps=1e-10):
    squares = state.get("squares", 0.0) + gradient**2
    return gradient / (np.sqrt(squares) + eps), {"squares": squares}


def simple_backstitch(rule, gradients, theta, states, lr, alpha, decay=0.0, freeze_state=True):
    """One minibatch: new parameters and states (a list of each); alpha = 0 is a plain step.

    gradients: function from parameters to their gradients; decay: AdamW's, which acts once.
    """
    if alpha:
        first = [rule(g, s) for g, s in zip(gradients(theta), states, strict=True)]
        theta = [p + alpha * lr * d for p, (d, _) in zip(theta, first, strict=True)]  # (13)
        if not freeze_state:
            states = [s for _, s in first]
    second = [rule(g, s) for g, s in zip(gradients(theta), states, strict=True)]
    moved = [
        p * (1 - lr * decay) - (1 + alpha) * lr * d  # (14)
        for p, (d, _) in zip(theta, second, strict=True)
    ]
    return moved, [s for _, s in second]
