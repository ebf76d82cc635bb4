"""The dull twin of numerators: every pdf string that is allowed, once, through the denominator."""

from __future__ import annotations

import itertools
import math

import numpy as np


def spoken(string, frames, leaves):
    """The pdf strings of `frames` frames that say a phone string."""
    found = set()
    for cuts in itertools.combinations(range(1, frames), len(string) - 1):
        bounds = [0, *cuts, frames]
        pdfs, left = [], 0
        for i, (phone, begin, end) in enumerate(zip(string, bounds[:-1], bounds[1:], strict=True)):
            right = string[i + 1] if i + 1 < len(string) else 0
            pdfs += [leaves.entry(left, phone, right)]
            pdfs += [leaves.loop(left, phone, right)] * (end - begin - 1)
            left = phone
        found.add(tuple(pdfs))
    return found


def aligned(phones, durations, leaves, tolerance, subsampling):
    """The pdf strings near an alignment: each frame's phone may stand there by the times."""
    frames = math.ceil(sum(durations) / subsampling)
    ends = np.cumsum(durations)
    found = set()
    for steps in itertools.product((0, 1), repeat=frames - 1):
        at = np.cumsum((0, *steps))  # which phone each frame belongs to
        if at[-1] != len(phones) - 1:
            continue
        inside = all(
            max(0, ends[i] - durations[i] - tolerance) <= t * subsampling < ends[i] + tolerance
            for t, i in enumerate(at)
        )
        if inside:
            lefts, rights = [0, *phones], [*phones[1:], 0]
            found.add(
                tuple(
                    (leaves.entry if t == 0 or at[t - 1] != i else leaves.loop)(
                        lefts[i], phones[i], rights[i]
                    )
                    for t, i in enumerate(at)
                )
            )
    return found


def log_z(strings, denominator, y):
    """log of the sum over pdf strings of their probability in the denominator times exp(y)."""
    src, dst, pdf, prob = (
        getattr(denominator, name).numpy() for name in ("src", "dst", "pdf", "prob")
    )
    total = 0.0
    for string in strings:
        alpha = denominator.initial.numpy()
        for t, n in enumerate(string):
            after = np.zeros_like(alpha)
            for a in np.flatnonzero(pdf == n):
                after[dst[a]] += alpha[src[a]] * prob[a] * math.exp(y[t, n])
            alpha = after
        total += alpha.sum()
    return math.log(total) if total else -math.inf


def lattice_paths(arcs):
    """All [(phone, input frames), ...] of a phone lattice: (source, target, phone, frames)."""
    end = max(target for _, target, _, _ in arcs)

    def onward(state):
        if state == end:
            yield []
        for source, target, phone, frames in arcs:
            if source == state:
                for rest in onward(target):
                    yield [(phone, frames), *rest]

    return list(onward(0))


def of_lattice(arcs, leaves, tolerance, subsampling):
    """The pdf strings near one of the paths of a lattice."""
    found = set()
    for path in lattice_paths(arcs):
        found |= aligned(*zip(*path, strict=True), leaves, tolerance, subsampling)
    return found


def of_proto_supervision(arcs, leaves, tolerance, subsampling):
    """Kaldi's: its phone strings, in frames that allow each phone, wherever that occurs."""
    paths = lattice_paths(arcs)
    total = sum(frames for _, frames in paths[0])
    allowed = [set() for _ in range(math.ceil(total / subsampling))]
    for path in paths:
        begin = 0
        for phone, frames in path:
            for t, here in enumerate(allowed):
                first, last = max(0, begin - tolerance), begin + frames + tolerance
                if first <= t * subsampling < last:
                    here.add(phone)
            begin += frames
    found = set()
    for string in {tuple(phone for phone, _ in path) for path in paths}:
        for cuts in itertools.combinations(range(1, len(allowed)), len(string) - 1):
            bounds = [0, *cuts, len(allowed)]
            if all(
                p in allowed[t]
                for p, a, b in zip(string, bounds, bounds[1:], strict=False)
                for t in range(a, b)
            ):
                pdfs = []
                sides = zip([0, *string], string, [*string[1:], 0], strict=False)
                for context, a, b in zip(sides, bounds, bounds[1:], strict=False):
                    pdfs += [leaves.entry(*context)] + [leaves.loop(*context)] * (b - a - 1)
                found.add(tuple(pdfs))
    return found
