"""Praat's TextGrid, the long text format: interval tiers over one time axis.

A tier's intervals cover the axis without gaps, so silence is an interval with an empty text. Quotes
in names and texts are doubled, as Praat wants; UTF-8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Interval = tuple[float, float, str]  # begin, end, text


def textgrid(tiers: Mapping[str, Sequence[Interval]], end: float) -> str:
    """The text of a TextGrid from 0 to `end` seconds; what no interval covers becomes an empty one.

    Args:
        tiers: by name, intervals in the order of time.

    Raises:
        ValueError: intervals overlap, are empty or lie outside 0..end.
    """
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {_number(end)}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, (name, given) in enumerate(tiers.items(), 1):
        intervals = _filled(given, end)
        lines += [
            f"    item [{number}]:",
            '        class = "IntervalTier"',
            f"        name = {_quoted(name)}",
            "        xmin = 0",
            f"        xmax = {_number(end)}",
            f"        intervals: size = {len(intervals)}",
        ]
        for n, (first, last, text) in enumerate(intervals, 1):
            lines += [
                f"        intervals [{n}]:",
                f"            xmin = {_number(first)}",
                f"            xmax = {_number(last)}",
                f"            text = {_quoted(text)}",
            ]
    return "\n".join(lines) + "\n"


def _filled(intervals: Sequence[Interval], end: float) -> list[Interval]:
    filled: list[Interval] = []
    now = 0.0
    for first, last, text in intervals:
        if not now <= first < last <= end:
            raise ValueError(f"interval {first}..{last} ({text!r}) after {now}, of 0..{end}")
        if first > now:
            filled.append((now, first, ""))
        filled.append((first, last, text))
        now = last
    if now < end:
        filled.append((now, end, ""))
    return filled


def _number(seconds: float) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
