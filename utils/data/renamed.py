"""A copy of a set with prefixes before the ids of utterances, speakers or recordings.

What is one thing under two ids must have two: the copy of a set at another speed, or two corpora
that both have a speaker `a`. A manifest whose cuts are in no order gets in order here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

from lhotse.serialization import deserialize_item

from chainstitch.utils.data.identifiers import field_fault
from chainstitch.utils.data.set_stream import Item, Row, plain_parts, rows, write_rows
from chainstitch.utils.errors import UsageError
from chainstitch.utils.outputs import check_directory

log = logging.getLogger(__name__)


def copy_set(
    data: Path | str,
    out: Path | str,
    utterance: str = "",
    speaker: str = "",
    recording: str = "",
    overwrite: bool = False,
) -> int:
    """Writes the set `out`: that of `data` with these prefixes.

    Returns:
        how many utterances there are.

    Raises:
        UsageError: `out` cannot be written, `data` is no set, or a prefix cannot be part of an id.
        UserError: it is damaged.
    """
    for prefix in (utterance, speaker, recording):
        if prefix and (fault := field_fault(prefix)) is not None:
            raise UsageError(f"the prefix {prefix!r} {fault}")
    check_directory(out, "set", overwrite, [data])
    items = (renamed(row.item(), utterance, speaker, recording) for row in _in_order(data))
    return write_rows(out, items, overwrite)


def _in_order(data: Path | str) -> Iterator[Row]:
    last = ""
    for row in rows(data, in_order=False):
        if row.cut.id <= last:
            break
        last = row.cut.id
    else:
        yield from rows(data)
        return
    log.info("%s is not in the order of ids, and is sorted in memory", data)
    lines = sorted((r.cut.id, r.place, r.line) for r in rows(data, in_order=False))
    yield from (Row(place, line, deserialize_item(json.loads(line))) for _, place, line in lines)


def renamed(item: Item, utterance: str, speaker: str, recording: str) -> Item:
    """The item with prefixes before its ids."""
    item["id"] = utterance + item["id"]
    for part in plain_parts(item):
        if part is not item:
            part["id"] = utterance + part["id"]
        part["recording"]["id"] = recording + part["recording"]["id"]
        for segment in part["supervisions"]:
            segment["id"] = utterance + segment["id"]
            segment["recording_id"] = recording + segment["recording_id"]
            if segment.get("speaker"):
                segment["speaker"] = speaker + segment["speaker"]
    return item
