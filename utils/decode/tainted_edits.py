"""Silences beside errors, which may hold words that nobody recognised.

Can be tainted: silences, words that the reference was given (`fix`), and words outside the
vocabulary that were recognised as unknown. All of a row of such lines is tainted if an error stands
before it or behind it. A deletion beside such a row is dropped: where its word was said, if it was,
is not known, and the taint says as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chainstitch.utils.decode.ctm_edits import ERRORS, Edit


def taint_edits(lines: Sequence[Edit]) -> list[Edit]:
    """The lines of an utterance, some of them tainted, without the deletions beside those."""
    marked = list(lines)
    dropped: set[int] = set()
    for n, line in enumerate(lines):
        if line.kind not in ERRORS:
            continue
        for step in (-1, 1):
            m = n + step
            while 0 <= m < len(lines) and _can_be_tainted(lines[m]):
                marked[m] = replace(lines[m], tainted=True)
                m += step
            if m != n + step and line.kind == "del":
                dropped.add(n)
    return [line for n, line in enumerate(marked) if n not in dropped]


def _can_be_tainted(line: Edit) -> bool:
    return line.kind in ("sil", "fix") or (line.kind == "cor" and line.hyp != line.ref)
