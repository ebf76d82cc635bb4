"""What is wrong with a set: every problem named and counted, and the set without it.

A cut is judged with everything it is made of: all tracks of a mix, their recordings' files, their
transcripts. `check_set` only reads; `without_problems` and `manifests.replace_cuts` mend. Of two
utterances that exclude each other (same id, overlapping in time) the later one is the bad one.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from lhotse.cut import Cut

from chainstitch.utils.data.audio_check import check_recording
from chainstitch.utils.data.manifests import cut_text, cut_tracks, read_cuts
from chainstitch.utils.errors import UsageError, UserError

REASONS = {
    "duplicate": "id used twice",
    "missing": "audio file missing",
    "truncated": "audio file truncated",
    "unreadable": "audio file not readable",
    "length": "audio file not as long, or not at the rate, as prepared",
    "samples": "samples not finite (NaN or infinite)",
    "outside": "times outside the recording",
    "short": "0.1 s or shorter",
    "rate": "sampling rate unlike the rest of the set",
    "speaker": "no speaker, or several",
    "empty": "empty transcript",
    "overlap": "overlaps an earlier utterance of its recording",
    "lexicon": "words outside the lexicon",
}
SHORTEST = 0.1  # seconds
TOLERANCE = 0.01  # seconds; times in transcripts are often rounded to this
SHOWN = 5  # ids a line

log = logging.getLogger(__name__)


@dataclasses.dataclass
class Report:
    """The findings of `check_set`.

    Attributes:
        problems: kind -> (position in `cuts`, detail) of each utterance that has it.
        unknown: how often each word outside the lexicon occurs.
    """

    directory: Path
    cuts: list[Cut]
    problems: dict[str, dict[int, str]]
    unknown: Counter[str]
    lexicon: Path | None

    @property
    def bad(self) -> set[int]:
        """Positions of all utterances with a problem."""
        return {position for found in self.problems.values() for position in found}

    def lines(self) -> list[str]:
        """One line a kind of problem, and one for each unknown word, most frequent first."""
        lines = []
        for kind, reason in REASONS.items():
            found = self.problems.get(kind)
            if not found:
                continue
            ids = ", ".join(str(self.cuts[k].id) for k in list(found)[:SHOWN])
            more = ", ..." if len(found) > SHOWN else ""
            detail = next((f" ({detail})" for detail in found.values() if detail), "")
            lines.append(f"{self.directory}: {reason}: {len(found)}: {ids}{more}{detail}")
        ranked = sorted(self.unknown.items(), key=lambda item: (-item[1], item[0]))
        lines += [f"{self.directory}: not in {self.lexicon}: {word} {n}" for word, n in ranked]
        return lines

    def error(self) -> str:
        """The one line that says how to mend the set."""
        reasons = ", ".join(
            f"{reason} ({len(self.problems[kind])})"
            for kind, reason in REASONS.items()
            if self.problems.get(kind)
        )
        remedies = []
        if self.unknown:
            listed = ", ".join(word for word, _ in self.unknown.most_common(3))
            remedies.append(f"add {listed}{', ...' * (len(self.unknown) > 3)} to {self.lexicon}")
        if any(found and kind != "lexicon" for kind, found in self.problems.items()):
            remedies.append("mend the source and prepare again")
        return (
            f"{self.directory}: {len(self.bad)} of {len(self.cuts)} utterances have problems: "
            f"{reasons}; {' and '.join(remedies)}, or pass --fix to drop them"
        )

    def summary(self) -> str:
        """The line for a set without problems."""
        hours = sum(cut.duration for cut in self.cuts) / 3600
        speakers = len(set_speakers(self.cuts))
        return (
            f"{self.directory}: {len(self.cuts)} utterances, {hours:.2f} h, "
            f"{speakers} speaker{'s' if speakers != 1 else ''}: ok"
        )


def check_set(directory: Path | str, lexicon: Path | str | None = None) -> Report:
    """Reads a set's manifests and all of its audio.

    Raises:
        UsageError: there is no such set or lexicon. UserError: a manifest is damaged.
    """
    words = None if lexicon is None else lexicon_words(Path(lexicon))
    report = Report(
        Path(directory),
        read_cuts(directory),
        defaultdict(dict),
        Counter(),
        None if lexicon is None else Path(lexicon),
    )
    for check in (_audio, _identity, _times, _text, _overlaps):
        for kind, position, detail in check(report.cuts):
            report.problems[kind].setdefault(position, detail)
    for position, cut in enumerate(report.cuts):
        unknown = [] if words is None else [w for w in cut_text(cut).split() if w not in words]
        report.unknown.update(unknown)
        if unknown:
            report.problems["lexicon"][position] = ""
    return report


def without_problems(report: Report) -> list[Cut]:
    """The cuts of a report that have no problem.

    Raises:
        UserError: none is left.
    """
    kept = [cut for position, cut in enumerate(report.cuts) if position not in report.bad]
    if not kept:
        raise UserError(f"{report.error()} (--fix would drop all; nothing was changed)")
    return kept


def shared_speakers(reports: Sequence[Report]) -> Iterator[str]:
    """A warning for each pair of sets that have speakers in common."""
    for k, one in enumerate(reports):
        for other in reports[k + 1 :]:
            shared = sorted(set_speakers(one.cuts) & set_speakers(other.cuts))
            if shared:
                named = ", ".join(shared[:SHOWN]) + (", ..." if shared[SHOWN:] else "")
                yield f"{one.directory} and {other.directory} share {len(shared)} speakers: {named}"


def set_speakers(cuts: Collection[Cut]) -> set[str]:
    """All speakers named in the cuts."""
    return {str(s.speaker) for cut in cuts for s in cut.supervisions if s.speaker}


def lexicon_words(path: Path) -> set[str]:
    """The first field of every line."""
    if not path.is_file():
        raise UsageError(
            f"lexicon {path} does not exist; give a file of lines `WORD PHONE PHONE ...`"
        )
    lines = path.read_text(encoding="utf-8").splitlines()
    return {line.split()[0] for line in lines if line.strip()}


Found = Iterator[tuple[str, int, str]]  # kind, position of the cut, detail


def _audio(cuts: list[Cut]) -> Found:
    checked: dict[str, tuple[str, str] | None] = {}
    for position, cut in enumerate(cuts):
        for recording in [track.recording for track in cut_tracks(cut) if track.has_recording]:
            key = f"{recording.id} {recording.sources[0].source}"
            if key not in checked:
                checked[key] = check_recording(recording)
            problem = checked[key]
            if problem:
                yield problem[0], position, problem[1]


def _identity(cuts: list[Cut]) -> Found:
    seen: set[str] = set()
    segments: dict[str, tuple[str, float, str]] = {}
    rates = Counter(cut.sampling_rate for cut in cuts)
    usual = rates.most_common(1)[0][0]
    for position, cut in enumerate(cuts):
        if cut.id in seen:
            yield "duplicate", position, ""
        seen.add(cut.id)
        for track in cut_tracks(cut):
            for s in track.supervisions:
                this = (s.recording_id, round(track.start + s.start, 3), s.text)
                if segments.setdefault(s.id, this) != this:
                    yield "duplicate", position, f"supervision {s.id}"
            if track.sampling_rate != usual:
                yield "rate", position, f"{track.sampling_rate} Hz, most have {usual}"
        if len({s.speaker or "" for s in cut.supervisions} - {""}) != 1:
            yield "speaker", position, ""


def _times(cuts: list[Cut]) -> Found:
    for position, cut in enumerate(cuts):
        for track in cut_tracks(cut):
            if track.duration <= SHORTEST or any(
                s.duration <= SHORTEST for s in track.supervisions
            ):
                yield "short", position, ""
            ends = [(0.0, track.duration), *((s.start, s.end) for s in track.supervisions)]
            total = track.recording.duration if track.has_recording else track.end
            for start, end in ends:
                if track.start + start < -TOLERANCE or track.start + end > total + TOLERANCE:
                    times = f"{track.start + start:.3f} to {track.start + end:.3f} of {total:.3f} s"
                    yield "outside", position, times


def _text(cuts: list[Cut]) -> Found:
    for position, cut in enumerate(cuts):
        if not cut.supervisions or not all((s.text or "").strip() for s in cut.supervisions):
            yield "empty", position, ""


def _overlaps(cuts: list[Cut]) -> Found:
    # The same supervision may be in several cuts: a digit alone and within strings.
    holders: dict[str, list[int]] = defaultdict(list)
    extents: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for position, cut in enumerate(cuts):
        for track in cut_tracks(cut):
            for s in track.supervisions:
                start = track.start + s.start
                extents[f"{s.recording_id} {track.channel}"][s.id] = (start, start + s.duration)
                holders[s.id].append(position)
        mixed = sorted((s.start, s.end, s.id) for s in cut.supervisions)
        for (_, end, one), (start, _, other) in zip(mixed, mixed[1:], strict=False):
            if start < end - TOLERANCE:
                yield "overlap", position, f"{other} begins before the end of {one}"
    for found in extents.values():
        last_end, last = -1.0, ""
        for key, (start, end) in sorted(found.items(), key=lambda item: (item[1], item[0])):
            if start < last_end - TOLERANCE:
                for position in holders[key]:
                    yield "overlap", position, f"{key} begins before the end of {last}"
            else:
                last_end, last = end, key
