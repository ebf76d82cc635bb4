"""The utterances of a set with the audio of another microphone, which heard the same.

Kaldi's recipe for AMI aligns the words of a distant microphone on what the headsets heard, and
trains the network on what the distant one heard. Ids, words and speakers are those of one set then,
and the recordings those of another:

    AMI_ES2002a_SDM_MEE006_0001001_0002050   of the set
    AMI_ES2002a_H00_MEE006_0001001_0002050   is the same utterance in the other

Two ids are of the same utterance if they are equal but for the microphone, which stands in capitals
and digits between the second and the third underscore, and for what clean-up wrote behind (`-1`).
Times are those of the set, so that an utterance has the same frames on either side, and what was
cut or joined on one side is so on the other: of a set that was cleaned up and combined with the
audio of the headsets this makes the same with that of the distant microphone. (Kaldi combines both,
and takes the times of the headsets'; of sets that were not cleaned up, these are equal.)

An utterance that the other set lacks, or whose audio there ends too early, is left out and counted.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from chainstitch.utils.data.set_stream import Item, plain_parts, rows, write_rows
from chainstitch.utils.errors import UserError
from chainstitch.utils.outputs import check_directory

SLACK = 1e-5  # seconds; of rounding
_KEY = re.compile(r"([^_]+_[^_]+_)[A-Z0-9]+(_.*?)(?:-[0-9]+)?")

log = logging.getLogger(__name__)


class Summary(NamedTuple):
    """How many utterances there are, and were left out."""

    utterances: int
    left_out: int


class _Side(NamedTuple):
    """Where the other set has an utterance."""

    recording: str
    channel: Any
    names: Any


def parallel_set(
    data: Path | str, audio: Path | str, out: Path | str, overwrite: bool = False
) -> Summary:
    """Writes the set `out`: that of `data` with the recordings of `audio`.

    Raises:
        UsageError: `out` cannot be written, or one is no set.
        UserError: one is damaged, or no utterance is in both.
    """
    check_directory(out, "set", overwrite, [data, audio])
    sides, recordings = _sides(audio)
    left: list[str] = []
    count = write_rows(out, _items(data, audio, sides, recordings, left), overwrite)
    if left:
        log.warning("%s: %d utterances are not in %s, or end behind its audio, and are left out "
                    "(%s, ...)", out, len(left), audio, left[0])  # fmt: skip
    return Summary(count, len(left))


def key(name: str) -> str:
    """What two ids of the same utterance have in common.

    >>> key("AMI_ES2002a_SDM_MEE006_0001001_0002050-2")
    'AMI_ES2002a__MEE006_0001001_0002050'
    """
    found = _KEY.fullmatch(name)
    return name if found is None else found[1] + found[2]


def _sides(audio: Path | str) -> tuple[dict[str, _Side], dict[str, Item]]:
    """Where each utterance is, and the recordings; the latter once, not for every utterance."""
    sides: dict[str, _Side] = {}
    recordings: dict[str, Item] = {}
    for row in rows(audio):
        for part in plain_parts(row.item()):
            name = part["recording"]["id"]
            recordings.setdefault(name, part["recording"])
            named = part["supervisions"][0].get("custom") if part["supervisions"] else None
            sides[key(part["id"])] = _Side(name, part["channel"], named)
    return sides, recordings


def _items(
    data: Path | str,
    audio: Path | str,
    sides: dict[str, _Side],
    recordings: dict[str, Item],
    left: list[str],
) -> Iterator[Item]:
    known = False
    for row in rows(data):
        item = row.item()
        if all(_moved(part, sides, recordings) for part in plain_parts(item)):
            known = True
            yield item
        else:
            left.append(str(row.cut.id))
    if not known:
        raise UserError(
            f"{audio} has no utterance of {data}; wanted the same meetings by another microphone, "
            "with ids like AMI_ES2002a_H00_MEE006_0001001_0002050"
        )


def _moved(part: Item, sides: dict[str, _Side], recordings: dict[str, Item]) -> bool:
    """Gives a stretch another recording; False: there is none that is long enough."""
    side = sides.get(key(part["id"]))
    if side is None:
        return False
    recording = json.loads(json.dumps(recordings[side.recording]))
    if part["start"] + part["duration"] > recording["duration"] + SLACK:
        return False
    part["recording"], part["channel"] = recording, side.channel
    for segment in part["supervisions"]:
        segment["recording_id"], segment["channel"] = side.recording, side.channel
        segment.pop("custom", None)
        if side.names:
            segment["custom"] = side.names
    return True
