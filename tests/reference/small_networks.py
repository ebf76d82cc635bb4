"""The dull twins of the small image networks: loops over pixels, in float64 numpy.

Layers are given as they stand in the networks: convolutions and affine layers, and the mean and
variance that batch-norm normalises by in evaluation.
"""

from __future__ import annotations

import numpy as np

EPSILON = 1e-3


def normalised(x, mean, variance):
    return (x - mean) / np.sqrt(variance + EPSILON)


def perceptron(image, hidden, output):
    """Scores of one image (colours, rows, columns); hidden: (W, b, mean, variance) of each."""
    x = np.array([value for colour in image for row in colour for value in row])
    for weight, bias, mean, variance in hidden:
        x = normalised(np.maximum(weight @ x + bias, 0), mean, variance)
    weight, bias = output
    return weight @ x + bias


def convolutional(image, layers, output):
    """Scores of one image; layers: (W, b, mean, variance), W of (filters, inputs, 3, 3)."""
    for weight, bias, mean, variance in layers:
        rows, columns = image.shape[1:]
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
        out = np.empty((len(weight), rows, columns))
        for f in range(len(weight)):
            for r in range(rows):
                for c in range(columns):
                    patch = padded[:, r : r + 3, c : c + 3]
                    value = max((weight[f] * patch).sum() + bias[f], 0)
                    out[f, r, c] = normalised(value, mean[f], variance[f])
        image = np.empty((len(weight), rows // 2, columns // 2))
        for r in range(rows // 2):
            for c in range(columns // 2):
                image[:, r, c] = out[:, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].max(axis=(1, 2))
    weight, bias = output
    return weight @ image.reshape(-1) + bias
