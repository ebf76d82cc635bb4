"""Kaldi's operations on data directories, as slowly and plainly as they can be said."""

from __future__ import annotations

from collections.abc import Sequence


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
