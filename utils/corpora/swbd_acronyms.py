"""Acronyms: IBM in Switchboard's transcripts, i._b._m. in Fisher's and here, i b m for scoring.

An acronym is what is pronounced as its letters are. So they are found in the dictionary, once the
26 letters have their pronunciations (`find`): a word of letters, with 's or s behind it or without,
whose phones are those of its letters, and s or z for the ending:

    IBM    ay b iy eh m       i._b._m.      i b m
    BBC's  b iy b iy s iy z   b._b._c.'s    b b c's
    CDs    s iy d iy z        c._d.s        c d's

A word in a small s at its end is tested without it only, so that `us` is none, as `US` is.

In a text (`written`), capital letters by themselves that stand beside an `I` are spelt, that I
with them, `I B M` is `i. b. m.`; then every word of the map but `I` and `i`, which mean the speaker
as a rule. The rest becomes small.

A dictionary in which the article `a` has the pronunciation of the letter, `a ey`, would make each
`a` of the corpus a letter, `a.`; whether the real one does is not known here. `lexicon` leaves `a`
alone and says so; Kaldi's recipe has no such guard.

Back, for scoring: score/ctm.py.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SPEAKER = ("I", "i")
ARTICLE = "a"
LETTERS = {
    "A": "ey", "B": "b iy", "C": "s iy", "D": "d iy", "E": "iy", "F": "eh f", "G": "jh iy",
    "H": "ey ch", "I": "ay", "J": "jh ey", "K": "k ey", "L": "eh l", "M": "eh m", "N": "eh n",
    "O": "ow", "P": "p iy", "Q": "k y uw", "R": "aa r", "S": "eh s", "T": "t iy", "U": "y uw",
    "V": "v iy", "W": "d ah b ax l y uw", "X": "eh k s", "Y": "w ay", "Z": "z iy",
}  # fmt: skip
_FORM = re.compile(r"([A-Za-z]+?)('?s)?")

log = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class Acronym:
    """A word, as it is written here, and its letters with blanks between."""

    word: str
    form: str
    letters: str

    def row(self) -> str:
        """A line of the map, as score/ctm.py reads it."""
        return f"{self.word}\t{self.form}\t{self.letters}"


def find(word: str, phones: str) -> Acronym | None:
    """The acronym that a word is by its pronunciation, one blank between phones; None: it is none.

    >>> find("CDs", "s iy d iy z").row()
    "CDs\\tc._d.s\\tc d's"
    """
    parts = _FORM.fullmatch(word)
    if parts is None or word == "s":
        return None
    letters, ending = parts[1], parts[2] or ""
    spelt = " ".join(LETTERS[letter] for letter in letters.upper())
    if phones not in ([f"{spelt} s", f"{spelt} z"] if ending else [spelt]):
        return None
    small = letters.lower()
    return Acronym(
        word, "._".join(small) + "." + ending, " ".join(small) + ("'s" if ending else "")
    )


def lexicon(entries: Iterable[str], keep_article: bool = True) -> tuple[list[str], list[Acronym]]:
    """A lexicon's lines, `word phone ...`, with acronyms as they are written; and those.

    Args:
        keep_article: leave `a` alone, whatever its pronunciation; a warning tells if it matters.
    """
    lines, found = set(), set()
    for entry in entries:
        word, _, phones = entry.partition(" ")
        acronym = find(word, phones)
        if acronym is not None and word == ARTICLE and keep_article:
            log.warning(
                "the dictionary has `a %s`, by which each `a` of the corpus would become the "
                "letter a.; it stays the article (Kaldi's recipe has no such guard)", phones,
            )  # fmt: skip
            acronym = None
        if acronym is not None:
            found.add(acronym)
        lines.add(entry if acronym is None else f"{acronym.form} {phones}")
    return sorted(lines), sorted(found, key=Acronym.row)


def written(text: str, acronyms: Mapping[str, str]) -> str:
    """A text with its acronyms as they are written here, in small letters.

    Args:
        acronyms: the form of each word; all single capital letters are among them.

    >>> forms = {"I": "i.", "B": "b.", "M": "m.", "TV": "t._v."}
    >>> written("I saw I B M on TV", forms)
    'i saw i. b. m. on t._v.'
    """
    made: list[str] = []
    run: list[str] = []
    for word in [*text.split(), ""]:
        if len(word) == 1 and "A" <= word <= "Z":
            run.append(word)
            continue
        spelt = len(run) > 1 and "I" in run
        made += [w if w in SPEAKER and not spelt else acronyms.get(w, w) for w in run]
        run = []
        made.append(word if word in SPEAKER else acronyms.get(word, word))
    return " ".join(made[:-1]).lower()
