"""Subsets of a set: spread evenly, the first, last or shortest, by speaker, or by a list of ids.

`even` is Kaldi's rule, which is not random: to take n of N utterances in the order of ids, take
floor(n/2) of the first floor(N/2) and the others of the rest, and each of them in the same way. So
the choice is spread over all speakers, and the subset of n/2 lies not far from that of n.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.data.set_stream import rows, write_rows
from chainstitch.utils.errors import UserError
from chainstitch.utils.outputs import check_directory

HOW = {
    "even": "spread evenly over the order of ids",
    "first": "in the order of ids",
    "last": "in the order of ids",
    "rest": "all but the first so many",
    "shortest": "of equal ones the first",
    "speakers": "whole speakers, drawn from a seed, until there are at least so many utterances",
    "per-speaker": "so many utterances of each speaker, at equal distances",
}

log = logging.getLogger(__name__)


def subset(
    data: Path | str,
    out: Path | str,
    count: int,
    how: str = "even",
    seed: int = 0,
    overwrite: bool = False,
) -> int:
    """Writes the set `out` of `count` utterances of `data`; of all, if there are no more.

    Args:
        how: one of HOW.
        seed: of the order in which speakers are drawn.

    Returns:
        how many utterances there are.

    Raises:
        UsageError: `out` cannot be written, or `data` is no set. UserError: it is damaged.
    """
    check_directory(out, "set", overwrite, [data])
    by_speaker = how in ("speakers", "per-speaker")
    speakers, durations = [], []
    for row in rows(data):
        durations.append(row.cut.duration)
        if by_speaker:
            speakers.append(row.speaker)
    if count > len(durations) and how != "per-speaker":
        log.warning("%s has %d utterances, fewer than %d: all", data, len(durations), count)
    chosen = set(choose(how, min(count, len(durations)), durations, speakers, seed))
    items = (row.item() for number, row in enumerate(rows(data)) if number in chosen)
    return write_rows(out, items, overwrite)


def listed(data: Path | str, out: Path | str, ids: Path, overwrite: bool = False) -> int:
    """The same with the utterances of a list, or of another set, that `data` has.

    Args:
        ids: a file whose lines begin with an id, or a set.
    """
    check_directory(out, "set", overwrite, [data, ids])
    if ids.is_dir():
        wanted = {row.cut.id for row in rows(ids, in_order=False)}
    else:
        wanted = {line.split()[0] for line in texts.lines(ids) if line.strip()}
    if not wanted:
        raise UserError(f"{ids} holds no ids; give a file with one a line, or a set")
    kept = write_rows(out, (row.item() for row in rows(data) if row.cut.id in wanted), overwrite)
    if kept < len(wanted):
        log.warning(
            "%d of the %d ids of %s are not in %s", len(wanted) - kept, len(wanted), ids, data
        )
    return kept


def choose(
    how: str, count: int, durations: Sequence[float], speakers: Sequence[str], seed: int
) -> Iterable[int]:
    """The numbers of the utterances that a way of HOW takes; ValueError if it is none."""
    total = len(durations)
    if how == "even":
        return even(total, count)
    if how == "first":
        return range(count)
    if how == "last":
        return range(total - count, total)
    if how == "rest":
        return range(count, total)
    if how == "shortest":
        return sorted(range(total), key=durations.__getitem__)[:count]
    if how == "speakers":
        return whole_speakers(speakers, count, seed)
    if how == "per-speaker":
        return of_each_speaker(speakers, count)
    raise ValueError(f"{how!r} is not one of {', '.join(HOW)}")


def even(total: int, count: int) -> Iterator[int]:
    """`count` of the numbers below `total`, by halves.

    >>> list(even(10, 3))
    [4, 6, 9]
    """
    parts = [(0, total, count)]  # first, how many, how many of them to take
    while parts:
        first, size, taken = parts.pop()
        if taken == size:
            yield from range(first, first + size)
        elif taken:
            half = size // 2
            parts.append((first + half, size - half, taken - taken // 2))
            parts.append((first, half, taken // 2))


def whole_speakers(speakers: Sequence[str], count: int, seed: int) -> list[int]:
    """All utterances of as many speakers as it takes to have `count`."""
    chosen: list[int] = []
    own = _by_speaker(speakers)
    for speaker in sorted(own, key=lambda name: _draw(name, seed)):
        if len(chosen) >= count:
            break
        chosen += own[speaker]
    return chosen


def of_each_speaker(speakers: Sequence[str], count: int) -> list[int]:
    """`count` utterances of each speaker, or all; every k-th, with k as large as it can be."""
    chosen: list[int] = []
    for own in _by_speaker(speakers).values():
        chosen += own[:: max(1, len(own) // count)][:count]
    return chosen


def _by_speaker(speakers: Sequence[str]) -> dict[str, list[int]]:
    own: dict[str, list[int]] = defaultdict(list)
    for number, speaker in enumerate(speakers):
        own[speaker].append(number)
    return own


def _draw(speaker: str, seed: int) -> bytes:
    return hashlib.sha256(f"speaker {seed} {speaker}".encode()).digest()
