"""Lines of a ctm: what was said when, moved from utterances to recordings, and what is not scored.

    FILE CHANNEL START DURATION WORD [CONFIDENCE]                       times in seconds

`chainstitch decode` writes FILE as the utterance and CHANNEL as 1. NIST's programs want a file and
channel of the reference, and times from the beginning of that. Times are written with two decimals.

What the corpora leave out before they score is a rule for each, on whole lines, upper and lower
case alike:
 * ted: `<unk>`, in any field, with no letter, digit or `_` beside it;
 * ami: what contains `[noise`, `laughter` or `<unk>`, and hesitations that a confidence follows;
 * swbd: the same but for hesitations: those at the end of the line (so without a confidence), and
   words that end in `-`.
The reference of swbd writes acronyms as letters (`u s a` for `u._s._a.`): each gets its share of
the time, and the last one what rounding leaves.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.errors import UserError

log = logging.getLogger(__name__)

PAST = 0.01  # seconds that rounding may put the end of a word behind the end of its utterance


class Timed:
    """A line whose start and duration in seconds are texts, as they stand in the file."""

    start: str
    duration: str

    @property
    def begin(self) -> float:
        return float(self.start)

    @property
    def length(self) -> float:
        return float(self.duration)

    @property
    def end(self) -> float:
        return self.begin + self.length


@dataclass(frozen=True)
class CtmLine(Timed):
    """One word; the times are texts, as they stand in the file."""

    file: str
    channel: str
    start: str
    duration: str
    word: str
    confidence: str = ""

    def __str__(self) -> str:
        fields = (self.file, self.channel, self.start, self.duration, self.word, self.confidence)
        return " ".join(fields).rstrip()


@dataclass(frozen=True)
class Place:
    """Where an utterance lies: file and channel as the reference calls them, in seconds."""

    file: str
    channel: str
    start: float
    end: float


def read_ctm(path: Path | str) -> list[CtmLine]:
    """The words of a ctm; errors as `numbered_ctm`."""
    return [line for _, line in numbered_ctm(path)]


def numbered_ctm(path: Path | str) -> Iterator[tuple[int, CtmLine]]:
    """(number of the line, its word) one after the other, without blank lines and comments (`;;`).

    Raises:
        UserError: it cannot be opened, or a line is not as above; names it.
    """
    try:
        for number, line in texts.numbered(path):
            fields = line.split()
            if not fields or fields[0].startswith(";;"):
                continue
            if not (5 <= len(fields) <= 6 and all(map(texts.is_time, fields[2:4]))):
                raise UserError(
                    f"{path}:{number}: {line[:80]!r} is no line of a ctm; wanted: file channel "
                    "start duration word [confidence], in seconds"
                )
            yield number, CtmLine(*fields)
    except OSError as error:
        raise UserError(f"{path} cannot be read as a ctm ({error})") from None


def in_recordings(
    lines: Iterable[CtmLine], places: Mapping[str, Place], called: str
) -> Iterator[CtmLine]:
    """Lines of utterances as lines of recordings; words behind their utterance's end are counted.

    Args:
        places: by utterance.
        called: what errors call the ctm.

    Raises:
        UserError: an utterance that has no place.
    """
    late: list[CtmLine] = []
    for line in lines:
        place = places.get(line.file)
        if place is None:
            raise UserError(
                f"{called}: utterance {line.file!r} is not in --data; give the set that was decoded"
            )
        start, duration = f"{line.begin + place.start:.2f}", f"{line.length:.2f}"
        moved = CtmLine(place.file, place.channel, start, duration, line.word, line.confidence)
        if moved.begin + moved.length > place.end + PAST:
            late.append(moved)
        yield moved
    if late:
        log.warning(
            "%s: %d words end behind the end of their utterance (the first: %s)",
            called,
            len(late),
            late[0],
        )


def in_order(lines: Iterable[CtmLine]) -> list[CtmLine]:
    """By file, channel and start, as the C locale sorts."""
    return sorted(lines, key=lambda line: (line.file, line.channel, line.begin))


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.ASCII)


_NOISES = r"\[noise|laughter|vocalized-noise\]|<unk>"
_TED = _pattern(r"(?<!\w)<unk>(?!\w)")
_AMI = _pattern(_NOISES + r"| (ach|ah|eee|eh|er|ew|ha|hee|hm|hmm|huh|mm|oof|uh|um) ")
_SWBD = _pattern(_NOISES + r"| (uh|um|eh|mm|hm|ah|huh|ha|er|oof|hee|ach|eee|ew)$|-$")

# name -> whether a line of recordings is scored
RULES: dict[str, Callable[[str], bool]] = {
    "none": lambda line: True,
    "ted": lambda line: _TED.search(line) is None,
    "ami": lambda line: _AMI.search(line) is None,
    "swbd": lambda line: _SWBD.search(line) is None,
}


def read_acronyms(path: Path | str) -> dict[str, list[str]]:
    """How each acronym is scored, from lines `word TAB written form TAB letters with blanks`.

    Raises:
        UserError: there is none, or a line is not so; names it.
    """
    found = {}
    for number, line in texts.numbered(path):
        fields = line.split("\t")
        if not line.strip() or line.startswith("#"):
            continue
        if len(fields) != 3 or not fields[1].strip() or not fields[2].split():
            raise UserError(
                f"{path}:{number}: {line[:80]!r}: wanted a word, how it is written and its letters "
                "for scoring, with tabs between"
            )
        found[fields[1].strip()] = fields[2].split()
    if not found:
        raise UserError(f"{path} holds no acronyms; leave it out where there are none")
    return found


def split_acronyms(
    lines: Iterable[CtmLine], acronyms: Mapping[str, list[str]]
) -> Iterator[CtmLine]:
    """Acronyms as their letters, without confidences; other lines as they are."""
    for line in lines:
        letters = acronyms.get(line.word)
        if letters is None:
            yield line
            continue
        whole, start = round(line.length, 2), round(line.begin, 2)
        slot = round(whole / len(letters), 2)
        for n, letter in enumerate(letters):
            share = slot if n < len(letters) - 1 else whole - slot * n
            times = {"start": f"{start:.2f}", "duration": f"{share:.2f}"}
            yield replace(line, word=letter, confidence="", **times)
            start += slot
