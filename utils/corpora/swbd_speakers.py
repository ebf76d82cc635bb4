"""Who speaks on the sides of Switchboard's calls: conv.tab of its documentation.

    2001, "X", 1012 ,1055,"311",920101          call, topic, PIN of side A, of side B, ...

543 people speak on 4876 sides. Without conv.tab a side counts as a speaker; with it an utterance
`sw02001-A_...` is `sw1012-02001-A_...`, of `sw1012`. What the table lacks stays as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.corpora.swbd_text import side
from chainstitch.utils.errors import UserError

FORM = 'CALL, "TOPIC", PIN of A, PIN of B, ...'

log = logging.getLogger(__name__)


def read_pins(path: Path) -> dict[str, tuple[str, str]]:
    """The PINs of sides A and B by call, `2001`.

    Raises:
        UserError: it is missing or empty, or a line is not as above; names the line.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; give conv.tab of LDC97S62's documentation")
    pins = {}
    for number, line in texts.numbered(path):
        fields = [field.strip() for field in line.split(",")]
        if fields == [""]:
            continue
        if len(fields) < 4 or not all(fields[n].isalnum() for n in (0, 2, 3)):
            raise UserError(f"{path}:{number}: {line[:60]!r}: wanted `{FORM}`")
        pins[fields[0]] = fields[2], fields[3]
    if not pins:
        raise UserError(f"{path} holds no calls, wanted lines of `{FORM}`")
    return pins


def with_speakers(
    utterances: Iterable[str], pins: Mapping[str, tuple[str, str]] | None
) -> Iterator[tuple[str, str]]:
    """The id and the speaker of each utterance; calls that are not in the table are told."""
    absent: dict[str, None] = {}
    for utterance in utterances:
        call, channel = utterance[3:7], utterance[8]
        if pins is not None and call in pins:
            speaker = f"sw{pins[call][channel == 'B']}"
            yield f"{speaker}-{utterance[2:]}", speaker
            continue
        if pins is not None:
            absent[call] = None
        yield utterance, side(utterance)
    if absent:
        log.warning(
            "%d calls are not in conv.tab, and their sides stay speakers: %s",
            len(absent), ", ".join([*absent][:5]) + (", ..." if len(absent) > 5 else ""),
        )  # fmt: skip
