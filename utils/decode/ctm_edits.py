r"""What was recognised of an utterance beside what should have been said: lines of "ctm edits".

    UTTERANCE CHANNEL START DURATION HYPOTHESIS CONFIDENCE REFERENCE EDIT [tainted]

Times are seconds in the utterance, `<eps>` is no word, and EDIT is one of

    cor  the words are equal, or the hypothesis is the word for unknown ones and the reference is
         not in the vocabulary
    sub  ins  del     errors; a deletion takes no time, and stands where the word before it ends
    sil  a silence, which belongs to no word
    fix  the reference was given the hypothesis's word, which is no speech (fixed_edits.py)

The form is that of Kaldi's cleanup of training data, as are the three steps from here to segments:
fixed_edits.py, tainted_edits.py, clean_segments.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import kaldialign

from chainstitch.utils import text as texts
from chainstitch.utils.errors import UserError
from chainstitch.utils.lang.lexicon import EPSILON
from chainstitch.utils.score.ctm import Timed

KINDS = ("cor", "sub", "ins", "del", "sil", "fix")
ERRORS = ("sub", "ins", "del")
TAINTED = "tainted"
ROUNDING = 1e-3  # seconds; shorter silences are none


@dataclass(frozen=True)
class Edit(Timed):
    """A line; start, duration and confidence are texts, as they stand in the file."""

    utterance: str
    channel: str
    start: str
    duration: str
    hyp: str
    confidence: str
    ref: str
    kind: str
    tainted: bool = False

    def __str__(self) -> str:
        fields = (self.utterance, self.channel, self.start, self.duration, self.hyp)
        text = " ".join([*fields, self.confidence, self.ref, self.kind])
        return f"{text} {TAINTED}" if self.tainted else text

    def with_reference(self, kind: str) -> Edit:
        """The line with the hypothesis's word in the reference, too."""
        return replace(self, ref=self.hyp, kind=kind)


def make_edits(
    utterance: str,
    timed: Sequence[tuple[float, float, str]],
    reference: Sequence[str],
    end: float,
    vocabulary: Collection[str],
    unknown: str,
) -> list[Edit]:
    """The lines of an utterance.

    Args:
        timed: (first second, last second, word) of each recognised word.
        end: of the utterance, in seconds.
        vocabulary: the words that can be recognised.
        unknown: which of them stands for all others.
    """
    words = [word for _, _, word in timed]
    lines: list[Edit] = []
    now, spoken = 0.0, iter(timed)

    def add(until: float, hyp: str, ref: str, kind: str) -> None:
        nonlocal now
        times = f"{now:.2f}", f"{until - now:.2f}"
        lines.append(Edit(utterance, "1", *times, hyp, "1.0", ref, kind))
        now = until

    for ref, hyp in kaldialign.align(list(reference), words, EPSILON):
        if hyp == EPSILON:
            add(now, EPSILON, ref, "del")
            continue
        begin, until, _ = next(spoken)
        if begin > now + ROUNDING:
            add(begin, EPSILON, EPSILON, "sil")
        if hyp == ref or (hyp == unknown and ref != EPSILON and ref not in vocabulary):
            kind = "cor"
        else:
            kind = "ins" if ref == EPSILON else "sub"
        add(until, hyp, ref, kind)
    if end > now + ROUNDING:
        add(end, EPSILON, EPSILON, "sil")
    return lines


def read_edits(path: Path | str) -> Iterator[tuple[str, list[Edit]]]:
    """(utterance, its lines) one after the other.

    Raises:
        UserError: a line is not as above, or an utterance comes a second time; names the line.
    """
    done: set[str] = set()
    for utterance, numbered in groupby(_numbered(path), lambda pair: pair[1].utterance):
        (number, first), *others = numbered
        if utterance in done:
            raise UserError(f"{path}:{number}: utterance {utterance!r} comes a second time")
        done.add(utterance)
        yield utterance, [first, *(line for _, line in others)]


def _numbered(path: Path | str) -> Iterator[tuple[int, Edit]]:
    for number, text in texts.numbered(path):
        fields = text.split()
        fault = _fault(fields)
        if fault:
            raise UserError(
                f"{path}:{number}: {text[:80]!r} {fault}; wanted: utterance channel start duration "
                f"hypothesis confidence reference {'|'.join(KINDS)} [{TAINTED}]"
            )
        line = Edit(*fields[:8])  # type: ignore[arg-type]  # eight texts
        yield number, replace(line, tainted=len(fields) == 9)


def _fault(fields: Sequence[str]) -> str:
    """Why these are no line; empty if they are one."""
    if not (len(fields) == 8 or (len(fields) == 9 and fields[8] == TAINTED)):
        return f"has {len(fields)} fields"
    if not (texts.is_time(fields[2]) and texts.is_time(fields[3])):
        return "has a time that is no number"
    hyp, ref, kind = fields[4], fields[6], fields[7]
    if kind not in KINDS:
        return f"is of an unknown kind, {kind!r}"
    nothing = {"ins": ref, "del": hyp}
    if kind in nothing and nothing[kind] != EPSILON:
        return f"is {kind} and has a word on both sides"
    if kind in ("cor", "sub", "fix") and EPSILON in (hyp, ref):
        return f"is {kind} and lacks a word"
    return ""
