"""The dull twin of TimedAcceptors for an alignment: one phone after the other, one chunk."""

from __future__ import annotations

import math

from chainstitch.utils.hmm.determinise import determinised
from chainstitch.utils.hmm.pdf_acceptor import PdfAcceptor


def aligned_acceptor(phones, durations, leaves, first, last, tolerance, subsampling):
    """The acceptor of output frames first .. last - 1; None if no path fits."""
    frames = -(-sum(durations) // subsampling)
    window, begin = [], 0
    for duration in durations:
        end = begin + duration
        low = -(-max(0, begin - tolerance) // subsampling)
        window.append((low, min(frames, -(-(end + tolerance) // subsampling))))
        begin = end
    at = [{-1}]  # the phones before each output frame; -1: none yet
    for t in range(frames):
        ahead = at[-1] | {i + 1 for i in at[-1]}
        at.append({i for i in ahead if 0 <= i < len(phones) and window[i][0] <= t < window[i][1]})
    at[frames] &= {len(phones) - 1}
    for t in reversed(range(frames)):
        at[t] &= at[t + 1] | {i - 1 for i in at[t + 1]}
    if not at[first]:
        return None
    contexts = list(zip([0, *phones], phones, [*phones[1:], 0], strict=False))

    def steps(item):
        t, i = item
        if t < last and i in at[t + 1]:
            yield leaves.loop(*contexts[i]), 0.0, (t + 1, i)
        if t < last and i + 1 in at[t + 1]:
            yield leaves.entry(*contexts[i + 1]), 0.0, (t + 1, i + 1)

    begins = [((first, i), 0.0) for i in sorted(at[first])]
    made = determinised(begins, steps, lambda item: 0.0 if item[0] == last else -math.inf)
    return PdfAcceptor(made.arcs, made.final, last - first)
