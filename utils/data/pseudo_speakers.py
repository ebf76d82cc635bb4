"""Speakers cut into pseudo-speakers of at most so many seconds.

Means and i-vectors are estimated for each speaker. Where `speaker` is the talk or the meeting's
channel, hours of it share one estimate, and training sees few different ones; Kaldi's recipes for
AMI and TED-LIUM cut them into short stretches. A speaker's utterances are taken in the order of
their ids; a new pseudo-speaker begins where the one at hand would exceed the limit. An utterance
that exceeds it alone is one by itself. They are called `speaker-1`, `speaker-2`, ..., with as many
digits as their count has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from chainstitch.utils.data.set_stream import Item, plain_parts, rows, write_rows
from chainstitch.utils.outputs import check_directory


def split_speakers(
    data: Path | str, out: Path | str, seconds: float, overwrite: bool = False
) -> tuple[int, int, int]:
    """Writes the set `out`, whose speakers are pseudo-speakers of those of `data`.

    Returns:
        how many utterances there are, how many speakers there were, and how many there are.

    Raises:
        UsageError: `out` cannot be written, or `data` is no set.
        UserError: it is damaged, or an utterance has not one speaker.
    """
    check_directory(out, "set", overwrite, [data])
    speakers, durations = [], []
    for row in rows(data):
        speakers.append(row.speaker)
        durations.append(row.cut.duration)
    names = pseudo_speakers(speakers, durations, seconds)
    items = (with_speaker(row.item(), name) for row, name in zip(rows(data), names, strict=True))
    return write_rows(out, items, overwrite), len(set(speakers)), len(set(names))


def pseudo_speakers(
    speakers: Sequence[str], durations: Sequence[float], seconds: float
) -> list[str]:
    """The pseudo-speaker of each utterance, given its speaker and duration.

    >>> pseudo_speakers(["a", "a", "b", "a"], [20.0, 10.0, 40.0, 0.5], 30.0)
    ['a-1', 'a-1', 'b-1', 'a-2']
    """
    numbers: list[int] = []
    last: dict[str, int] = defaultdict(int)
    full: dict[str, float] = {}
    for speaker, duration in zip(speakers, durations, strict=True):
        if speaker not in full or full[speaker] + duration > seconds:
            last[speaker] += 1
            full[speaker] = 0.0
        full[speaker] += duration
        numbers.append(last[speaker])
    return [
        f"{speaker}-{number:0{len(str(last[speaker]))}d}"
        for speaker, number in zip(speakers, numbers, strict=True)
    ]


def with_speaker(item: Item, speaker: str) -> Item:
    """The item, with another speaker in all of its supervisions."""
    for part in plain_parts(item):
        for segment in part["supervisions"]:
            segment["speaker"] = speaker
    return item
