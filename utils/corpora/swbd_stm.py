"""What the references of Switchboard's test sets become: utterances, and what is scored.

Hub5 2000 (eval2000) has its segments in a pem, `file channel speaker start end`, and the words in a
stm; RT-03 has a stm only, with channels 1 and 2 for A and B, and gaps between the segments. By the
rules of Kaldi's recipe, which are followed where they are odd:

    an id       en_4156-A_030185-030248: times in hundredths of a second, cut off, not rounded, and
                in binary floating point: 304.71 s is 30470
    its times   of eval2000 0.1 s more on each side, but no more than half of the way to the
                neighbour on that side of the call, and none where the two overlap already
                (`padded`); of RT-03 as they are
    its words   as they come; lines with IGNORE_TIME_SEGMENT_ or `;;` in them are no utterances
    the stm     the first (( of a line becomes (, and <B_ASIDE> and <E_ASIDE> go, as NIST's hubscr
                stumbles over them; of RT-03 the gaps go, channels become letters, and there is one
                blank between fields

Utterances without words are left out, as Kaldi's fix_data_dir.sh does. Scoring is by the stm.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from chainstitch.utils.data.stm import COMMENT

IGNORED = "IGNORE_TIME_SEGMENT_"
GAP = "inter_segment_gap"
PAD = 0.1  # seconds

log = logging.getLogger(__name__)


class Segment(NamedTuple):
    """A stretch of a side of a call; times in seconds."""

    id: str
    side: str
    start: float
    end: float


def segment(line: str, numbered: bool = False) -> Segment:
    """That of a line of a pem or a stm.

    Args:
        numbered: whether its channel is a number, 1 for A.
    """
    file, channel, _, start, end = line.split()[:5]
    side = f"{file}-{_letter(channel) if numbered else channel}"
    first, last = (int(float(time) * 100) for time in (start, end))
    return Segment(f"{side}_{first:06d}-{last:06d}", side, float(start), float(end))


def text(line: str) -> str | None:
    """The words of a line of a stm; None: it is no utterance."""
    if COMMENT in line or IGNORED in line.upper():
        return None
    return " ".join(line.split()[6:])


def scored_line(line: str, numbered: bool = False) -> str | None:
    """A line of a stm as it is scored; None: it is not; `numbered` as of `segment`."""
    line = line.replace("((", "(", 1).replace("<B_ASIDE>", "").replace("<E_ASIDE>", "")
    if not numbered:
        return line
    fields = line.split()
    if GAP in line or not fields:
        return None
    if not fields[0].startswith(COMMENT):
        fields[1] = _letter(fields[1])
    return " ".join(fields)


def padded(segments: Sequence[Segment], pad: float = PAD) -> list[Segment]:
    """The segments with longer times, to hundredths of a second; overlaps are told.

    >>> for one in padded([Segment("a", "A", 0.0, 2.0), Segment("b", "A", 3.0, 4.0)], 1.0):
    ...     print(one.start, one.end)
    0.0 2.5
    2.5 5.0
    """
    times = [[one.start, one.end] for one in segments]
    sides: dict[str, list[int]] = {}
    for number, one in enumerate(segments):
        sides.setdefault(one.side, []).append(number)
    for numbers in sides.values():
        numbers.sort(key=lambda n: segments[n].start)
        first, last = times[numbers[0]], times[numbers[-1]]
        first[0], last[1] = max(0.0, first[0] - pad), last[1] + pad
        for this, following in zip(numbers, numbers[1:], strict=False):
            gap = times[following][0] - times[this][1]
            if gap < 0:
                log.warning(
                    "%s and %s overlap, and stay as they are there",
                    segments[this].id, segments[following].id,
                )  # fmt: skip
                continue
            more = min(pad, 0.5 * gap)
            times[this][1] += more
            times[following][0] -= more
    return [
        one._replace(start=float(f"{start:.2f}"), end=float(f"{end:.2f}"))
        for one, (start, end) in zip(segments, times, strict=True)
    ]


def different(one: Iterable[str], other: Iterable[str]) -> str | None:
    """The first id that is in one of two lists and not, or less often, in the other."""
    left, right = sorted(one), sorted(other)
    for a, b in zip(left, right, strict=False):
        if a != b:
            return min(a, b)
    rest = left[len(right) :] or right[len(left) :]
    return rest[0] if rest else None


def _letter(channel: str) -> str:
    return "A" if channel == "1" else "B"
