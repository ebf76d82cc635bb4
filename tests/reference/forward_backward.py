"""The dull twin of forward-backward: float64, logs, dense matrices, enumeration of all paths."""

from __future__ import annotations

import itertools

import numpy as np


def simple_forward_backward(src, dst, pdf, prob, initial, y, leaky, final=None):
    """log Z and posteriors (frames, pdfs) of one sequence; the leak as explicit epsilon arcs.

    final: linear final probabilities (default: all ones).
    """
    frames, pdfs = y.shape
    states = len(initial)
    final = np.ones(states) if final is None else final
    leak = np.eye(states) + leaky * np.outer(np.ones(states), initial)  # from any state, to pi
    matrices = []
    for t in range(frames):
        m = np.zeros((states, states))
        for i, j, n, p in zip(src, dst, pdf, prob, strict=True):
            m[i, j] += p * np.exp(y[t, n])
        matrices.append(m)
    alphas = [initial @ leak]
    for m in matrices:
        alphas.append(alphas[-1] @ m @ leak)
    z = alphas[-1] @ final
    betas = [final]
    for m in reversed(matrices):
        betas.insert(0, m @ leak @ betas[0])
    gamma = np.zeros((frames, pdfs))
    for t in range(frames):
        after = leak @ betas[t + 1]
        for i, j, n, p in zip(src, dst, pdf, prob, strict=True):
            gamma[t, n] += alphas[t][i] * p * np.exp(y[t, n]) * after[j] / z
    return np.log(z), gamma


def enumerate_log_z(src, dst, pdf, prob, initial, y):
    """log Z without leak by listing every arc sequence."""
    total = 0.0
    for path in itertools.product(range(len(src)), repeat=len(y)):
        if all(dst[a] == src[b] for a, b in itertools.pairwise(path)):
            value = initial[src[path[0]]]
            for t, a in enumerate(path):
                value *= prob[a] * np.exp(y[t, pdf[a]])
            total += value
    return np.log(total)
