r"""What Switchboard's transcripts become: words and ids, by the rules of Kaldi's recipe (s5c).

The transcripts are those of Mississippi State University, 1998 (`ms98`). Whoever wants to compare
word error rates needs the same words, so the rules are followed where they are odd as well.

**A line**, `sw2001A-ms98-a-0002 0.977625 11.561375 hi um yeah` (`text_line`):

    sw2001 A        call and side: sw02001-A_000098-001156, with times in hundredths of a second,
                    a half upwards
    [silence]       goes, with the blank before it; of two in a row one is kept, as each wants a
                    blank of its own before it and behind                                        (1)
    <b_aside>       goes, and <e_aside>: what they embrace is said to somebody else
    words           each as below; then acronyms (swbd_acronyms.py), then small letters

A line without words is no utterance.

**A word** (`map_word`) goes through eight substitutions in this order, once each:

    [laughter-x]    x                 laughed; what was laughed is mapped by those below, too    (2)
    [x/y]           x                 x was said and y was meant; up to the last slash           (3)
    [x]y  -[x]y     -y                its beginning was not said                                 (4)
    x[y]  x[y]-     x-                its end was not said                                       (5)
    x[...]          x                 what is left of badly written ones                         (6)
    {x}             x                 not a word of the language                                 (7)
    a[bc]d          c-                a, d a letter each; meant to be a-d, and both are lost     (8)
    _1              goes              a number of its pronunciation                              (9)

where brackets of (4), (5) and (8) have no bracket in them, and x and y are not empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from chainstitch.utils.corpora.swbd_acronyms import written

SILENCE = "[silence]"
_FLAGS = re.ASCII | re.IGNORECASE
_SILENCE = re.compile(r"\s\[silence\](\s|$)", _FLAGS)
_ASIDE = re.compile(r"<[be]_aside>", _FLAGS)
_RULES = [
    (re.compile(pattern, _FLAGS), becomes)
    for pattern, becomes in (
        (r"^\[laughter-(.+)\](-?)$", r"\1\2"),  # (2)
        (r"^\[(.+)/.+\](-?)$", r"\1\2"),  # (3)
        (r"^-?\[[^][]+\](.+)$", r"-\1"),  # (4)
        (r"^(.+)\[[^][]+\]-?$", r"\1-"),  # (5)
        (r"(?<![^][])([^][]+)\[.+\]$", r"\1"),  # (6), from a word's beginning for the sake of time
        (r"^\{(.+)\}$", r"\1"),  # (7)
        (r"[a-z]\[([^][])+\][a-z]", r"\1-"),  # (8): a group that repeats is its last letter
        (r"_[0-9]", ""),  # (9)
    )
]


def map_word(token: str) -> str:
    """The word of a token of a transcript or of the dictionary, in the letters that it has.

    >>> map_word("[laughter-wh[at]-]"), map_word("[uh-huh/um-hum]"), map_word("ammu[n]it-")
    ('wh-', 'uh-huh', 'ammn-t-')
    """
    for pattern, becomes in _RULES:
        token = pattern.sub(becomes, token, count=1)
    return token


def words(tokens: str) -> str:
    """The words of a line's tokens, before acronyms and small letters; empty: no utterance."""
    kept = _SILENCE.sub(r"\1", " " + " ".join(tokens.split()))  # (1)
    mapped = (map_word(token) for token in _ASIDE.sub("", kept).split())
    return " ".join(word for word in mapped if word)


def utterance_id(name: str, start: float, end: float) -> str:
    """The id of what is `sw2001A...` in the transcripts, from start to end in seconds."""
    first, last = (int(100 * time + 0.5) for time in (start, end))
    call = name[:6].replace("sw", "sw0", 1)
    return f"{call}-{name[6:7]}_{first:06d}-{last:06d}"


def text_line(line: str, acronyms: Mapping[str, str]) -> str:
    """`id word word ...` of a line of a transcript; empty if it is no utterance.

    Args:
        acronyms: how each is written, as `swbd_acronyms.written` wants them.
    """
    name, start, end, *tokens = line.split()
    said = written(words(" ".join(tokens)), acronyms)
    return f"{utterance_id(name, float(start), float(end))} {said}" if said else ""


def segment_line(utterance: str) -> str:
    """`id side start end` of an utterance.

    >>> segment_line("sw02001-A_000000-000098")
    'sw02001-A_000000-000098 sw02001-A 0 0.98'
    """
    side, start, end = re.split(r"_|-(?=[0-9])", utterance)
    return f"{utterance} {side} {int(start) / 100:g} {int(end) / 100:g}"


def side(utterance: str) -> str:
    """The side of a call, which counts as a speaker: `sw02001-A`."""
    return utterance[:9]
