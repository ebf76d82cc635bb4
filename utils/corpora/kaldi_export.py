"""Kaldi data directories, written: what of a set their files can say.

wav.scp, segments, text, utt2spk, spk2utt, reco2file_and_channel, and spk2gender where genders are
known. Where a recording's file has several channels, wav.scp names the file all the same, and
reco2file_and_channel the channel, as kaldi_dir.py reads it; Kaldi itself wants a command there that
takes one channel out. A recording of which several channels are used becomes several, `r-A` and
`r-B`.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from lhotse.cut import MonoCut

from chainstitch.utils.corpora.kaldi_dir import NAMED, channel_number, file_and_channel, letter
from chainstitch.utils.data.manifests import cut_text
from chainstitch.utils.data.samples import refuse_foreign
from chainstitch.utils.data.set_stream import Row, rows
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_directory
from chainstitch.utils.outputs import check_directory

OF_UTTERANCES = ("segments", "text", "utt2spk")


def export(cuts_dir: Path | str, out: Path | str, *, overwrite: bool = False) -> int:
    """Writes a Kaldi data directory from a set.

    Returns:
        the number of utterances.

    Raises:
        UsageError: `out` cannot be written, or `cuts_dir` is no set.
        UserError: a cut is a mix of recordings or a perturbed copy, which Kaldi files cannot say;
            or what Kaldi would take for a command to run.
    """
    check_directory(out, "kaldi", overwrite, [cuts_dir])
    channels: dict[str, set[int]] = defaultdict(set)
    for row in rows(cuts_dir, in_order=False):
        cut = _plain(row)
        channels[cut.recording.id].add(cut.channel)
    audio: dict[str, str] = {}
    sides: dict[str, str] = {}
    speakers: dict[str, list[str]] = defaultdict(list)
    genders: dict[str, str] = {}
    count = 0
    with atomic_directory(out, "kaldi", overwrite) as temporary:
        with ExitStack() as open_files:
            segments, text, utt2spk = (
                open_files.enter_context(open(temporary / name, "w", encoding="utf-8"))
                for name in OF_UTTERANCES
            )
            for row in rows(cuts_dir):
                cut, count = _plain(row), count + 1
                recording = _recording_name(cut, len(channels[cut.recording.id]) > 1)
                audio[recording], sides[recording] = _audio(row, cut), _side(cut)
                segments.write(f"{cut.id} {recording} {cut.start:.6f} {cut.end:.6f}\n")
                text.write(f"{cut.id} {cut_text(cut)}".rstrip() + "\n")
                utt2spk.write(f"{cut.id} {row.speaker}\n")
                speakers[row.speaker].append(cut.id)
                if (gender := _gender(cut)) is not None:
                    genders[row.speaker] = gender
        _write(temporary / "wav.scp", audio)
        _write(temporary / NAMED, sides)
        _write(temporary / "spk2utt", {name: " ".join(ids) for name, ids in speakers.items()})
        if genders:
            _write(temporary / "spk2gender", genders)
    return count


def _plain(row: Row) -> MonoCut:
    cut = row.cut
    refuse_foreign([cut], row.place)
    if isinstance(cut, MonoCut) and cut.has_recording and not cut.recording.transforms:
        return cut
    raise UserError(
        f"{row.place}: cut {cut.id} is not a stretch of one recording as it is on disk, which a "
        "Kaldi directory cannot describe; leave it out of the set"
    )


def _audio(row: Row, cut: MonoCut) -> str:
    audio = str(cut.recording.sources[0].source)
    if audio.startswith("|") or audio.endswith("|") or len(audio.splitlines()) != 1:
        raise UserError(
            f"{row.place}: Kaldi would run the audio file {audio!r} as a command; rename it"
        )
    return audio


def _recording_name(cut: MonoCut, several: bool) -> str:
    return f"{cut.recording.id}-{letter(cut.channel)}" if several else str(cut.recording.id)


def _side(cut: MonoCut) -> str:
    """File and channel; of a file with several channels never another one than is heard."""
    file, channel = file_and_channel(cut)
    if cut.recording.num_channels > 1 and channel_number(channel) != cut.channel:
        channel = letter(cut.channel)
    return f"{file} {channel}"


def _gender(cut: MonoCut) -> str | None:
    named = next((s.gender for s in cut.supervisions if s.gender), "")
    return named[0].lower() if named[:1].lower() in ("m", "f") else None


def _write(path: Path, table: dict[str, str]) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        stream.writelines(f"{key} {table[key]}\n" for key in sorted(table))
