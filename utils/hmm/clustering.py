r"""Gaussians that are told apart, or made one: what context trees are grown and pruned by.

What is known of a set of frames is its *statistics*, one row of 1 + 2 D numbers

    s = (n, sum x, sum x^2),       n frames x of D dimensions, squares by dimension,

so that two sets together have the sum of their rows. The diagonal Gaussian that fits a set best,
its variances at least `floor`, gives it the log-likelihood

    m = sum x / n,   u = sum x^2 / n - m^2,   v = max(u, floor)
    L(s) = -n/2 sum_d [log 2 pi + log v_d + u_d / v_d]                                          (1)

(Kaldi, GaussClusterable::Objf). Splitting a set gains L(a) + L(b) - L(a + b) >= 0, merging two
loses as much.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

VARIANCE_FLOOR = 0.01  # of features like cepstra; Kaldi's default, too

Array = NDArray[np.float64]


def statistics(frames: Array) -> Array:
    """(1 + 2 D,) the statistics of (n, D) frames."""
    return np.concatenate([[len(frames)], frames.sum(axis=0), (frames**2).sum(axis=0)])


def log_likelihood(stats: Array, floor: float = VARIANCE_FLOOR) -> Array:
    """(1) of each row, natural logarithm; 0 for an empty one.

    Args:
        stats: (..., 1 + 2 D) rows; floor: of the variances, above 0.

    Returns:
        (...) float64.
    """
    dim = (stats.shape[-1] - 1) // 2
    n = stats[..., :1]
    whole = np.maximum(n, 1e-300)
    mean = stats[..., 1 : 1 + dim] / whole
    spread = np.maximum(stats[..., 1 + dim :] / whole - mean**2, 0.0)
    variance = np.maximum(spread, floor)
    per_frame = math.log(2.0 * math.pi) + np.log(variance) + spread / variance
    result: Array = -0.5 * n[..., 0] * per_frame.sum(axis=-1)
    return result


def merges(
    stats: Array, groups: Sequence[int], floor: float = VARIANCE_FLOOR
) -> Iterator[tuple[float, int, int]]:
    """Bottom-up clustering, the cheapest merge first, until nothing can be merged.

    The k-th merge of `len(stats)` = K clusters makes cluster K + k out of two that are then gone.

    Args:
        stats: (K, 1 + 2 D); groups: (K,) clusters of different groups are never merged.

    Yields:
        (loss of log-likelihood, the lower number, the higher one).
    """
    known = list(stats)
    alone = [float(v) for v in log_likelihood(stats, floor)]
    living: dict[int, list[int]] = {}
    for i, group in enumerate(groups):
        living.setdefault(group, []).append(i)
    group_of = list(groups)
    heap: list[tuple[float, int, int]] = []

    def losses(i: int, others: Sequence[int]) -> Iterator[tuple[float, int, int]]:
        if others:
            both = log_likelihood(known[i] + np.stack([known[j] for j in others]), floor)
            for j, together in zip(others, both.tolist(), strict=True):
                yield alone[i] + alone[j] - together, min(i, j), max(i, j)

    for members in living.values():
        for at, i in enumerate(members):
            heap += losses(i, members[at + 1 :])
    heapq.heapify(heap)
    gone: set[int] = set()
    while heap:
        loss, i, j = heapq.heappop(heap)
        if i in gone or j in gone:
            continue
        yield loss, i, j
        gone |= {i, j}
        group, new = group_of[i], len(known)
        known.append(known[i] + known[j])
        alone.append(float(log_likelihood(known[new], floor)))
        group_of.append(group)
        others = [k for k in living[group] if k not in gone]
        for entry in losses(new, others):
            heapq.heappush(heap, entry)
        living[group] = [*others, new]


def phone_sets(stats: Array, floor: float = VARIANCE_FLOOR) -> list[frozenset[int]]:
    """Sets of phones that sound alike, as questions to ask: the nodes of a clustering tree.

    The phones are merged bottom up until they are one; each set on the way is a question, but not
    the last, which holds all. Kaldi's `cluster-phones` takes the nodes of such a tree as well; its
    is made from the top down by k-means from random starts, and from the loops' statistics alone.

    Args:
        stats: (P, 1 + 2 D) of phones 1..P; one without frames is in no set.

    Returns:
        The sets, those made last (the large ones) first, then the single phones.
    """
    seen = [p for p in range(1, len(stats) + 1) if stats[p - 1, 0] > 0]
    sets = [frozenset([p]) for p in seen]
    rows = stats[[p - 1 for p in seen]]
    for _, i, j in merges(rows, [0] * len(seen), floor):
        sets.append(sets[i] | sets[j])
    if len(seen) < 2:
        return []
    return sets[-2 : len(seen) - 1 : -1] + sets[: len(seen)]
