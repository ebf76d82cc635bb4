"""The dull twin of context trees: all questions, leaves and pairs, every time, from frames."""

from __future__ import annotations

import itertools
import math

import numpy as np


def log_likelihood(frames, floor):
    """Of frames (n, D) under the diagonal Gaussian that fits them best, variances floored."""
    if len(frames) == 0:
        return 0.0
    frames = np.asarray(frames, np.float64)
    mean, variance = frames.mean(axis=0), np.maximum(frames.var(axis=0), floor)
    return sum(
        -0.5 * (math.log(2 * math.pi * v) + (x - m) ** 2 / v)
        for frame in frames
        for x, m, v in zip(frame, mean, variance, strict=True)
    )


def cluster(members, groups, floor):
    """[(loss, i, j)] of all merges; members: per cluster its frames."""
    members, groups = dict(enumerate(members)), dict(enumerate(groups))
    found, new = [], len(members)
    while True:
        pairs = [
            (i, j) for i, j in itertools.combinations(sorted(members), 2) if groups[i] == groups[j]
        ]
        if not pairs:
            return found
        losses = {}
        for i, j in pairs:
            apart = log_likelihood(members[i], floor) + log_likelihood(members[j], floor)
            both = np.concatenate([members[i], members[j]])
            losses[i, j] = apart - log_likelihood(both, floor)
        i, j = min(pairs, key=lambda pair: losses[pair])
        found.append((losses[i, j], i, j))
        groups[new] = groups[i]
        members[new] = np.concatenate([members.pop(i), members.pop(j)])
        new += 1


def split(data, phones, questions, floor):
    """The leaves after 0, 1, 2, ... splits, and the gain of each.

    Args:
        data: (left, phone, right, class) -> (n, D) frames.
        questions: sets of (left, right, class), the first one wins a tie.

    Returns:
        ([sets of frozensets of (left, phone, right, class)], [gains]).
    """
    contexts = list(itertools.product(range(phones + 1), range(phones + 1), range(2)))
    leaves = [(p, frozenset(contexts)) for p in range(1, phones + 1)]
    dim = next(iter(data.values())).shape[1]

    def frames(phone, members):
        return np.concatenate(
            [np.zeros((0, dim))] + [data.get((left, phone, right, c), np.zeros((0, dim)))
                                    for left, right, c in sorted(members)]
        )  # fmt: skip

    def named():
        return {frozenset((left, p, right, c) for left, right, c in m) for p, m in leaves}

    history, gains = [named()], []
    while True:
        best = (0.0, None)
        for at, (phone, members) in enumerate(leaves):
            whole = frames(phone, members)
            for question in questions:
                yes = frames(phone, members & question)
                no = frames(phone, members - question)
                if len(yes) and len(no):
                    gain = (
                        log_likelihood(yes, floor)
                        + log_likelihood(no, floor)
                        - log_likelihood(whole, floor)
                    )
                    if gain > best[0] + 1e-8:
                        best = (gain, (at, question))
        if best[1] is None:
            return history, gains
        at, question = best[1]
        phone, members = leaves[at]
        leaves[at : at + 1] = [(phone, members & question), (phone, members - question)]
        history.append(named())
        gains.append(best[0])
