"""Forward-backward on the CPU: Numba kernels, one Python thread per share of the batch.

The kernels release the GIL and a plain thread pool spreads blocks of sequences over
`torch.get_num_threads()` threads: no second OpenMP runtime beside torch's, whose spinning threads
would fight over the cores. Compiled code is cached beside this file (or in Numba's user cache).
Equation numbers: forward_backward.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from chainstitch.nnet.chain.denominator import DenominatorGraph

LANES = 8  # sequences handled together; the innermost, vectorised dimension


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="forward-backward")


def in_threads(run: Callable[[int], None], count: int) -> None:
    """run(0) .. run(count - 1), spread over as many threads as torch uses."""
    threads = min(torch.get_num_threads(), count)
    if threads <= 1:
        for i in range(count):
            run(i)
    else:
        list(_pool(threads).map(run, range(count)))


def denominator(
    graph: DenominatorGraph, log_likes: np.ndarray, lengths: np.ndarray, leaky: float
) -> tuple[Tensor, Tensor]:
    """`forward_backward` on arrays: log_likes (batch, frames, pdfs) float32, lengths (batch,)."""
    batch, frames, pdfs = log_likes.shape
    log_z = np.zeros(batch)
    posteriors = np.zeros_like(log_likes)
    order = np.argsort(-lengths, kind="stable")  # blocks of similar length
    g = graph.groups
    initial = graph.initial.numpy().astype(np.float32)

    def run(block: int) -> None:
        rows = order[block * LANES : (block + 1) * LANES]
        longest = int(lengths[rows].max())
        x = np.zeros((longest, pdfs, LANES), np.float32)
        shift = np.zeros((longest, LANES))
        y = log_likes[rows, :longest]  # (lanes, frames, pdfs), a copy
        top = y.max(axis=2)
        shift[:, : len(rows)] = top.T
        np.exp((y - top[:, :, None]).transpose(1, 2, 0), out=x[:, :, : len(rows)])
        for n, row in enumerate(rows):  # whatever stands past the end is nobody's business
            x[lengths[row] :, :, n] = 0.0
        ends = np.zeros(LANES, np.int64)
        ends[: len(rows)] = lengths[rows]
        gamma = np.zeros((longest, pdfs, LANES), np.float32)
        total = np.zeros(LANES)
        _denominator_block(
            g["src"], g["prob"], g["arc_start"], g["group_pdf"], g["group_dst"], g["state_start"],
            initial, np.float32(leaky), x, shift, ends, gamma, total,
        )  # fmt: skip
        log_z[rows] = total[: len(rows)]
        posteriors[rows, :longest] = gamma.transpose(2, 0, 1)[: len(rows)]

    in_threads(run, math.ceil(batch / LANES))
    return torch.from_numpy(log_z), torch.from_numpy(posteriors)


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"}, boundscheck=False)
def _denominator_block(  # type: ignore[no-untyped-def]
    src,
    prob,
    arc_start,
    group_pdf,
    group_dst,
    state_start,
    initial,
    leaky,
    x,
    shift,
    ends,
    gamma,
    log_z,
):
    """Equations (4) to (10) for LANES sequences. A lane past its end idles: state is copied."""
    frames = x.shape[0]
    states = len(initial)
    groups = len(group_pdf)
    stored = np.empty((frames, groups, LANES), np.float32)  # G of (6)
    norms = np.ones((frames, LANES), np.float32)  # A
    alpha = np.empty((states, LANES), np.float32)  # alpha', normalised: sums to 1 + leaky
    total = np.empty(LANES, np.float32)
    acc = np.empty(LANES, np.float32)
    for i in range(states):
        for n in range(LANES):
            alpha[i, n] = initial[i] * (np.float32(1.0) + leaky)
    fresh = np.empty((states, LANES), np.float32)
    for t in range(frames):
        total[:] = 0.0
        for j in range(states):
            acc[:] = 0.0
            for g in range(state_start[j], state_start[j + 1]):
                into = stored[t, g]
                into[:] = 0.0
                for a in range(arc_start[g], arc_start[g + 1]):
                    row = alpha[src[a]]
                    p = prob[a]
                    for n in range(LANES):
                        into[n] += row[n] * p  # (6)
                likes = x[t, group_pdf[g]]
                for n in range(LANES):
                    acc[n] += into[n] * likes[n]  # (7)
            for n in range(LANES):
                fresh[j, n] = acc[n]
                total[n] += acc[n]
        for n in range(LANES):
            if t < ends[n]:
                norms[t, n] = total[n]
                log_z[n] += math.log(total[n]) + shift[t, n] if total[n] > 0 else -np.inf
            total[n] = np.float32(1.0) / total[n] if total[n] > 0 else np.float32(0.0)
        for j in range(states):
            for n in range(LANES):
                alpha[j, n] = fresh[j, n] * total[n] + leaky * initial[j]  # (4)
    for n in range(LANES):
        log_z[n] += math.log(1.0 + leaky)

    # beta'_T = 1 / (1 + leaky) for all states makes gamma sum to one
    beta = np.empty((states, LANES), np.float32)  # beta of (5), leak included
    back = np.zeros((states, LANES), np.float32)  # beta' of (9)
    start = np.float32(1.0) / (np.float32(1.0) + leaky)
    leak = np.empty(LANES, np.float32)
    for t in range(frames - 1, -1, -1):
        for n in range(LANES):
            if t == ends[n] - 1:
                for i in range(states):
                    back[i, n] = start
        leak[:] = 0.0
        for i in range(states):
            for n in range(LANES):
                leak[n] += initial[i] * back[i, n]
        for i in range(states):
            for n in range(LANES):
                beta[i, n] = back[i, n] + leaky * leak[n]  # (5)
                back[i, n] = 0.0
        for n in range(LANES):
            total[n] = np.float32(1.0) / norms[t, n] if t < ends[n] and norms[t, n] > 0 else 0.0
        for g in range(groups):
            likes = x[t, group_pdf[g]]
            ahead = beta[group_dst[g]]
            into = stored[t, g]
            out = gamma[t, group_pdf[g]]
            for n in range(LANES):
                acc[n] = likes[n] * ahead[n] * total[n]  # (8)
                out[n] += into[n] * acc[n]  # (10)
            for a in range(arc_start[g], arc_start[g + 1]):
                row = back[src[a]]
                p = prob[a]
                for n in range(LANES):
                    row[n] += p * acc[n]  # (9)


def numerator(batch: Any, log_likes: np.ndarray, lengths: np.ndarray) -> tuple[Tensor, Tensor]:
    """Log-domain forward-backward of `NumeratorBatch` graphs, one a sequence; -inf if none fits."""
    size = len(lengths)
    log_z = np.full(size, -np.inf)
    posteriors = np.zeros_like(log_likes)

    def run(i: int) -> None:
        graph = batch.graphs[i]
        log_z[i] = log_domain(
            graph.src, graph.dst, graph.pdf, graph.log_prob, graph.log_initial, graph.log_final,
            log_likes[i, : lengths[i]], posteriors[i],
        )  # fmt: skip

    in_threads(run, size)
    return torch.from_numpy(log_z), torch.from_numpy(posteriors)


@numba.njit(nogil=True, cache=True)
def log_domain(src, dst, pdf, log_prob, log_initial, log_final, y, gamma):  # type: ignore[no-untyped-def]
    """(1) to (3) with log-sums on one graph; arcs in any order; adds posteriors into gamma.

    Works per arc with the running maximum of its destination, so that an arc costs one exponential
    forward, one backward and one for its posterior; arcs out of unreached states cost nothing.
    """
    frames = y.shape[0]
    states = len(log_initial)
    arcs = len(src)
    alpha = np.full((frames + 1, states), -np.inf)
    alpha[0] = log_initial
    score = np.empty(arcs)
    top = np.empty(states)
    mass = np.empty(states)
    for t in range(frames):
        top[:] = -np.inf
        mass[:] = 0.0
        for a in range(arcs):
            score[a] = alpha[t, src[a]] + log_prob[a] + y[t, pdf[a]]
            if score[a] > top[dst[a]]:
                top[dst[a]] = score[a]
        for a in range(arcs):
            if score[a] > -np.inf:
                mass[dst[a]] += math.exp(score[a] - top[dst[a]])
        for j in range(states):
            if mass[j] > 0:
                alpha[t + 1, j] = top[j] + math.log(mass[j])
    best = -np.inf
    for j in range(states):
        best = max(best, alpha[frames, j] + log_final[j])
    if best == -np.inf or math.isnan(best):
        return -np.inf
    sum_ = 0.0
    for j in range(states):
        sum_ += math.exp(alpha[frames, j] + log_final[j] - best)
    log_z = best + math.log(sum_)
    beta = log_final.copy()
    for t in range(frames - 1, -1, -1):
        top[:] = -np.inf
        mass[:] = 0.0
        for a in range(arcs):
            score[a] = -np.inf
            if alpha[t, src[a]] > -np.inf and beta[dst[a]] > -np.inf:
                score[a] = log_prob[a] + y[t, pdf[a]] + beta[dst[a]]
                if score[a] > top[src[a]]:
                    top[src[a]] = score[a]
        for a in range(arcs):
            if score[a] > -np.inf:
                mass[src[a]] += math.exp(score[a] - top[src[a]])
                gamma[t, pdf[a]] += math.exp(alpha[t, src[a]] + score[a] - log_z)
        for i in range(states):
            beta[i] = top[i] + math.log(mass[i]) if mass[i] > 0 else -np.inf
    return log_z
