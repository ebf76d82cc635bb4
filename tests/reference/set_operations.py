"""Kaldi's operations on data directories, as slowly and plainly as they can be said."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def even(lines: Sequence[str], count: int) -> list[str]:
    """`count` of the lines: half of them, rounded down, from the first half, rounded down."""
    if count == 0:
        return []
    if count == len(lines):
        return list(lines)
    half = len(lines) // 2
    return even(lines[:half], count // 2) + even(lines[half:], count - count // 2)


def join(durations: Sequence[float], least: float) -> list[list[int]]:
    """Numbers in groups of at least so many seconds, each group a list that is searched for."""

    def length(group: list[int]) -> float:
        return sum(durations[n] for n in group)

    def short(seconds: float) -> bool:
        return seconds < least - 1e-5

    groups = [[n] for n in range(len(durations))]
    waiting = [n for n in range(len(durations)) if short(durations[n])]
    while waiting and len(groups) > 1:
        first = waiting.pop()
        at = next((k for k, group in enumerate(groups) if group[0] == first), None)
        if at is None or not short(length(groups[at])):
            continue
        sides = [k for k in (at - 1, at + 1) if 0 <= k < len(groups)]
        enough = [k for k in sides if not short(length(groups[at]) + length(groups[k]))]
        if len(sides) == 1:
            chosen = sides[0]
        elif not enough:
            chosen = at + 1
        elif len(enough) == 1:
            chosen = enough[0]
        else:
            left, right = (length(groups[k]) for k in sides)
            chosen = at - 1 if left < right - 1e-5 else at + 1
        low = min(at, chosen)
        groups[low : low + 2] = [groups[low] + groups[low + 1]]
        if chosen > at:
            waiting.append(first)
    return groups


def pseudo_speakers(
    utterances: Sequence[tuple[str, float]], seconds: float
) -> dict[str, list[list[int]]]:
    """Each speaker's utterances, given as (speaker, duration), dealt into rows of `seconds`."""
    found: dict[str, list[list[int]]] = {}
    for number, (speaker, duration) in enumerate(utterances):
        rows = found.setdefault(speaker, [[]])
        if rows[-1] and sum(utterances[n][1] for n in rows[-1]) + duration > seconds:
            rows.append([])
        rows[-1].append(number)
    return found


def extended(
    segments: Sequence[tuple[Fraction, Fraction]], before: Fraction, after: Fraction, last: Fraction
) -> dict[int, tuple[Fraction, Fraction]]:
    """New times by number, without rounding: first all are made longer, then neighbours meet."""
    end_of_all = max(end for _, end in segments) + last
    longer = [
        [start + end, n, max(Fraction(0), start - before), min(end_of_all, end + after)]
        for n, (start, end) in enumerate(segments)
    ]
    longer.sort(key=lambda row: row[:2])
    for one, other in zip(longer, longer[1:], strict=False):
        if one[3] > other[2]:
            one[3] = other[2] = (one[3] + other[2]) / 2
    return {int(n): (start, end) for _, n, start, end in longer}


def kept(texts: Sequence[str], most: int) -> list[bool]:
    """Whether each text stays, counted anew every time; draws as fractions."""
    drawn, found = 0, []
    for text in texts:
        occurs = sum(other == text for other in texts)
        if occurs < most:
            found.append(True)
            continue
        drawn += 1
        found.append(Fraction(drawn * 103349 % 71147, 71147) < Fraction(most, occurs))
    return found
