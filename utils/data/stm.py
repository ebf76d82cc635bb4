"""STM, NIST's form of a transcript with times: who says what, from when to when.

    file channel speaker start end <label,label,...> word word ...

A line is a segment, its times are seconds. The label may be missing; it is what begins with `<` and
has a `>`, as NIST's sclite has it. Lines that begin with `;;` are comments, and those of the form
`;; LABEL "id" "name" "description"` say which labels there are. A segment whose words are
`ignore_time_segment_in_scoring` is not scored.

Reading is strict: a line that cannot be is named by file and number. What is wrong only together
with the audio (a time past its end) is asked of `check_end`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file

COMMENT = ";;"
IGNORED = "ignore_time_segment_in_scoring"
FORM = "file channel speaker start end <label> word ..."
UNLABELLED = ("", "unknown", "na")  # what stands in a label where nothing is known
_LABEL = re.compile(r"<([^<>]*)>")
_DECLARED = re.compile(r';;\s*LABEL\s+"([^"]*)"')


@dataclass(frozen=True)
class StmSegment:
    """A line; times in seconds, label with its brackets, or empty; where: file and line."""

    file: str
    channel: str
    speaker: str
    start: float
    end: float
    label: str
    text: str
    where: str = field(default="", compare=False)

    @property
    def ignored(self) -> bool:
        """Whether it is left out of the scoring."""
        return self.text.strip().lower() == IGNORED


def parse(line: str, where: str, labels: Collection[str] | None = None) -> StmSegment:
    """The segment of a line.

    Args:
        where: file and line number, for errors.
        labels: the parts that a label may have, besides UNLABELLED; None: any.

    Raises:
        UserError: too few fields, a time that is none, an end before the start, an unknown label.
    """
    fields = line.split()
    if len(fields) < 5:
        raise UserError(f"{where}: {line.strip()[:60]!r} has {len(fields)} fields, wanted `{FORM}`")
    file, channel, speaker = fields[:3]
    start, end = (_seconds(text, where) for text in fields[3:5])
    if end < start:
        raise UserError(f"{where}: ends at {fields[4]} s, before its start at {fields[3]} s")
    found = _LABEL.match(fields[5]) if len(fields) > 5 else None
    if found and labels is not None:
        unknown = [part for part in found[1].split(",") if not _is_known(part, labels)]
        if unknown:
            raise UserError(
                f"{where}: unknown label {unknown[0]!r} in {found[0]}, wanted parts of "
                f"{', '.join(sorted(labels))}"
            )
    label = fields[5] if found else ""
    text = " ".join(fields[6 if found else 5 :])
    return StmSegment(file, channel, speaker, start, end, label, text, where)


def read_stm(
    path: Path | str, labels: Collection[str] | None = None, any_label: bool = False
) -> Iterator[StmSegment]:
    """The segments of a file, one after the other.

    Args:
        labels: as of `parse`; None: those that the file's header declares, or any if it has none.
        any_label: any, whatever the header declares.

    Raises:
        UserError: as `parse`, and as utils/text.py.
    """
    declared: set[str] = set()
    for number, line in texts.numbered(path):
        if line.startswith(COMMENT):
            declared.update(_DECLARED.findall(line))
        elif line.strip():
            known = (declared or None) if labels is None else labels
            yield parse(line, f"{path}:{number}", None if any_label else known)


def check_end(segment: StmSegment, duration: float, tolerance: float = 0.0) -> None:
    """That a segment ends no later than the audio, or `tolerance` seconds after it.

    Raises:
        UserError: it does not.
    """
    if segment.end > duration + tolerance:
        raise UserError(
            f"{segment.where}: ends at {segment.end:g} s, but {segment.file} lasts "
            f"{duration:.3f} s; mend the time, or copy the audio again"
        )


def header(labels: Mapping[str, tuple[str, str]]) -> list[str]:
    """The comment lines that declare labels: id -> (name, description)."""
    rows = [f';; LABEL "{key}" "{name}" "{what}"' for key, (name, what) in labels.items()]
    return [COMMENT, *rows, COMMENT] if rows else []


def write_stm(
    path: Path | str,
    segments: Iterable[StmSegment],
    labels: Mapping[str, tuple[str, str]] | None = None,
) -> None:
    """Writes segments in the order given, after a header that declares `labels`."""
    with atomic_file(path) as stream:
        for line in header(labels or {}):
            stream.write(line + "\n")
        for s in segments:
            fields = (s.file, s.channel, s.speaker, _shown(s.start), _shown(s.end), s.label, s.text)
            stream.write(" ".join(part for part in fields if part) + "\n")


def _seconds(text: str, where: str) -> float:
    if not texts.is_time(text):
        raise UserError(f"{where}: {text[:40]!r} is no time in seconds, wanted `{FORM}`")
    return float(text)


def _is_known(part: str, labels: Collection[str]) -> bool:
    return part in labels or part.lower() in UNLABELLED


def _shown(seconds: float) -> str:
    """Two decimals, or three where there are as many."""
    return f"{seconds:.3f}".removesuffix("0")
