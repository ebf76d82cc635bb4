"""The annotations of the miniature AMI, written as release 1.6.1 has them.

An agent's transcript is a list of segments, and those are lists of tokens with or without times.
`odd` puts in what the real ones have here and there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from xml.sax.saxutils import escape

from spoken import write_lines

HEAD = '<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>'
NITE = 'xmlns:nite="http://nite.sourceforge.net/"'
MARKS = (".", ",", "?", "!", ":")
README = "AMI meeting corpus, manual annotations, version 1.6.1: a miniature, with nobody in it"


@dataclass(frozen=True)
class Token:
    """A word, a mark of punctuation, or what is neither (kind); times in seconds, None: none."""

    text: str
    start: float | None
    end: float | None
    kind: str = "w"

    def xml(self, name: str) -> str:
        times = "".join(
            f' {key}="{time:.2f}"'
            for key, time in (("starttime", self.start), ("endtime", self.end))
            if time is not None
        )
        head = f'   <{self.kind} nite:id="{name}"{times}'
        if self.kind != "w":
            kind = {"vocalsound": "laugh", "disfmarker": "disf", "gap": "gap"}[self.kind]
            return f'{head} type="{kind}"/>'
        more = ' punc="true"' if self.text in MARKS else ' trunc="true"' * self.text.endswith("~")
        text = escape(self.text.removesuffix("~"), {"'": "&#39;"})
        return f"{head}{more}>{text}</w>"


Segment = list[Token]


def odd(segments: list[Segment], duration: float, train: bool) -> list[Segment]:
    """The transcript of an agent with everything that is odd, at its end and within.

    Those that lose words for good are in train only, besides one of `Hmm .`
    """
    made = [list(segment) for segment in segments]
    first = made[0]
    assert first[0].start is not None
    first.insert(1, Token("", first[0].end, first[0].end, "vocalsound"))
    first.insert(1, Token("sh~", first[0].end, first[0].end))  # a word that was broken off
    if len(first) > 4:
        first[-2] = replace(first[-2], start=None, end=None)  # a word without times
    made.insert(1, [Token("", first[0].end, first[0].end, "disfmarker")])  # a segment of no word
    end = max(token.end or 0.0 for segment in made for token in segment)
    made.append([Token("Hmm", end, end + 0.05), Token(".", None, None)])
    made.append([Token("Yeah", end + 0.05, end + 0.04)])  # it ends before it begins
    made.append([Token("", end + 0.06, end + 0.07, "gap")])
    if train:
        made.append(
            [Token("Bye", duration - 0.2, duration + 0.3), Token(".", *[duration + 0.3] * 2)]
        )
        made.append([Token("Bye", duration + 1.0, duration + 1.5)])
    return made


def write_transcript(place: Path, meeting: str, agent: str, segments: list[Segment]) -> None:
    """words/M.A.words.xml and segments/M.A.segments.xml; the second segment comes twice."""
    words, rows, number = [], [], 0
    for n, segment in enumerate(segments):
        names = [f"{meeting}.{agent}.words{number + k}" for k in range(len(segment))]
        number += len(segment)
        words += [token.xml(name) for token, name in zip(segment, names, strict=True)]
        times = [t for token in segment for t in (token.start, token.end) if t is not None]
        drawn = [times[0] - 0.05, times[-1] + 0.05]
        if n == 2:
            drawn.reverse()  # somebody drew it from right to left
        href = f"{meeting}.{agent}.words.xml#id({names[0]})"
        href += f"..id({names[-1]})" if len(names) > 1 else ""
        row = [
            f'   <segment nite:id="{meeting}.sync.{n}" transcriber_start="{drawn[0]:.2f}" '
            f'transcriber_end="{drawn[1]:.2f}">',
            f'      <nite:child href="{href}"/>', "   </segment>",
        ]  # fmt: skip
        rows += row * (2 if n == 3 else 1)
    for kind, content in (("words", words), ("segments", rows)):
        name = f"{meeting}.{agent}.{kind}"
        lines = [HEAD, f'<nite:root nite:id="{name}" {NITE}>', *content, "</nite:root>"]
        write_lines(place / kind / f"{name}.xml", lines, "iso-8859-1")


def write_meetings(place: Path, meetings: dict[str, list[str]]) -> None:
    """corpusResources/meetings.xml, of codes of speakers by meeting, and the README."""
    lines = [HEAD, f'<nite:root nite:id="meetings" {NITE}>']
    for number, (meeting, codes) in enumerate(meetings.items()):
        lines.append(f'   <meeting nite:id="m{number}" observation="{meeting}" type="scenario">')
        lines += [
            f'      <speaker nite:id="m{number}.{n}" nxt_agent="{"ABCDE"[n]}" '
            f'global_name="{code}" channel="{n}" role="PM"/>'
            for n, code in enumerate(codes)
        ]
        lines.append("   </meeting>")
    write_lines(place / "corpusResources/meetings.xml", [*lines, "</nite:root>"], "iso-8859-1")
    write_lines(place / "00README_MANUAL.txt", [README])
    write_lines(place / "AMI-metadata.xml", [HEAD, f"<corpus {NITE}/>"])
