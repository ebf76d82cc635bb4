"""Switchboard's transcripts on disk, and the utterances that they come to.

    swb_ms98_transcriptions/20/2001/sw2001A-ms98-a-trans.text      a file for each side of a call

with lines `sw2001A-ms98-a-0002 0.977625 11.561375 hi um yeah`, times in seconds. What becomes of
the words: swbd_text.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.corpora.swbd_calls import SIDES
from chainstitch.utils.corpora.swbd_text import text_line
from chainstitch.utils.errors import UserError

FILES = "*/*/sw*-ms98-a-trans.text"
FORM = "sw2001A-ms98-a-0001 START END WORD ..."
_NAME = re.compile(r"sw([0-9]{4})([AB])-ms98-a-trans\.text")


@dataclass(frozen=True, slots=True)
class Utterance:
    """What somebody said: its id without a speaker's PIN, the words, and the line's place."""

    id: str
    text: str
    where: str

    @property
    def times(self) -> tuple[float, float]:
        """Start and end in seconds, those of the id."""
        start, _, end = self.id[10:].partition("-")
        return int(start) / 100, int(end) / 100

    @property
    def channel(self) -> int:
        return SIDES.index(self.id[8])


def find_files(directory: Path) -> dict[str, dict[str, Path]]:
    """The files of each side by call, `sw02001`.

    Raises:
        UserError: there are none.
    """
    calls: dict[str, dict[str, Path]] = {}
    for path in sorted(directory.glob(FILES)):
        if found := _NAME.fullmatch(path.name):
            calls.setdefault(f"sw0{found[1]}", {})[found[2]] = path
    if not calls:
        raise UserError(
            f"{directory} holds no {FILES}; give --transcripts the directory "
            "swb_ms98_transcriptions that openslr.org/5 unpacks to, not those of another release"
        )
    return calls


def read_side(path: Path, acronyms: Mapping[str, str]) -> Iterator[Utterance]:
    """The utterances of a file, one after the other; without words where none are left.

    Raises:
        UserError: a line is not as above, or of another side; or there are none; names the line.
    """
    name, empty = path.name[:7], True
    for number, line in texts.numbered(path):
        fields, where = line.split(), f"{path}:{number}"
        if not fields:
            continue
        if len(fields) < 3 or not all(map(texts.is_time, fields[1:3])):
            raise UserError(f"{where}: {line[:60]!r}: wanted `{FORM}`")
        if not fields[0].startswith(f"{name}-"):
            raise UserError(f"{where}: is of {fields[0][:40]!r}, wanted {name}-...; copy it again")
        if float(fields[2]) < float(fields[1]):
            raise UserError(f"{where}: ends at {fields[2]} s, before its start at {fields[1]} s")
        utterance, _, words = text_line(line, acronyms).partition(" ")
        yield Utterance(utterance, words, where)
        empty = False
    if empty:
        raise UserError(f"{path} has no lines, wanted `{FORM}`; copy it again")
