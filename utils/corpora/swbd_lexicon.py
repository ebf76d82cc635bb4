"""Switchboard's dictionary, sw-ms98-dict.text, made the lexicon that Kaldi's recipe makes of it.

    lines       `word phone phone ...`; those that begin with #, and empty ones, go
    the patch   swbd_dict_patch.py, by the content of lines; one that is to be deleted and is not
                there means that this is another dictionary                                    (1)
    added       the silence word, three noises, <unk> and the 26 capital letters               (2)
    words       as those of transcripts (swbd_text.py): `[yeam/yeah]` is yeam, `them_1` them
    acronyms    swbd_acronyms.py
    added       `i ay`, as that of the speaker is no acronym; then all in small letters        (3)

Phones are those of these lines. (Kaldi takes those of the dictionary before (2), which are the same
for the real one.)
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.corpora.swbd_acronyms import LETTERS, Acronym
from chainstitch.utils.corpora.swbd_acronyms import lexicon as with_acronyms
from chainstitch.utils.corpora.swbd_dict_patch import ADDED, DELETED
from chainstitch.utils.corpora.swbd_text import map_word
from chainstitch.utils.corpora.tables import write_tables
from chainstitch.utils.errors import UserError

NAME = "sw-ms98-dict.text"
ACRONYMS = "acronyms.map"
SILENCE = "sil"
SOUNDS = ("!sil sil", "[vocalized-noise] spn", "[noise] nsn", "[laughter] lau", "<unk> spn")
SILENCE_PHONES = (SILENCE, "spn", "nsn", "lau")

log = logging.getLogger(__name__)


def read_dictionary(path: Path) -> list[str]:
    """The lines of the dictionary at `path`, patched (1), with one blank between fields.

    Raises:
        UserError: it is missing, or another one, or a line has no phones; or as utils/text.py.
    """
    if not path.is_file():
        raise UserError(
            f"{path} is missing; give --transcripts the directory swb_ms98_transcriptions, of "
            "openslr.org/5"
        )
    deleted = dict.fromkeys(DELETED.splitlines(), False)
    lines = []
    for number, raw in texts.numbered(path):
        line = " ".join(raw.split())
        if line in deleted:
            deleted[line] = True
        elif line and not raw.startswith("#"):
            if " " not in line:
                raise UserError(f"{path}:{number}: {line!r} has no phones, wanted WORD PHONE ...")
            lines.append(line)
    if absent := [line for line, found in deleted.items() if not found]:
        raise UserError(
            f"{path} is not the dictionary that Kaldi's patch is for, or is patched already: it "
            f"lacks {len(absent)} of {len(deleted)} lines (`{absent[0]}`); unpack it again from "
            "openslr.org/5"
        )
    return [*lines, *ADDED.splitlines()]


def lexicon(lines: Iterable[str], keep_article: bool = True) -> tuple[list[str], list[Acronym]]:
    """The lexicon of a dictionary's lines, and its acronyms.

    Args:
        keep_article: see swbd_acronyms.py.
    """
    letters = (f"{letter} {phones}" for letter, phones in LETTERS.items())
    entries = set()
    for line in (*SOUNDS, *lines, *letters):  # (2)
        word, _, phones = line.partition(" ")
        entries.add(f"{map_word(word)} {phones}")
    made, acronyms = with_acronyms(sorted(entries), keep_article)
    return sorted({line.lower() for line in ("i ay", *made)}), acronyms  # (3)


def write_dictionary(
    lines: list[str], acronyms: list[Acronym], out: Path, overwrite: bool = False
) -> None:
    """Writes out/: the lexicon, what kinds of phones there are, and the map of acronyms."""
    phones = {phone for line in lines for phone in line.split()[1:]}
    tables = {
        "lexicon.txt": lines,
        "silence_phones.txt": SILENCE_PHONES,
        "nonsilence_phones.txt": sorted(phones - {*SILENCE_PHONES}),
        "optional_silence.txt": [SILENCE],
        "extra_questions.txt": [],
        ACRONYMS: [acronym.row() for acronym in acronyms],
    }
    write_tables(out, "dictionary", tables, overwrite)
    log.info("%s: %d pronunciations, %d acronyms", out, len(lines), len(acronyms))
