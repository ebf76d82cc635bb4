"""Taint of ctm edits by its definition: of each line it is asked whether an error is in sight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chainstitch.utils.decode.ctm_edits import Edit

ERRORS = {"sub", "ins", "del"}


def tainted(lines: Sequence[Edit]) -> list[Edit]:
    """What `taint_edits` gives."""
    doubtful = [
        line.kind in {"sil", "fix"} or (line.kind == "cor" and line.hyp != line.ref)
        for line in lines
    ]

    def sees_error(n: int) -> bool:
        for way in (range(n - 1, -1, -1), range(n + 1, len(lines))):
            for m in way:
                if lines[m].kind in ERRORS:
                    return True
                if not doubtful[m]:
                    break
        return False

    found = []
    for n, line in enumerate(lines):
        beside = [doubtful[m] for m in (n - 1, n + 1) if 0 <= m < len(lines)]
        if line.kind == "del" and any(beside):
            continue
        found.append(replace(line, tainted=True) if doubtful[n] and sees_error(n) else line)
    return found
