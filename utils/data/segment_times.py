"""Segments made longer on both sides, without overlaps.

Times of transcripts are often tight. Kaldi's rule, for the segments of a recording (of a channel
of it) in the order of their middles: each begins earlier by `before`, at the earliest at 0, and
ends later by `after`, at the latest `last` after the end of the last one. Then, from the first to
the last, two neighbours of which one ends after the next one begins, whether they did so before or
not, meet in the middle of their overlap.

Where long segments lie around short ones, one may end before it begins. It is left out and
counted. And none reaches beyond the end of its recording.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lhotse.cut import MonoCut

from chainstitch.utils.data.set_stream import Item, Row, rows, write_rows
from chainstitch.utils.errors import UserError
from chainstitch.utils.outputs import check_directory

log = logging.getLogger(__name__)


class Summary(NamedTuple):
    """What was done: segments, pairs that overlapped, segments left out."""

    segments: int
    overlaps: int
    left_out: int


def extend_set(
    data: Path | str,
    out: Path | str,
    before: float,
    after: float,
    last: float,
    overwrite: bool = False,
) -> Summary:
    """Writes the set `out`: that of `data` with longer segments.

    Raises:
        UsageError: `out` cannot be written, or `data` is no set.
        UserError: it is damaged, or has mixes, which are not segments of a recording.
    """
    check_directory(out, "set", overwrite, [data])
    times: list[tuple[float, float]] = []
    lengths: list[float] = []
    own: dict[str, list[int]] = defaultdict(list)
    for row in rows(data):
        cut = _segment(row)
        own[f"{cut.recording.id} {cut.channel}"].append(len(times))
        times.append((cut.start, cut.end))
        lengths.append(cut.recording.duration)
    overlaps = 0
    for numbers in own.values():
        new, fixed = extended([times[n] for n in numbers], before, after, last)
        overlaps += fixed
        for number, (start, end) in zip(numbers, new, strict=True):
            times[number] = start, min(end, lengths[number])
    items = (
        _with_times(row.item(), *extent)
        for row, extent in zip(rows(data), times, strict=True)
        if extent[0] < extent[1]
    )
    count = write_rows(out, items, overwrite)
    if count < len(times):
        log.warning("%d segments had no time left and were left out", len(times) - count)
    return Summary(count, overlaps, len(times) - count)


def extended(
    segments: Sequence[tuple[float, float]], before: float, after: float, last: float
) -> tuple[list[tuple[float, float]], int]:
    """The new (start, end) of each segment of a recording, and how many overlaps were mended.

    >>> extended([(1.0, 2.0), (2.05, 3.0)], 0.15, 0.1, 0.1)
    ([(0.85, 2.0), (2.0, 3.1)], 1)
    """
    order = sorted(range(len(segments)), key=lambda n: 0.5 * (segments[n][0] + segments[n][1]))
    latest = max((end for _, end in segments), default=0.0) + last
    starts = [max(0.0, start - before) for start, _ in segments]
    ends = [min(latest, end + after) for _, end in segments]
    overlaps = 0
    for this, following in zip(order, order[1:], strict=False):
        if ends[this] > starts[following]:
            ends[this] = starts[following] = 0.5 * (ends[this] + starts[following])
            overlaps += 1
    return list(zip(starts, ends, strict=True)), overlaps


def _segment(row: Row) -> MonoCut:
    if isinstance(row.cut, MonoCut) and row.cut.recording is not None:
        return row.cut
    raise UserError(
        f"{row.place}: cut {row.cut.id} is not a segment of one recording; extend segments before "
        "they are mixed or joined"
    )


def _with_times(item: Item, start: float, end: float) -> Item:
    """The cut with other times; what was said all through it is now said all through that."""
    new_start, duration = round(start, 8), round(end - start, 8)
    for segment in item["supervisions"]:
        if segment["start"] == 0.0 and segment["duration"] == item["duration"]:
            segment["duration"] = duration
        else:
            segment["start"] = round(segment["start"] + item["start"] - new_start, 8)
    item["start"], item["duration"] = new_start, duration
    return item
