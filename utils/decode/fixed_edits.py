"""Errors that are the transcript's: noises that it left out, and words that were said twice.

Words that are no speech (coughs, laughter; those whose pronunciation is one silence phone) are not
scored, and the reference takes them from the hypothesis: one that was inserted or took the place of
another such word is put into the reference (`fix`), one that was deleted is taken out of it.

Who repeats themselves is seldom transcribed. So of two words, or pairs of words, that are the same
and follow each other, one correct and the other inserted, the reference gets the inserted one, too
(`cor`, as nobody knows which of the two the transcript meant). Silences and words that are not
scored may lie between them. Pairs go first, and no word is used twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from chainstitch.utils.decode.ctm_edits import Edit
from chainstitch.utils.lang.lexicon import EPSILON


def fix_edits(
    lines: Sequence[Edit], non_scored: Collection[str], changes: Counter[str] | None = None
) -> list[Edit]:
    """The lines of an utterance with these errors mended.

    Args:
        changes: counts what is done, as `reference -> hypothesis`.
    """
    changes = Counter() if changes is None else changes
    fixed = [line for line in lines if not (line.kind == "del" and line.ref in non_scored)]
    changes.update(
        f"{line.ref} -> {EPSILON}"
        for line in lines
        if line.kind == "del" and line.ref in non_scored
    )
    for n, line in enumerate(fixed):
        replaced = line.kind == "sub" and line.ref in non_scored
        if line.hyp in non_scored and (line.kind == "ins" or replaced):
            changes[f"{line.ref} -> {line.hyp}"] += 1
            fixed[n] = line.with_reference("fix")
    for n in _repeated(fixed, non_scored):
        changes[f"{fixed[n].ref} -> {fixed[n].hyp}"] += 1
        fixed[n] = fixed[n].with_reference("cor")
    return fixed


def _repeated(lines: Sequence[Edit], non_scored: Collection[str]) -> list[int]:
    """Which lines are insertions that repeat correct words, or are repeated by them."""
    silent = {EPSILON, *non_scored}
    heard = [n for n, line in enumerate(lines) if not {line.hyp, line.ref} <= silent]
    words = [lines[n].hyp for n in heard]
    # a word in place of one that is not scored is as good as inserted
    kinds = [
        "ins" if lines[n].kind == "sub" and lines[n].ref in non_scored else lines[n].kind
        for n in heard
    ]
    found: list[int] = []
    for size in (2, 1):
        correct, inserted = ["cor"] * size, ["ins"] * size
        for i in range(len(heard) - 2 * size + 1):
            half, end = i + size, i + 2 * size
            same = words[i:half] == words[half:end] and len(set(words[i:half])) == size
            if same and kinds[i:end] == correct + inserted:
                found += range(half, end)
            elif same and kinds[i:end] == inserted + correct:
                found += range(i, half)
            else:
                continue
            kinds[i:end] = ["used"] * (2 * size)
    return [heard[i] for i in found]
