"""The dull twin of i-vectors: one utterance, one frame and one Gaussian after the other."""

from __future__ import annotations

import math

import numpy as np


def log_likes(x, weights, means, variances):
    """(n, I) log of weight times density."""
    return np.array(
        [
            [
                math.log(w) - 0.5 * sum(math.log(2 * math.pi * b) + (a - m) ** 2 / b for a, m, b in
                                        zip(frame, mean, var, strict=True))
                for w, mean, var in zip(weights, means, variances, strict=True)
            ]
            for frame in x
        ]
    )  # fmt: skip


def posteriors(x, weights, means, variances, top, min_post):
    """(n, I) pruned posteriors, dense."""
    found = np.zeros((len(x), len(weights)))
    for row, likes in zip(found, log_likes(x, weights, means, variances), strict=True):
        best = np.argsort(-likes)[:top]
        odds = {i: math.exp(likes[i] - likes[best[0]]) for i in best}
        odds = {i: p for i, p in odds.items() if p > min_post or i == best[0]}
        total = sum(odds.values())
        odds = {i: p for i, p in odds.items() if p >= min_post * total or i == best[0]}
        for i, p in odds.items():
            row[i] = p / sum(odds.values())
    return found


def gmm_step(x, weights, means, variances, floor):
    """One iteration of EM, and the log-likelihood per frame before it."""
    likes = log_likes(x, weights, means, variances)
    norm = np.log(np.exp(likes - likes.max()).sum(1)) + likes.max()
    r = np.exp(likes - norm[:, None])
    count = r.sum(0)
    mean = np.array([(r[:, i, None] * x).sum(0) / count[i] for i in range(len(count))])
    var = np.array(
        [(r[:, i, None] * (x - mean[i]) ** 2).sum(0) / count[i] for i in range(len(count))]
    )
    return count / len(x), mean, np.maximum(var, floor), norm.mean()


def statistics(x, r, scale):
    """gamma (I,), f (I, F), S (I, F) of one utterance with posteriors r (n, I)."""
    gamma = np.zeros(r.shape[1])
    f, S = np.zeros((r.shape[1], x.shape[1])), np.zeros((r.shape[1], x.shape[1]))
    for t in range(len(x)):
        for i in range(len(gamma)):
            gamma[i] += scale * r[t, i]
            f[i] += scale * r[t, i] * x[t]
            S[i] += scale * r[t, i] * x[t] ** 2
    return gamma, f, S


def posterior_of_x(T, variances, offset, gamma, f, max_count=0.0):
    """Mean and covariance of an utterance's i-vector."""
    dim = T.shape[2]
    s = max(gamma.sum(), max_count) / max_count if max_count else 1.0
    P, c = s * np.eye(dim), np.zeros(dim)
    c[0] = s * offset
    for i in range(len(T)):
        P += gamma[i] * T[i].T @ np.diag(1 / variances[i]) @ T[i]
        c += T[i].T @ np.diag(1 / variances[i]) @ f[i]
    return np.linalg.solve(P, c), np.linalg.inv(P)


def online(T, variances, offset, frames, r, scale, period, max_count):
    """An estimate after frames 0, period, ..., each from the beginning."""
    found = []
    for last in range(0, len(frames), period):
        gamma, f, _ = statistics(frames[: last + 1], r[: last + 1], scale)
        x, _ = posterior_of_x(T, variances, offset, gamma, f, max_count)
        found.append(x - offset * np.eye(len(x))[0])
    return np.array(found)


def log_marginal(T, variances, offset, gamma, f, S):
    """An utterance's log-likelihood: the frames of all Gaussians as one long Gaussian vector.

    gamma_i frames of Gaussian i, as if all of them were their mean f_i / gamma_i, which is enough
    for x; what they differ by among themselves is added apart.
    """
    used = np.flatnonzero(gamma > 0)
    mean = np.concatenate([T[i][:, 0] * offset for i in used])
    seen = np.concatenate([f[i] / gamma[i] for i in used])
    directions = np.concatenate([T[i] for i in used])
    noise = np.concatenate([variances[i] / gamma[i] for i in used])
    covariance = np.diag(noise) + directions @ directions.T
    rest = seen - mean
    value = -0.5 * (
        len(seen) * math.log(2 * math.pi)
        + np.linalg.slogdet(covariance)[1]
        + rest @ np.linalg.solve(covariance, rest)
    )
    for i in used:
        scatter = S[i] - f[i] ** 2 / gamma[i]
        value -= 0.5 * (scatter / variances[i]).sum()
        value -= 0.5 * (gamma[i] * np.log(2 * math.pi * variances[i])).sum()
        value += 0.5 * np.log(2 * math.pi * variances[i] / gamma[i]).sum()
    return value


def em_step(T, variances, offset, statistics_of, floor_share):
    """The next T, variances and offset, up to a rotation of the i-vector behind its first entry."""
    N, F, D = T.shape
    Y, R = np.zeros((N, F, D)), np.zeros((N, D, D))
    counts, S = np.zeros(N), np.zeros((N, F))
    mean, moment = np.zeros(D), np.zeros((D, D))
    for gamma, f, second in statistics_of:
        x, covariance = posterior_of_x(T, variances, offset, gamma, f)
        V = covariance + np.outer(x, x)
        mean, moment = mean + x / len(statistics_of), moment + V / len(statistics_of)
        counts, S = counts + gamma, S + second
        for i in range(N):
            Y[i] += np.outer(f[i], x)
            R[i] += gamma[i] * V
    new = np.array([Y[i] @ np.linalg.inv(R[i]) for i in range(N)])
    rest = np.array([S[i] - np.diag(new[i] @ Y[i].T) for i in range(N)])
    floor = floor_share * rest.sum(0) / counts.sum()
    values, vectors = np.linalg.eigh(moment - np.outer(mean, mean))
    root = vectors @ np.diag(values**0.5) @ vectors.T
    z = np.linalg.solve(root, mean)
    return new @ root, np.maximum(rest / counts[:, None], floor), z
