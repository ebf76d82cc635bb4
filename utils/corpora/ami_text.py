r"""What AMI's transcripts become: pieces of segments, and their words, by Kaldi's rules.

The annotators' segments are long, and what was said in them has times for every mark of
punctuation. So segments are cut where somebody put a full stop, and long pieces at commas. The
input is a line as the NITE tools print a segment (ami_xml.py):

    meeting agent speaker channel segment-start segment-end start end  tokens...  times of marks...

A line of fewer than nine fields is none. The rules see letters of ASCII only: `é` stays small.

**Pieces** (`split`), in this order:

    times       tokens that begin with digits and a point. As many as there are marks, which are the
                tokens . , ? ! and :, or the whole segment is dropped: a word like 3.5 is enough
    numbers     each of , ! and : gets the next number, as `,0` and `!1`                         (1)
    stops       upper case; cut at every . and ?, also within words; piece i lasts from the time of
                stop i-1 (the first: from the start) to that of stop i (behind the last: to the end)
    commas      a piece of more than 30 tokens, the numbered ones among them, is cut at the mark
                that is nearest to its middle in time, and both parts again. If that is no comma, or
                there is none, it stays                                                          (2)
    times       in hundredths of a second, cut off and not rounded, and in binary floating point:
                8.2 s is 819. A piece that does not end after its start is dropped

In (2) the marks are those of the whole segment, gone through in the order of their times *as text*
up to one that lies at the piece's end; one at its start does not count. The mark may stand in
another piece, if a point within a word has shifted them: then the piece only becomes shorter.

**Words** (`normalise`), of a piece in upper case: numbered marks go; two words with a comma and no
space between, `UM,I`, both go; hyphens become spaces; `X_M_L` becomes `X. M. L`; MM HMM and UH HUH
get their hyphen back, also within words. A piece without words is dropped.
"""

from __future__ import annotations

import re
import string
from typing import NamedTuple

LONGEST = 30  # tokens of a piece that is not cut at commas
_FIELDS = 8  # before the tokens
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_TIME = re.compile(r"[0-9]+\.[0-9]*")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_STOP = re.compile(r"[.?]")
_LABEL = re.compile(r"[.,?!:][0-9]+")
_GLUED = re.compile(r"[A-Z']+,[A-Z']+")
_SPACES = re.compile(r"\s+", re.ASCII)

Pieces = dict[tuple[int, int], str]  # hundredths of a second -> text


class Mark(NamedTuple):
    """A comma, exclamation mark or colon, with its number; its time as it is written."""

    label: str
    time: str


def split(line: str) -> list[str]:
    """`meeting H0<channel> speaker start end TEXT` for every piece of a segment, by start.

    >>> split("ES2011a A FEE041 0 4.0 6.0 4.0 6.0 go . stop 5.0")
    ['ES2011a H00 FEE041 4 5 GO', 'ES2011a H00 FEE041 5 6 STOP']
    """
    fields = words(line)
    if len(fields) <= _FIELDS:
        return []
    meeting, _, speaker, channel, _, _, start, end = fields[:_FIELDS]
    found = []
    for (begin, finish), piece in sorted(_pieces(fields[_FIELDS:], start, end).items()):
        text = normalise(piece)
        if begin < finish and text:
            times = " ".join(f"{hundredths / 100:.15g}" for hundredths in (begin, finish))
            found.append(f"{meeting} H0{channel} {speaker} {times} {text}")
    return found


def normalise(text: str) -> str:
    """The words of a piece in upper case, one space between them.

    >>> normalise("HI ,0 D_V_D_S AND KICK-OFF"), normalise("UM,I THINK MM-HMM")
    ('HI D. V. D. S AND KICK OFF', 'THINK MM-HMM')
    """
    text = _GLUED.sub(" ", _LABEL.sub("", text)).replace("-", " ").replace("_", ". ")
    text = " ".join(words(text))
    return text.replace("MM HMM", "MM-HMM").replace("UH HUH", "UH-HUH")


def words(text: str) -> list[str]:
    """What stands between spaces, tabs and ends of lines; other white space is part of a word."""
    return [word for word in _SPACES.split(text) if word]


def _pieces(tokens: list[str], start: str, end: str) -> Pieces:
    times = [token for token in tokens if _TIME.match(token)]
    tokens = ["" if _TIME.match(token) else token for token in tokens]
    at = [place for place, token in enumerate(tokens) if token in tuple(".,?!:")]
    if len(times) != len(at):
        return {}
    stops = [start]
    marks: list[Mark] = []
    for place, time in zip(at, times, strict=True):
        if tokens[place] in ".?":
            stops.append(time)
        else:
            tokens[place] += str(len(marks))  # (1)
            marks.append(Mark(tokens[place], time))
    stops.append(end)
    marks.sort(key=lambda mark: mark.time)
    found: Pieces = {}
    for number, text in enumerate(_parts(_STOP, " ".join(tokens).translate(_UPPER))):
        # with points within words there are more pieces than times: those end before they begin
        begin, finish = (_number(time) for time in (*stops[number:], "", "")[:2])
        _keep(text, marks, begin, finish, found)
    return found


def _keep(text: str, marks: list[Mark], begin: float, end: float, found: Pieces) -> None:
    """Puts a piece into `found`, if it is short enough, or those that it is cut into."""
    if len(words(text)) <= LONGEST:
        found[_key(begin, end)] = text
        return
    # pieces that others were cut into do not replace those with the same times
    for key, part in _at_commas(text, marks, begin, end).items():
        found.setdefault(key, part)


def _at_commas(text: str, marks: list[Mark], begin: float, end: float) -> Pieces:
    """(2), for a piece that is too long."""
    middle, nearest, time = (begin + end) / 2, "", begin
    for mark in marks:
        this = _number(mark.time)
        if this == begin:
            continue
        if this == end:
            break
        if abs(middle - this) / 2 < abs(middle - time) / 2:
            nearest, time = mark.label, this
    if not nearest.startswith(","):
        return {_key(begin, end): text}
    found: Pieces = {}
    for number, part in enumerate(_parts(re.compile(nearest + r"\s+", re.ASCII), text)):
        _keep(part, marks, *((begin, time) if number == 0 else (time, end)), found)
    return found


def _parts(pattern: re.Pattern[str], text: str) -> list[str]:
    """What stands between matches; without what is empty at the end, as Perl splits."""
    parts = pattern.split(text)
    while parts and not parts[-1]:
        parts.pop()
    return parts


def _key(begin: float, end: float) -> tuple[int, int]:
    return int(begin * 100), int(end * 100)


def _number(text: str) -> float:
    """The number that a text begins with, or 0, as Perl reads it."""
    found = _NUMBER.match(text)
    return float(found[0]) if found else 0.0
