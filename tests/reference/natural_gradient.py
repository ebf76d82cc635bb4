"""The dull twin of online natural gradient: every dim x dim matrix written out, in float64.

F = R^T Diag(d) R + rho I is kept as such; preconditioning inverts the smoothed F; the update is one
step of subspace iteration with T = eta X^T X / rows + (1 - eta) F.
"""

from __future__ import annotations

import numpy as np

EPSILON, DELTA = 1e-10, 5e-4


class SimpleNaturalGradient:
    def __init__(
        self, rank, update_period=4, num_samples_history=2000.0, minibatches=None, alpha=4.0
    ):
        self.rank, self.period, self.history = rank, update_period, num_samples_history
        self.minibatches, self.alpha = minibatches, alpha
        self.r = None
        self.updates = self.skipped = 0
        self.frozen = False

    def initialise(self, x):
        rows, dim = x.shape
        self.rank = min(self.rank, dim - 1)
        r = np.zeros((self.rank, dim))
        for i in range(self.rank):
            r[i, i :: self.rank] = 1.0
            r[i, i] = 1.1
            r[i] /= np.sqrt(r[i] @ r[i])
        self.r, self.d, self.rho = r, np.full(self.rank, EPSILON), EPSILON
        for _ in range(1 if rows <= self.rank else 3):
            self.update(x)

    def fisher(self):
        return self.r.T @ np.diag(self.d) @ self.r + self.rho * np.eye(self.r.shape[1])

    def precondition(self, x):
        rows, dim = x.shape
        if dim == 1:
            return x
        if self.r is None:
            self.initialise(x)
        f = self.fisher()
        g = f + self.alpha * np.trace(f) / dim * np.eye(dim)
        x_hat = x @ np.linalg.inv(g)
        norm = np.sqrt((x_hat**2).sum())
        out = x_hat * (np.sqrt((x**2).sum()) / norm) if norm > 0 else x_hat
        due = self.updates < 10 or self.skipped >= self.period - 1
        if due and not self.frozen:
            self.update(x)
            self.updates, self.skipped = self.updates + 1, 0
        elif not self.frozen:
            self.skipped += 1
        return out

    def update(self, x):
        rows, dim = x.shape
        eta = (
            1 / self.minibatches if self.minibatches else min(0.9, 1 - np.exp(-rows / self.history))
        )
        t = eta / rows * x.T @ x + (1 - eta) * self.fisher()
        y = self.r @ t
        c, u = np.linalg.eigh(y @ y.T)
        c, u = c[::-1], u[:, ::-1]
        c = np.maximum(c, (self.rho * (1 - eta)) ** 2)
        root = np.sqrt(c)
        rho = (np.trace(t) - root.sum()) / (dim - self.rank)
        d = root - rho
        floor = max(EPSILON, DELTA * root.max())
        r = np.diag(1 / root) @ u.T @ y
        q, upper = np.linalg.qr(r.T)  # orthonormal by QR, signs kept
        self.r = (q * np.sign(np.diag(upper))).T
        self.rho, self.d = max(rho, floor), np.maximum(d, floor)
