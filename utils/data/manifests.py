"""Reading and writing `data/<set>/`: lhotse manifests, the same bytes for the same content.

A set is a directory with `recordings.jsonl.gz`, `supervisions.jsonl.gz` and `cuts.jsonl.gz`. The
cuts are the truth for every later stage; the other two list what the cuts refer to. One item a
line, sorted by id, gzip without a time stamp: two runs of the same preparation can be compared
with `cmp`.
"""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import soundfile
from lhotse import AudioSource, Recording, SupervisionSegment
from lhotse.cut import Cut, MixedCut, MonoCut, PaddingCut
from lhotse.serialization import deserialize_item

from chainstitch.utils import text as texts
from chainstitch.utils.data.audio_check import RATES, cut_short
from chainstitch.utils.data.cut_check import cut_fault
from chainstitch.utils.data.identifiers import check_apart
from chainstitch.utils.data.sphere import unreadable_sphere
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_directory, atomic_file
from chainstitch.utils.outputs import check_directory, check_keeps

CUTS = "cuts.jsonl.gz"
RECORDINGS = "recordings.jsonl.gz"
SUPERVISIONS = "supervisions.jsonl.gz"

log = logging.getLogger(__name__)


def cut_text(cut: Cut) -> str:
    """The words of a cut: its supervisions' texts in time order, joined by one space."""
    return spoken((segment.start, segment.id, segment.text) for segment in cut.supervisions)


def spoken(segments: Iterable[tuple[float, str, str | None]]) -> str:
    """The words of (start, id, text)s, in time order, joined by one space."""
    texts = [text or "" for _, _, text in sorted(segments, key=lambda segment: segment[:2])]
    return " ".join(" ".join(text.split()) for text in texts).strip()


def cut_speaker(cut: Cut) -> str:
    """The speaker of a cut.

    Raises:
        UserError: none is given, or the supervisions name several.
    """
    return one_speaker(cut.id, (segment.speaker for segment in cut.supervisions))


def one_speaker(cut_id: str, named: Iterable[str | None]) -> str:
    """The speaker whom all segments of a cut name.

    Raises:
        UserError: there is none, or several.
    """
    speakers = sorted({speaker or "" for speaker in named})
    if len(speakers) != 1 or not speakers[0]:
        raise UserError(f"cut {cut_id} wants one speaker, found {', '.join(speakers) or 'none'}")
    return str(speakers[0])


def cut_tracks(cut: Cut) -> list[MonoCut]:
    """The single-recording cuts in `cut`: itself, or a mix's tracks without padding."""
    if isinstance(cut, MixedCut):
        return [track.cut for track in cut.tracks if not isinstance(track.cut, PaddingCut)]
    return [cut]


def read_recording(path: Path, recording_id: str, several: bool = False) -> Recording:
    """A recording manifest for one audio file, its path made absolute.

    Args:
        several: whether it may have more than one channel; they are numbered from 0.

    Raises:
        UserError: the file is missing, is not audio, is empty, has more channels than it may, a
            name that is not UTF-8 or a sampling rate that no recording has.
    """
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        shown = str(path).encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise UserError(f"{shown}: the file's name is not UTF-8; rename it") from None
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        info = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError, RuntimeError):
        size = path.stat().st_size
        reason = unreadable_sphere(path) or f"{path}: not readable as audio ({size} bytes)"
        raise UserError(reason) from None
    if info.channels != 1 and not several:
        raise UserError(f"{path}: {info.channels} channels, wanted one; write one file per channel")
    if info.frames < 1:
        raise UserError(f"{path}: holds no samples")
    if not RATES[0] <= info.samplerate <= RATES[1]:
        raise UserError(
            f"{path}: is at {info.samplerate} Hz by its header, wanted {RATES[0]} to {RATES[1]}"
        )
    if missing := cut_short(path):
        log.warning("%s; only that much of it is used", missing)
    channels = list(range(info.channels))
    source = AudioSource(type="file", channels=channels, source=str(path.absolute()))
    duration = info.frames / info.samplerate
    return Recording(recording_id, [source], int(info.samplerate), int(info.frames), duration)


def whole_cut(recording: Recording, text: str, speaker: str, cut_id: str | None = None) -> MonoCut:
    """A cut over all of a recording, with one supervision of the same id and extent."""
    cut_id = cut_id or recording.id
    segment = SupervisionSegment(
        id=cut_id,
        recording_id=recording.id,
        start=0.0,
        duration=recording.duration,
        text=text,
        speaker=speaker,
    )
    return MonoCut(cut_id, 0.0, recording.duration, 0, [segment], recording=recording)


def audio_files(cuts: Iterable[Cut]) -> Iterator[str]:
    """The audio files that cuts name; one may come more than once."""
    for cut in cuts:
        for track in cut_tracks(cut):
            for source in track.recording.sources if track.has_recording else ():
                if source.type == "file":
                    yield str(source.source)


def write_set(
    out: Path | str, cuts: Iterable[Cut], overwrite: bool = False, source: Path | str | None = None
) -> None:
    """Writes a set directory: all three files appear together, or none.

    Args:
        source: the corpus that the cuts come from.

    Raises:
        UsageError: `out` exists already and `overwrite` is false, or it is no set that was written
            here, or has to do with the source (outputs.py).
        UserError: there are no cuts, or two of them have the same id.
    """
    write_sets(Path(out).parent, {Path(out).name: list(cuts)}, overwrite, source)


def _write_set(out: Path, cuts: list[Cut], overwrite: bool, beside: dict[str, str]) -> None:
    with atomic_directory(out, "set", overwrite) as temporary:
        for name, items in _parts(cuts).items():
            (temporary / name).write_bytes(to_bytes(items))
        for name, text in beside.items():
            (temporary / name).write_text(text, encoding="utf-8")


def write_sets(
    out: Path | str,
    sets: dict[str, list[Cut]],
    overwrite: bool = False,
    source: Path | str | None = None,
    texts_beside: dict[str, dict[str, str]] | None = None,
) -> None:
    """Writes `out/<name>/` for every named set; refuses before the first byte if one cannot be.

    Args:
        texts_beside: name of a set -> name of a file -> a text that lies beside its manifests.

    The other args and errors are those of `write_set`.
    """
    texts_beside = texts_beside or {}
    for name in sets:
        check_directory(Path(out) / name, "set", overwrite, [source])
    sets = {name: check_cuts(cuts, Path(out) / name) for name, cuts in sets.items()}
    for name, cuts in sets.items():
        check_keeps(Path(out) / name, audio_files(cuts))
    for name, cuts in sets.items():
        _write_set(Path(out) / name, cuts, overwrite, texts_beside.get(name, {}))


def replace_cuts(directory: Path | str, cuts: Iterable[Cut]) -> None:
    """Rewrites an existing set with fewer cuts; other files in the directory stay.

    The cuts go first: whatever is killed when, no cut ever refers to something that is not listed.
    """
    cuts = check_cuts(cuts, directory)
    parts = _parts(cuts)
    for name in (CUTS, SUPERVISIONS, RECORDINGS):
        if name == CUTS or (Path(directory) / name).exists():
            with atomic_file(Path(directory) / name, "wb") as stream:
                stream.write(to_bytes(parts[name]))


def read_cuts(directory: Path | str) -> list[Cut]:
    """The cuts of a set (or feature) directory, in file order.

    Raises:
        UsageError: there is no such set.
        UserError: the manifest is damaged, or a cut has a fault (cut_check.py); names the line.
    """
    path = _cuts_file(directory)
    cuts = []
    for number, cut in _parsed(path):
        fault = cut_fault(cut)
        if fault:
            raise UserError(
                f"{path}:{number}: cut {str(cut.id)!r} {fault}; `chainstitch validate {directory}` "
                "finds all of them"
            )
        cuts.append(cut)
    check_apart((cut.id for cut in cuts), path)
    return cuts


def read_any_cuts(directory: Path | str) -> list[Cut]:
    """The same with cuts that have faults, which only `validate` can deal with."""
    return [cut for _, cut in _parsed(_cuts_file(directory))]


def _cuts_file(directory: Path | str) -> Path:
    path = Path(directory) / CUTS
    if not path.is_file():
        raise UsageError(
            f"{directory} has no {CUTS}; give a directory that `chainstitch prepare` wrote"
        )
    return path


def _parsed(path: Path) -> Iterator[tuple[int, Cut]]:
    number = 0
    for number, line in texts.numbered(path):
        try:
            cut = deserialize_item(json.loads(line))
            if not isinstance(cut, Cut):
                raise ValueError(f"found a {type(cut).__name__}, wanted a cut")
        except Exception as error:  # what lhotse raises for JSON that is not its own is not said
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise UserError(
                f"{path} is damaged near line {number} ({reason}); run `chainstitch prepare` again"
            ) from None
        yield number, cut
    if not number:
        raise UserError(f"{path} holds no utterances; run `chainstitch prepare` again")


def check_cuts(cuts: Iterable[Cut], where: Path | str) -> list[Cut]:
    """The cuts sorted by id; UserError if there are none, one has a fault, or two have one id."""
    cuts = sorted(cuts, key=lambda cut: str(cut.id))
    for cut in cuts:
        if (fault := cut_fault(cut)) is not None:
            raise UserError(f"{where}: cut {str(cut.id)!r} {fault}")
    if not cuts:
        raise UserError(f"{where} would hold no utterances; nothing was written")
    for one, other in zip(cuts, cuts[1:], strict=False):
        if one.id == other.id:
            raise UserError(f"{where}: two utterances have the id {one.id}; make ids unique")
    check_apart((cut.id for cut in cuts), where)
    return cuts


def to_bytes(items: Iterable[Any]) -> bytes:
    """Items as gzipped JSON lines without a time stamp."""
    lines = (json.dumps(item.to_dict(), ensure_ascii=False) + "\n" for item in items)
    return gzip.compress("".join(lines).encode(), compresslevel=6, mtime=0)


def _parts(cuts: list[Cut]) -> dict[str, list[Any]]:
    recordings: dict[str, Recording] = {}
    segments: dict[str, SupervisionSegment] = {}
    for cut in cuts:
        for track in cut_tracks(cut):
            if track.has_recording:
                recordings[track.recording.id] = track.recording
            for segment in track.supervisions:
                segments[segment.id] = segment.with_offset(track.start)
    return {
        RECORDINGS: [recordings[key] for key in sorted(recordings)],
        SUPERVISIONS: [segments[key] for key in sorted(segments)],
        CUTS: list(cuts),
    }
