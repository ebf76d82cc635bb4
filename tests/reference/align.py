"""The dull twin of alignment: every phone string and every way to share out the frames."""

from __future__ import annotations

import itertools
import math


def paths(strings, frames, leaves):
    """All [(phone, frames), ...] that say one of the phone strings, with their pdfs."""
    for string in filter(None, strings):
        for cuts in itertools.combinations(range(1, frames), len(string) - 1):
            bounds = [0, *cuts, frames]
            pdfs, phones = [], []
            contexts = zip((0, *string), string, (*string[1:], 0), strict=False)
            for context, begin, end in zip(contexts, bounds[:-1], bounds[1:], strict=True):
                pdfs += [leaves.entry(*context)] + [leaves.loop(*context)] * (end - begin - 1)
                phones.append((context[1], end - begin))
            yield phones, tuple(pdfs)


def best(strings, y, leaves, scale, log_weight=lambda pdfs: 0.0):
    """(best score, all paths that have it), scores in float64; -inf and none if none fits.

    log_weight: of a string of pdfs.
    """
    found = []
    for phones, pdfs in paths(strings, len(y), leaves):
        score = sum(scale * float(y[t, k]) for t, k in enumerate(pdfs)) + log_weight(pdfs)
        found.append((score, phones))
    top = max((score for score, _ in found), default=-math.inf)
    return top, [phones for score, phones in found if score >= top - 1e-9 and score > -math.inf]


def log_weight(denominator):
    """The best path's weight of a string of pdfs in a denominator that begins anywhere.

    The first arc carries the sum over the states that one may begin in.
    """
    src, dst, pdf, prob = (
        getattr(denominator, name).tolist() for name in ("src", "dst", "pdf", "prob")
    )
    initial = denominator.initial.tolist()

    def weight(pdfs):
        now = {}
        for s, d, k, p in zip(src, dst, pdf, prob, strict=True):
            if k == pdfs[0]:
                now[d] = now.get(d, 0.0) + initial[s] * p
        for wanted in pdfs[1:]:
            after = {}
            for s, d, k, p in zip(src, dst, pdf, prob, strict=True):
                if k == wanted and s in now:
                    after[d] = max(after.get(d, 0.0), now[s] * p)
            now = after
        top = max(now.values(), default=0.0)
        return math.log(top) if top else -math.inf

    return weight


def near(strings, y, leaves, scale, beam):
    """{phone string: (its best score, the alignments that have it)}, no more than `beam` below the
    best of all."""
    found = {
        string: best([string], y, leaves, scale) for string in map(tuple, filter(None, strings))
    }
    top = max((score for score, _ in found.values()), default=-math.inf)
    return {
        string: scored for string, scored in found.items() if scored[1] and scored[0] >= top - beam
    }
