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


def amsgrad(gradient, state, beta1=0.9, beta2=0.999, eps=1e-8):
    direction, after = adam(gradient, state, beta1, beta2, eps)
    after["most"] = np.maximum(state.get("most", 0.0), after["squares"])
    t = after["t"]
    root = np.sqrt(after["most"] / (1 - beta2**t)) + eps
    return after["mean"] / (1 - beta1**t) / root, after


def nadam(gradient, state, beta1=0.9, beta2=0.999, eps=1e-8, decay=4e-3):
    _, after = adam(gradient, state, beta1, beta2, eps)
    t = after["t"]
    mu, ahead = (beta1 * (1 - 0.5 * 0.96 ** (s * decay)) for s in (t, t + 1))
    # of which torch has a float32
    after["product"] = state.get("product", np.float32(1.0)) * np.float32(mu)
    product = float(after["product"])
    root = np.sqrt(after["squares"] / (1 - beta2**t)) + eps
    direction = (1 - mu) / (1 - product) * gradient + ahead / (1 - product * ahead) * after["mean"]
    return direction / root, after


def radam(gradient, state, beta1=0.9, beta2=0.999, eps=1e-8):
    _, after = adam(gradient, state, beta1, beta2, eps)
    t, most = after["t"], 2 / (1 - beta2) - 1
    rho = most - 2 * t * beta2**t / (1 - beta2**t)
    direction = after["mean"] / (1 - beta1**t)
    if rho > 5:
        shares = (rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)
        direction = direction * np.sqrt(shares * (1 - beta2**t))
        direction = direction / (np.sqrt(after["squares"]) + eps)
    return direction, after


def adamax(gradient, state, beta1=0.9, beta2=0.999, eps=1e-8):
    t = state.get("t", 0) + 1
    mean = beta1 * state.get("mean", 0.0) + (1 - beta1) * gradient
    most = np.maximum(beta2 * state.get("most", 0.0), np.abs(gradient) + eps)
    return mean / (1 - beta1**t) / most, {"t": t, "mean": mean, "most": most}


def rmsprop(gradient, state, alpha=0.99, eps=1e-8, centered=False):
    squares = alpha * state.get("squares", 0.0) + (1 - alpha) * gradient**2
    if not centered:
        return gradient / (np.sqrt(squares) + eps), {"squares": squares}
    mean = alpha * state.get("mean", 0.0) + (1 - alpha) * gradient
    return gradient / (np.sqrt(squares - mean**2) + eps), {"squares": squares, "mean": mean}


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
