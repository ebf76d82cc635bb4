"""Short utterances joined with their neighbours, so that each is as long as a training chunk.

Kaldi's rule. It is gone through twice: with the utterances of each speaker in the order of ids,
and then with the groups that came of it, speaker after speaker, for those that are still short.
Each time the row begins as groups of one. While there are groups shorter than the minimum, the
last one of those that wait is joined

    with its only neighbour, if it is at an end of the row;
    with the one with which it is long enough, if that is so of one only;
    with the shorter one, if it is so of both (of equal ones the right);
    with the right one, if of neither, and then waits again, as last, if it is still short.

A group called `u-comb3` begins with utterance u and has three. Its speaker is the one who speaks
longest in it; of equal ones the first by name. Times are compared with a tolerance, since sums of
the same numbers differ by their rounding.

Joined utterances are one mixed cut, one after the other without pause.
"""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lhotse.cut import MixedCut, MixTrack, MonoCut
from lhotse.serialization import deserialize_item
from lhotse.utils import add_durations

from chainstitch.utils.data.pseudo_speakers import with_speaker
from chainstitch.utils.data.set_stream import Item, rows, write_rows
from chainstitch.utils.errors import UserError
from chainstitch.utils.outputs import check_directory

TOLERANCE = 1e-5  # seconds


class Group(NamedTuple):
    """Utterances that become one.

    Attributes:
        members: their numbers.
    """

    id: str
    speaker: str
    members: tuple[int, ...]


def combine_short(
    data: Path | str, out: Path | str, least: float, overwrite: bool = False
) -> tuple[int, int]:
    """Writes the set `out`: that of `data` without utterances shorter than `least` seconds.

    Returns:
        how many utterances `data` and `out` have.

    Raises:
        UsageError: `out` cannot be written, or `data` is no set.
        UserError: it is damaged, an utterance has not one speaker, or those that are to be joined
            are mixes or of different sampling rates.
    """
    check_directory(out, "set", overwrite, [data])
    ids, speakers, durations = [], [], []
    for row in rows(data):
        ids.append(row.cut.id)
        speakers.append(row.speaker)
        durations.append(row.cut.duration)
    joined = [g for g in groups(ids, speakers, durations, least) if len(g.members) > 1]
    inside = {number for group in joined for number in group.members}
    alone: Iterator[Item] = (
        row.item() for number, row in enumerate(rows(data)) if number not in inside
    )
    items = heapq.merge(alone, _joined(data, joined, inside), key=lambda item: item["id"])
    return len(ids), write_rows(out, items, overwrite)


def groups(
    ids: Sequence[str], speakers: Sequence[str], durations: Sequence[float], least: float
) -> list[Group]:
    """What becomes of utterances that are given in the order of their ids."""
    own: dict[str, list[int]] = defaultdict(list)
    for number, speaker in enumerate(speakers):
        own[speaker].append(number)
    of_speakers: list[list[int]] = []
    for speaker in sorted(own):
        numbers = own[speaker]
        for start, end in join([durations[n] for n in numbers], least):
            of_speakers.append(numbers[start:end])
    lengths = [sum(durations[n] for n in numbers) for numbers in of_speakers]
    found = []
    for start, end in join(lengths, least):
        members = tuple(n for numbers in of_speakers[start:end] for n in numbers)
        first = ids[members[0]]
        name = first if len(members) == 1 else f"{first}-comb{len(members)}"
        found.append(Group(name, _speaker(members, speakers, durations), members))
    return found


def join(durations: Sequence[float], least: float) -> list[tuple[int, int]]:
    """The first and the end (one behind the last) of each group of a row.

    >>> join([6.0, 0.1, 7.0], 0.5), join([1.0, 0.5, 0.1, 6.0], 1.0)
    ([(0, 2), (2, 3)], [(0, 2), (2, 4)])
    """
    total = len(durations)
    length = list(durations)  # of the group that begins here
    end: list[int] = list(range(1, total + 1))  # of the group that begins here; 0: none does
    first = list(range(-1, total))  # of the group that ends before here
    short = [number for number in range(total) if _is_less(length[number], least)]
    while short:
        this = short.pop()
        if not end[this] or not _is_less(length[this], least):
            continue
        left, right = first[this], end[this]
        if left < 0 and right == total:
            break
        if left < 0:
            leftwards = False
        elif right == total:
            leftwards = True
        elif _is_less(length[left] + length[this], least):
            leftwards = False
        elif _is_less(length[right] + length[this], least):
            leftwards = True
        else:
            leftwards = _is_less(length[left], length[right])
        into, other = (left, this) if leftwards else (this, right)
        length[into] += length[other]
        end[into], end[other] = end[other], 0
        first[end[into]] = into
        if not leftwards and _is_less(length[this], least):
            short.append(this)  # one to the left that is still short waits already
    found, at = [], 0
    while at < total:
        found.append((at, end[at]))
        at = end[at]
    return found


def _is_less(one: float, other: float) -> bool:
    return one < other - TOLERANCE


def _speaker(members: Sequence[int], speakers: Sequence[str], durations: Sequence[float]) -> str:
    shares: dict[str, float] = defaultdict(float)
    for number in members:
        shares[speakers[number]] += durations[number]
    longest, *others = sorted(shares)
    for speaker in others:
        if _is_less(shares[longest], shares[speaker]):
            longest = speaker
    return longest


def _joined(data: Path | str, joined: list[Group], inside: set[int]) -> Iterator[Item]:
    """The mixes, in the order of ids."""
    lines: dict[int, str] = {}  # objects would take ten times as much
    for number, row in enumerate(rows(data)):
        if number in inside:
            if not isinstance(row.cut, MonoCut):
                raise UserError(
                    f"{row.place}: cut {row.cut.id} is a mix, which is not joined with others; "
                    "combine short utterances before they are mixed"
                )
            lines[number] = json.dumps(row.item())
    for group in sorted(joined):
        cuts = [deserialize_item(json.loads(lines.pop(number))) for number in group.members]
        if len({cut.sampling_rate for cut in cuts}) > 1:
            raise UserError(
                f"{data}: the utterances of {group.id} are to be joined, and have different "
                "sampling rates; take those apart with `chainstitch data subset --ids`"
            )
        yield with_speaker(_one_after_the_other(group.id, cuts).to_dict(), group.speaker)


def _one_after_the_other(name: str, cuts: Sequence[MonoCut]) -> MixedCut:
    tracks, offset = [], 0.0
    for cut in cuts:
        tracks.append(MixTrack(cut, offset=offset))
        offset = add_durations(offset, cut.duration, sampling_rate=cut.sampling_rate)
    return MixedCut(name, tracks)
