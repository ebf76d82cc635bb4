"""What is wrong with a set: every problem named and counted, and the set without it.

A cut is judged with everything it is made of: all tracks of a mix, their recordings' files, their
transcripts. `check_set` only reads; `without_problems` and `manifests.replace_cuts` mend. Of two
utterances that exclude each other (same id, overlapping in time) the later one is the bad one.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from lhotse.cut import Cut, MonoCut

from chainstitch.utils import text as texts
from chainstitch.utils.data.audio_check import check_recording
from chainstitch.utils.data.cut_check import cut_fault, material_fault
from chainstitch.utils.data.identifiers import check_apart, field_fault
from chainstitch.utils.data.manifests import cut_text, cut_tracks, read_any_cuts
from chainstitch.utils.data.samples import foreign_source
from chainstitch.utils.errors import UsageError, UserError

REASONS = {
    "broken": "ids, times, channel or texts that cannot be",
    "foreign": "made by a command, fetched, or a pickle (see --allow-commands)",
    "duplicate": "id used twice",
    "missing": "audio file missing",
    "truncated": "audio file truncated",
    "unreadable": "audio file not readable",
    "length": "audio file not as long, or not at the rate, as prepared",
    "channel": "channels unlike those of the file",
    "samples": "samples not finite (NaN or infinite), or absurdly large",
    "outside": "times outside the recording or the cut",
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

    @property
    def sound(self) -> list[Cut]:
        """The cuts that are whole, whatever else is wrong with them."""
        return [c for n, c in enumerate(self.cuts) if n not in self.problems.get("broken", ())]

    def lines(self) -> list[str]:
        """One line a kind of problem, and one for each unknown word, most frequent first."""
        lines = []
        for kind, reason in REASONS.items():
            found = self.problems.get(kind)
            if not found:
                continue
            ids = ", ".join(_shown(self.cuts[k].id) for k in list(found)[:SHOWN])
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
        speakers = len(set_speakers(self.sound))
        return (
            f"{self.directory}: {len(self.cuts)} utterances, {hours:.2f} h, "
            f"{speakers} speaker{'s' if speakers != 1 else ''}: ok"
        )


def check_set(
    directory: Path | str, lexicon: Path | str | None = None, allow_commands: bool = False
) -> Report:
    """Reads a set's manifests and all of its audio.

    Args:
        allow_commands: whether audio may be made by commands or fetched; it is not checked then.

    Raises:
        UsageError: there is no such set or lexicon. UserError: a manifest is damaged.
    """
    words = None if lexicon is None else lexicon_words(Path(lexicon))
    report = Report(
        Path(directory),
        read_any_cuts(directory),
        defaultdict(dict),
        Counter(),
        None if lexicon is None else Path(lexicon),
    )
    for position, cut in enumerate(report.cuts):
        if (fault := cut_fault(cut) or material_fault(cut)) is not None:
            report.problems["broken"][position] = f"{cut.id!r} {fault}"
        elif not allow_commands and (found := foreign_source(cut)) is not None:
            report.problems["foreign"][position] = found
    check_apart([cut.id for cut in report.sound], directory)
    usable = [(n, cut) for n, cut in enumerate(report.cuts) if n not in report.problems["broken"]]
    for check in (_audio, _identity, _times, _text, _overlaps):
        for kind, position, detail in check(usable):
            report.problems[kind].setdefault(position, detail)
    for position, cut in usable:
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
            shared = sorted(set_speakers(one.sound) & set_speakers(other.sound))
            if shared:
                named = ", ".join(shared[:SHOWN]) + (", ..." if shared[SHOWN:] else "")
                yield f"{one.directory} and {other.directory} share {len(shared)} speakers: {named}"


def joined(cuts: Iterable[Cut]) -> list[str]:
    """The ids of cuts of one recording that hold several supervisions.

    Each is one utterance here, with all their words, and whatever lies between them. Of a mix, that
    is why it was made; but a whole recording as one cut has not been cut into utterances yet.
    """
    return [
        cut.id
        for cut in cuts
        if isinstance(cut, MonoCut) and cut.has_recording and len(cut.supervisions) > 1
    ]


def joined_warning(cuts: Iterable[Cut], directory: Path | str) -> str | None:
    """What to say about `joined` cuts, if there are any."""
    ids = joined(cuts)
    if not ids:
        return None
    named = ", ".join(ids[:SHOWN]) + (", ..." if ids[SHOWN:] else "")
    return (
        f"{directory}: {len(ids)} cuts hold several supervisions each, and are taken for one "
        f"utterance with all their words: {named}; lhotse's trim_to_supervisions makes a cut of "
        "each supervision"
    )


def set_speakers(cuts: Collection[Cut]) -> set[str]:
    """All speakers named in the cuts."""
    return {str(s.speaker) for cut in cuts for s in cut.supervisions if s.speaker}


def lexicon_words(path: Path) -> set[str]:
    """The first field of every line."""
    if not path.is_file():
        raise UsageError(
            f"lexicon {path} does not exist; give a file of lines `WORD PHONE PHONE ...`"
        )
    return {line.split()[0] for line in texts.lines(path) if line.strip()}


def _shown(name: object) -> str:
    """An id as it is, or in quotes with its strange characters written out."""
    return repr(name) if field_fault(name) else str(name)


Numbered = list[tuple[int, Cut]]  # position and cut
Found = Iterator[tuple[str, int, str]]  # kind, position of the cut, detail


def _audio(cuts: Numbered) -> Found:
    checked: dict[str, tuple[str, str] | None] = {}
    for position, cut in cuts:
        for recording in [track.recording for track in cut_tracks(cut) if track.has_recording]:
            key = f"{recording.id} {[source.source for source in recording.sources]}"
            if key not in checked:
                checked[key] = check_recording(recording)
            problem = checked[key]
            if problem:
                yield problem[0], position, problem[1]


def _identity(cuts: Numbered) -> Found:
    seen: set[str] = set()
    segments: dict[str, tuple[str, float, str]] = {}
    rates = Counter(cut.sampling_rate for _, cut in cuts)
    usual = max(rates, key=rates.__getitem__, default=0)
    for position, cut in cuts:
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


def _times(cuts: Numbered) -> Found:
    for position, cut in cuts:
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
                elif start < -TOLERANCE or end > track.duration + TOLERANCE:
                    times = f"{start:.3f} to {end:.3f} of a cut of {track.duration:.3f} s"
                    yield "outside", position, times


def _text(cuts: Numbered) -> Found:
    for position, cut in cuts:
        if not cut.supervisions or not all((s.text or "").strip() for s in cut.supervisions):
            yield "empty", position, ""


def _overlaps(cuts: Numbered) -> Found:
    # The same supervision may be in several cuts: a digit alone and within strings.
    holders: dict[str, list[int]] = defaultdict(list)
    extents: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for position, cut in cuts:
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
