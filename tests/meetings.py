"""A toy AMI: annotations of a few words in the files of release 1.6.1, and audio of noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

RATE = 1000
HEAD = '<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>\n'
ROOT = '<nite:root xmlns:nite="http://nite.sourceforge.net/">\n{}</nite:root>\n'
README = "Manual annotations, first release 1.5, then 1.6.0; this is 1.6.1 (NXT 1.4.4)\n"


@dataclass(frozen=True)
class Person:
    """Somebody in a meeting: agent, code of the speaker, channel, and (text, start, end)s said."""

    agent: str
    code: str
    channel: int
    said: list[tuple[str, float, float]]


def write_annotations(place: Path, meetings: dict[str, list[Person]]) -> None:
    """A segment for each text; the first word has its start, the last one its end, . and , too."""
    for kind in ("words", "segments", "corpusResources"):
        (place / kind).mkdir(parents=True, exist_ok=True)
    (place / "00README_MANUAL.txt").write_text(README)
    rows = []
    for meeting, people in meetings.items():
        people_rows = [
            f'<speaker nxt_agent="{p.agent}" global_name="{p.code}" channel="{p.channel}"/>\n'
            for p in people
        ]
        rows.append(f'<meeting observation="{meeting}">\n{"".join(people_rows)}</meeting>\n')
        for person in people:
            words, segments = _transcript(f"{meeting}.{person.agent}", person.said)
            for kind, content in (("words", words), ("segments", segments)):
                text = HEAD + ROOT.format(content)
                path = place / kind / f"{meeting}.{person.agent}.{kind}.xml"
                path.write_bytes(text.encode("latin-1"))
    text = HEAD + ROOT.format("".join(rows))
    (place / "corpusResources/meetings.xml").write_bytes(text.encode("latin-1"))


def _transcript(name: str, said: list[tuple[str, float, float]]) -> tuple[str, str]:
    words, segments, number = [], [], 0
    for text, start, end in said:
        tokens = text.split()
        first = number
        for n, token in enumerate(tokens):
            times = f'starttime="{start if n == 0 else end}" endtime="{end}"'
            punctuation = ' punc="true"' if token in (".", ",") else ""
            escaped = token.replace("'", "&#39;")
            words.append(f'<w nite:id="{name}.words{number}" {times}{punctuation}>{escaped}</w>\n')
            number += 1
        ids = f"id({name}.words{first})..id({name}.words{number - 1})"
        segments.append(
            f'<segment transcriber_start="{start}" transcriber_end="{end}">'
            f'<nite:child href="{name}.words.xml#{ids}"/></segment>\n'
        )
    return "".join(words), "".join(segments)


def write_audio(place: Path, names: list[str], seconds: float, rate: int = RATE) -> None:
    """`MEETING.Headset-0` and the like, each in its meeting's audio/."""
    samples = 0.1 * np.random.default_rng(0).standard_normal(int(seconds * rate))
    for name in names:
        path = place / name.partition(".")[0].partition("_")[0] / "audio" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate, subtype="PCM_16")
