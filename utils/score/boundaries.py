"""How well word boundaries are placed: against times that are known.

An error is found minus true time, so that positive is late. Every word has two boundaries, its
begin and its end; where two words touch, that counts as the end of one and the begin of the other.
Words are compared one by one, so both sides must have the same words; an utterance where they
differ, or that one side lacks, is counted and left out.

A *shift* that is common to all boundaries is their median error: what subtracting it would leave is
reported beside, but a shift is to be found on one set and used on another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chainstitch.utils.errors import UserError
from chainstitch.utils.score.ctm import read_ctm
from chainstitch.utils.score.report import table_text

TOLERANCES = (0.02, 0.03, 0.05, 0.1)  # seconds
ROUNDING = 1e-6  # seconds; what floats may add to an error that is a tolerance

Word = tuple[float, float, str]  # begin, end, word


def ctm_words(path: Path | str) -> dict[str, list[Word]]:
    """Words by utterance, in the order of time, from a ctm whose files are utterances.

    Raises:
        UserError: as `read_ctm`.
    """
    found: dict[str, list[Word]] = {}
    for line in read_ctm(path):
        timed = (line.begin, line.begin + line.length, line.word)
        found.setdefault(line.file, []).append(timed)
    return {utterance: sorted(words) for utterance, words in found.items()}


def segment_words(cuts: Iterable[object]) -> dict[str, list[Word]]:
    """Words by utterance from cuts whose supervisions hold one word each, times and all.

    Raises:
        UserError: a supervision of no word or several.
    """
    found: dict[str, list[Word]] = {}
    for cut in cuts:
        words = []
        for segment in cut.supervisions:  # type: ignore[attr-defined]
            if len((segment.text or "").split()) != 1:
                raise UserError(
                    f"cut {cut.id} has a segment {segment.text!r}, wanted one "  # type: ignore[attr-defined]
                    "word each; give a ctm with the words' times"
                )
            words.append((float(segment.start), float(segment.end), segment.text.strip()))
        found[cut.id] = sorted(words)  # type: ignore[attr-defined]
    return found


@dataclass(frozen=True)
class BoundaryScore:
    """Errors of the utterances that could be compared.

    Attributes:
        errors: (words, 2) seconds, of begin and end.
        missing: utterances that only the truth has; different: those whose words differ.
    """

    errors: np.ndarray
    utterances: int
    missing: list[str]
    different: list[str]

    @property
    def shift(self) -> float:
        """The median error, seconds."""
        return float(np.median(self.errors))

    def table(self) -> str:
        """Rows: begins, ends, both, and both less their median; times in ms, shares in per cent."""
        within = [f"<= {1000 * t:.0f} ms" for t in TOLERANCES]
        rows: list[Sequence[str]] = [
            ("boundaries", "number", "median |e|", "mean |e|", "median e", "mean e", *within)
        ]
        both = self.errors.ravel()
        named = {"begin": self.errors[:, 0], "end": self.errors[:, 1], "all": both}
        for name, errors in (*named.items(), ("all, shifted", both - self.shift)):
            size = np.abs(errors)
            times = (np.median(size), size.mean(), np.median(errors), errors.mean())
            shares = [f"{100 * (size <= t + ROUNDING).mean():.1f}" for t in TOLERANCES]
            rows.append((name, str(len(errors)), *(f"{1000 * t:.1f}" for t in times), *shares))
        return table_text(rows)


def score_boundaries(
    truth: Mapping[str, Sequence[Word]], found: Mapping[str, Sequence[Word]]
) -> BoundaryScore:
    """Compares the utterances of `truth` with those of `found`.

    Raises:
        UserError: no utterance could be compared.
    """
    errors: list[tuple[float, float]] = []
    missing, different = [], []
    for utterance in sorted(truth):
        ours, theirs = found.get(utterance), truth[utterance]
        if ours is None:
            missing.append(utterance)
        elif [word for _, _, word in ours] != [word for _, _, word in theirs]:
            different.append(utterance)
        else:
            errors += [(a[0] - b[0], a[1] - b[1]) for a, b in zip(ours, theirs, strict=True)]
    if not errors:
        raise UserError(
            f"of {len(truth)} utterances with known times, {len(missing)} are not aligned and "
            f"{len(different)} have other words; give both sides of one set"
        )
    count = len(truth) - len(missing) - len(different)
    return BoundaryScore(np.array(errors), count, missing, different)
