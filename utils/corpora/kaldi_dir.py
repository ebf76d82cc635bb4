"""Kaldi data directories, read: wav.scp, text, utt2spk, and segments and others where they are.

Differences from Kaldi: an entry of wav.scp must be the path of a file that libsndfile reads (wav,
flac, NIST sphere, ...), taken relative to the directory of wav.scp or to the working directory.
Commands (`sox ... |`) are refused, for reading data should not run programs. Without utt2spk
every utterance is its own speaker. An utterance without text is kept with an empty one, for
`validate` to name.

In Kaldi a recording has one channel; of a file with two sides, `sph2pipe -c 2 ... |` takes one.
Here wav.scp names the file for both, and reco2file_and_channel says which side is meant:

    wav.scp                  sw02001-A sw02001.sph
                             sw02001-B sw02001.sph
    reco2file_and_channel    sw02001-A sw02001 A
                             sw02001-B sw02001 B

A or 1 is the first channel. For files of one channel it does not matter what is said of it: these
are names by which scoring knows file and side, and they are kept for that (`file_and_channel`).
The other way: kaldi_export.py.
"""

from __future__ import annotations

import logging
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lhotse import Recording, SupervisionSegment
from lhotse.cut import Cut, MonoCut

from chainstitch.utils import text as texts
from chainstitch.utils.data.cut_check import cut_fault
from chainstitch.utils.data.manifests import read_recording
from chainstitch.utils.data.set_stream import Item, write_rows
from chainstitch.utils.errors import UserError
from chainstitch.utils.outputs import check_directory

NAMED = "reco2file_and_channel"  # under this name a supervision keeps what is not the default
TOLERANCE = 0.05  # seconds; Kaldi's, for times that were rounded

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tables:
    """What a directory says of utterances, speakers and recordings, by their ids."""

    source: Path
    text: Mapping[str, str]
    speakers: Mapping[str, str]
    genders: Mapping[str, str]
    sides: Mapping[str, str]  # "file channel"

    def cut(self, name: str, recording: Recording, start: float, end: float) -> MonoCut:
        """The cut of an utterance; UserError if nothing says which channel it is of."""
        channel, duration = 0, round(end - start, 8)
        side = self.sides.get(recording.id, f"{recording.id} A")
        if recording.num_channels > 1:
            channel = self._channel(recording)
        speaker = self.speakers.get(name, name)
        segment = SupervisionSegment(
            name, recording.id, start=0.0, duration=duration, channel=channel,
            text=self.text.get(name, ""), speaker=speaker, gender=self.genders.get(speaker),
            custom=None if side == f"{recording.id} {letter(channel)}" else {NAMED: side},
        )  # fmt: skip
        return MonoCut(name, start, duration, channel, [segment], recording=recording)

    def _channel(self, recording: Recording) -> int:
        path, count = recording.sources[0].source, recording.num_channels
        if recording.id not in self.sides:
            raise UserError(
                f"{path}: {count} channels, and nothing says which of them is {recording.id}; "
                f"write a line `{recording.id} FILE A` in {self.source / NAMED}"
            )
        named = self.sides[recording.id].split()[1]
        channel = channel_number(named)
        if channel is None or channel >= count:
            raise UserError(
                f"{self.source / NAMED}: {recording.id} is channel {named}, but {path} has "
                f"{count} channels, A to {letter(count - 1)}"
            )
        return channel


def prepare(
    source: Path | str, out: Path | str, *, skip_broken: bool = False, overwrite: bool = False
) -> dict[str, int]:
    """Writes the set directory `out` from a Kaldi data directory.

    Args:
        skip_broken: leave out recordings that cannot be read, with a warning, instead of refusing.

    Raises:
        UserError: a file is missing or malformed, an entry is a command, audio cannot be read, a
            segment lies outside its recording or names an unknown one.
    """
    source = Path(source)
    check_directory(out, "set", overwrite, [source])
    paths = {key: _audio_path(source, key, entry) for _, key, entry in _lines(source / "wav.scp")}
    transcripts = _table(source / "text", empty_allowed=True)
    tables = Tables(
        source,
        {key: " ".join(value.split()) for key, value in transcripts.items()},
        _speakers(source),
        _genders(source / "spk2gender"),
        read_sides(source / NAMED) if (source / NAMED).is_file() else {},
    )
    known: set[str] = set()
    cuts = (_segments if (source / "segments").is_file() else _whole)(tables, paths, skip_broken)
    count = write_rows(out, (_checked(cut, out, known) for cut in cuts), overwrite)
    _warn("transcripts have no audio and were left out", set(tables.text) - known)
    _warn("utterances have no text; `validate` will name them", known - set(tables.text))
    if tables.speakers:
        _warn("utterances are not in utt2spk: each its own speaker", known - set(tables.speakers))
    log.info("%s: %d utterances from %s", out, count, source)
    return {Path(out).name: count}


def file_and_channel(cut: MonoCut) -> tuple[str, str]:
    """By what name scoring knows the file and the side of an utterance (stm, ctm).

    By default these are the id of its recording, and A for the first channel.
    """
    named = next((s.custom[NAMED] for s in cut.supervisions if NAMED in (s.custom or {})), None)
    if named is None:
        return str(cut.recording.id), letter(cut.channel)
    file, channel = named.split()
    return file, channel


def letter(channel: int) -> str:
    """A for channel 0, B for 1, ...; 27 for the one after Z."""
    return string.ascii_uppercase[channel] if channel < 26 else str(channel + 1)


def channel_number(named: str) -> int | None:
    """0 for A and 1, 1 for B and 2, ...; None for anything else."""
    if len(named) == 1 and named.upper() in string.ascii_uppercase:
        return string.ascii_uppercase.index(named.upper())
    return int(named) - 1 if named.isascii() and named.isdigit() and int(named) > 0 else None


def read_recordings(
    paths: Mapping[str, Path], skip_broken: bool, several: bool = False
) -> Iterator[tuple[str, Recording]]:
    """Each id and its recording, in the order of ids.

    Args:
        several: the files may have several channels.

    Raises:
        UserError: at the end, where some cannot be read and `skip_broken` is false: how many, and
            the first three.
    """
    problems: list[str] = []
    for key in sorted(paths):
        try:
            yield key, read_recording(paths[key], key, several)
        except UserError as error:
            problems.append(str(error))
    if problems and not skip_broken:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise UserError(
            f"{len(problems)} of {len(paths)} recordings cannot be used: {'; '.join(problems[:3])}"
            f"{more}. Mend them, or pass --skip-broken to leave them out"
        )
    for problem in problems:
        log.warning("left out: %s", problem)


def _whole(tables: Tables, paths: Mapping[str, Path], skip_broken: bool) -> Iterator[Cut]:
    for key, recording in read_recordings(paths, skip_broken, several=True):
        yield tables.cut(key, recording, 0.0, recording.duration)


def _segments(tables: Tables, paths: Mapping[str, Path], skip_broken: bool) -> Iterator[Cut]:
    path = tables.source / "segments"
    recordings = dict(read_recordings(paths, skip_broken, several=True))
    for number, key, value in sorted(_lines(path), key=lambda line: line[1]):
        place, fields = f"{path}:{number}: {key}", value.split()
        try:
            recording_id, start, end = fields[0], float(fields[1]), float(fields[2])
        except (IndexError, ValueError):
            raise UserError(f"{place} {value}: wanted `utterance recording start end`") from None
        if recording_id not in paths:
            raise UserError(f"{place}: {recording_id} is not in wav.scp")
        if recording_id not in recordings:
            continue  # left out as broken, with a warning
        recording = recordings[recording_id]
        end = recording.duration if end < 0 else end  # Kaldi: -1 is the end of the recording
        if not 0 <= start < end <= recording.duration + TOLERANCE or start >= recording.duration:
            raise UserError(
                f"{place}: {start} to {end} s does not lie within {recording_id}, which lasts "
                f"{recording.duration:.3f} s"
            )
        yield tables.cut(key, recording, start, min(end, recording.duration))


def _checked(cut: Cut, out: Path | str, known: set[str]) -> Item:
    if (fault := cut_fault(cut)) is not None:
        raise UserError(f"{out}: cut {str(cut.id)!r} {fault}")
    known.add(cut.id)
    return dict(cut.to_dict())


def _lines(path: Path, empty_allowed: bool = False) -> Iterator[tuple[int, str, str]]:
    """(number, key, rest of the line) of a Kaldi text file."""
    if not path.is_file():
        raise UserError(f"{path} is missing; a Kaldi data directory has wav.scp, text and utt2spk")
    seen: set[str] = set()
    for number, line in texts.numbered(path):
        fields = line.split(maxsplit=1)
        if not fields:
            continue
        key, value = fields[0], fields[1].strip() if len(fields) > 1 else ""
        if not value and not empty_allowed:
            raise UserError(f"{path}:{number}: {key} has nothing after it")
        if key in seen:
            raise UserError(f"{path}:{number}: {key} comes a second time; ids are unique")
        seen.add(key)
        yield number, key, value


def _table(path: Path, empty_allowed: bool = False) -> dict[str, str]:
    return {key: value for _, key, value in _lines(path, empty_allowed)}


def _audio_path(source: Path, key: str, entry: str) -> Path:
    if entry.startswith("|") or entry.endswith("|"):
        raise UserError(
            f"{source}/wav.scp: {key} is a command ({entry[:60]}), and commands are not run; "
            "convert the audio to files (wav-copy or sox) and list their paths; a side of a file "
            f"with two is told by {NAMED}"
        )
    beside = source / entry
    return beside if beside.is_file() else Path(entry)


def _speakers(source: Path) -> dict[str, str]:
    if (source / "utt2spk").is_file():
        return _table(source / "utt2spk")
    log.warning("%s has no utt2spk: each utterance counts as a speaker of its own", source)
    return {}


def _genders(path: Path) -> dict[str, str]:
    genders: dict[str, str] = {}
    for number, speaker, gender in _lines(path) if path.is_file() else ():
        if gender not in ("m", "f"):
            raise UserError(f"{path}:{number}: {speaker} has the gender {gender!r}, wanted m or f")
        genders[speaker] = gender
    return genders


def read_sides(path: Path) -> dict[str, str]:
    """`file channel` of each recording, as a reco2file_and_channel says.

    Raises:
        UserError: it is missing or malformed; names the line.
    """
    sides: dict[str, str] = {}
    for number, recording, value in _lines(path):
        fields = value.split()
        if len(fields) != 2:
            raise UserError(
                f"{path}:{number}: {recording} {value}: wanted `recording file channel`"
            )
        sides[recording] = " ".join(fields)
    return sides


def _warn(what: str, ids: Iterable[str]) -> None:
    ids = sorted(ids)
    if ids:
        log.warning("%d %s (%s)", len(ids), what, ", ".join(ids[:3]) + (", ..." if ids[3:] else ""))
