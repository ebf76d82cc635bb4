"""Kaldi's text files: one utterance per line, its id first, then its words (or its speaker)."""

from __future__ import annotations

from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.errors import UserError


def read_text(path: Path | str) -> dict[str, list[str]]:
    """The words of each utterance of `path` (`utt-id word word ...`), in the order of the file.

    A line that holds only an id is an empty transcript.

    Raises:
        UserError: no such file, not UTF-8, a blank line, or an id that occurs twice.
    """
    path = Path(path)
    try:
        lines = texts.lines(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; `chainstitch decode` writes it") from None
    utterances: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise UserError(f"{path}, line {number} is blank; wanted: utt-id word word ...")
        utt, *words = line.split()
        if utt in utterances:
            raise UserError(f"{path}, line {number}: id {utt!r} occurs twice; remove one of them")
        utterances[utt] = words
    return utterances


def read_utt2spk(path: Path | str) -> dict[str, str]:
    """The speaker of each utterance of a Kaldi `utt2spk` file.

    Raises:
        UserError: as `read_text`, or a line without exactly one speaker.
    """
    speakers: dict[str, str] = {}
    for utt, fields in read_text(path).items():
        if len(fields) != 1:
            raise UserError(f"{path}: {utt!r} has {len(fields)} speakers; wanted: utt-id speaker")
        speakers[utt] = fields[0]
    return speakers
