"""Kaldi data directories, read and written: wav.scp, text, utt2spk and, optionally, segments.

Differences from Kaldi: an entry of wav.scp must be the path of a file that libsndfile reads (wav,
flac, NIST sphere, ...), taken relative to the directory of wav.scp or to the working directory.
Commands (`sox ... |`) are refused, for reading data should not run programs. Without utt2spk
every utterance is its own speaker. An utterance without text is kept with an empty one, for
`validate` to name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from lhotse import Recording, SupervisionSegment
from lhotse.cut import Cut, MonoCut

from chainstitch.utils import text as texts
from chainstitch.utils.data.manifests import (
    cut_speaker,
    cut_text,
    read_cuts,
    read_recording,
    whole_cut,
    write_set,
)
from chainstitch.utils.data.samples import refuse_foreign
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_directory
from chainstitch.utils.outputs import check_directory

log = logging.getLogger(__name__)


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
    paths = {key: _audio_path(source, key, value) for key, value in _table(source / "wav.scp")}
    transcripts = _table(source / "text", empty_allowed=True)
    texts = {key: " ".join(value.split()) for key, value in transcripts}
    speakers = _speakers(source)
    recordings = read_recordings(paths, skip_broken)
    if (source / "segments").is_file():
        cuts = _segments(source, paths, recordings, texts, speakers)
    else:
        cuts = [
            whole_cut(recording, texts.get(key, ""), speakers.get(key, key))
            for key, recording in recordings.items()
        ]
    known = {cut.id for cut in cuts}
    _warn("transcripts have no audio and were left out", [key for key in texts if key not in known])
    _warn("utterances have no text; `validate` will name them", known - texts.keys())
    if speakers:
        _warn("utterances are not in utt2spk: each its own speaker", known - speakers.keys())
    write_set(out, cuts, overwrite, source)
    log.info("%s: %d utterances from %s", out, len(cuts), source)
    return {Path(out).name: len(cuts)}


def export(cuts_dir: Path | str, out: Path | str, *, overwrite: bool = False) -> int:
    """Writes a Kaldi data directory (wav.scp, segments, text, utt2spk, spk2utt) from a set.

    Returns:
        the number of utterances.

    Raises:
        UserError: a cut is a mix of recordings or a perturbed copy, which Kaldi files cannot say;
            or what Kaldi would take for a command to run.
    """
    cuts = read_cuts(cuts_dir)
    refuse_foreign(cuts, cuts_dir)
    tables: dict[str, dict[str, str]] = {
        name: {} for name in ("wav.scp", "segments", "text", "utt2spk", "spk2utt")
    }
    for cut in cuts:
        if not (isinstance(cut, MonoCut) and cut.has_recording and not cut.recording.transforms):
            raise UserError(
                f"{cuts_dir}: cut {cut.id} is not a stretch of one recording as it is on disk, "
                "which a Kaldi directory cannot describe; leave it out of the set"
            )
        speaker = cut_speaker(cut)
        audio = str(cut.recording.sources[0].source)
        if audio.startswith("|") or audio.endswith("|") or len(audio.splitlines()) != 1:
            raise UserError(
                f"{cuts_dir}: Kaldi would run the audio file {audio!r} as a command; rename it"
            )
        tables["wav.scp"][cut.recording.id] = audio
        tables["segments"][cut.id] = f"{cut.recording.id} {cut.start:.6f} {cut.end:.6f}"
        tables["text"][cut.id] = cut_text(cut)
        tables["utt2spk"][cut.id] = speaker
        members = tables["spk2utt"].get(speaker, "")
        tables["spk2utt"][speaker] = f"{members} {cut.id}".strip()
    for key in {key for name in tables for key in tables[name]}:
        if len(key.split()) != 1:
            raise UserError(f"{cuts_dir}: the id {key!r} has white space in it; Kaldi wants none")
    check_directory(out, "kaldi", overwrite, [cuts_dir])
    with atomic_directory(out, "kaldi", overwrite) as temporary:
        for name, table in tables.items():
            lines = [f"{key} {table[key]}".rstrip() + "\n" for key in sorted(table)]
            (temporary / name).write_text("".join(lines), encoding="utf-8")
    return len(cuts)


def read_recordings(paths: dict[str, Path], skip_broken: bool) -> dict[str, Recording]:
    """The recording of every id -> path, in the order of ids.

    Raises:
        UserError: some cannot be read, and `skip_broken` is false: how many, and the first three.
    """
    recordings: dict[str, Recording] = {}
    problems: list[str] = []
    for key in sorted(paths):
        try:
            recordings[key] = read_recording(paths[key], key)
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
    return recordings


def _segments(
    source: Path,
    paths: dict[str, Path],
    recordings: dict[str, Recording],
    texts: dict[str, str],
    speakers: dict[str, str],
) -> list[Cut]:
    cuts: list[Cut] = []
    for key, value in _table(source / "segments"):
        fields = value.split()
        try:
            recording_id, start, end = fields[0], float(fields[1]), float(fields[2])
        except (IndexError, ValueError):
            raise UserError(
                f"{source}/segments: {key} {value}: wanted `utterance recording start end`"
            ) from None
        if recording_id not in paths:
            raise UserError(f"{source}/segments: {key}: {recording_id} is not in wav.scp")
        if recording_id not in recordings:
            continue  # left out as broken, with a warning
        recording = recordings[recording_id]
        end = recording.duration if end < 0 else end  # Kaldi: -1 is the end of the recording
        if not 0 <= start < end <= recording.duration + 0.05:  # Kaldi's tolerance for rounding
            raise UserError(
                f"{source}/segments: {key}: {start} to {end} s does not lie within {recording_id}, "
                f"which lasts {recording.duration:.3f} s"
            )
        duration = round(min(end, recording.duration) - start, 8)
        segment = SupervisionSegment(
            key,
            recording_id,
            start=0.0,
            duration=duration,
            text=texts.get(key, ""),
            speaker=speakers.get(key, key),
        )
        cuts.append(MonoCut(key, start, duration, 0, [segment], recording=recording))
    return cuts


def _table(path: Path, empty_allowed: bool = False) -> list[tuple[str, str]]:
    """The (key, rest of line) pairs of a Kaldi text file."""
    if not path.is_file():
        raise UserError(f"{path} is missing; a Kaldi data directory has wav.scp, text and utt2spk")
    pairs: dict[str, str] = {}
    for number, line in texts.numbered(path):
        fields = line.split(maxsplit=1)
        if not fields:
            continue
        key, value = fields[0], fields[1].strip() if len(fields) > 1 else ""
        if not value and not empty_allowed:
            raise UserError(f"{path}:{number}: {key} has nothing after it")
        if key in pairs:
            raise UserError(f"{path}:{number}: {key} comes a second time; ids are unique")
        pairs[key] = value
    return list(pairs.items())


def _audio_path(source: Path, key: str, entry: str) -> Path:
    if entry.startswith("|") or entry.endswith("|"):
        raise UserError(
            f"{source}/wav.scp: {key} is a command ({entry[:60]}), and commands are not run; "
            "convert the audio to files (wav-copy or sox) and list their paths"
        )
    beside = source / entry
    return beside if beside.is_file() else Path(entry)


def _speakers(source: Path) -> dict[str, str]:
    if (source / "utt2spk").is_file():
        return dict(_table(source / "utt2spk"))
    log.warning("%s has no utt2spk: each utterance counts as a speaker of its own", source)
    return {}


def _warn(what: str, ids: Iterable[str]) -> None:
    ids = sorted(ids)
    if ids:
        log.warning("%d %s (%s)", len(ids), what, ", ".join(ids[:3]) + (", ..." if ids[3:] else ""))
