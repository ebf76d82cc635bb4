"""Kaldi data directories: there and back, and each malformed file named."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from chainstitch.utils.corpora import kaldi_dir, kaldi_export
from chainstitch.utils.data.manifests import (
    cut_speaker,
    cut_text,
    read_cuts,
    read_recording,
    whole_cut,
    write_set,
)
from chainstitch.utils.data.samples import load_samples
from chainstitch.utils.data.validate import check_set
from chainstitch.utils.errors import UserError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two recordings; three segments of two speakers."""
    folder = tmp_path / "kaldi"
    folder.mkdir()
    for k in range(2):
        wave = np.random.default_rng(k).standard_normal(16000 + 13 * k) * 0.1
        soundfile.write(folder / f"r{k}.wav", wave, 8000)
    (folder / "wav.scp").write_text(f"r0 r0.wav\nr1\t{folder}/r1.wav\n")
    (folder / "segments").write_text("s-u1 r0 0.25 1.0\ns-u2 r0 1.0 2.01\nt-u3 r1 0.5 -1\n")
    (folder / "text").write_text("s-u1  ONE  TWO\ns-u2 THREE\nt-u3 éin\n", encoding="utf-8")
    (folder / "utt2spk").write_text("s-u1 s\ns-u2 s\nt-u3 t\n")
    return folder


def test_segments_text_and_speakers_are_read(source: Path, tmp_path: Path) -> None:
    assert kaldi_dir.prepare(source, tmp_path / "train") == {"train": 3}
    cuts = read_cuts(tmp_path / "train")
    assert [cut.id for cut in cuts] == ["s-u1", "s-u2", "t-u3"]
    assert [cut_text(cut) for cut in cuts] == ["ONE TWO", "THREE", "éin"]
    assert [cut_speaker(cut) for cut in cuts] == ["s", "s", "t"]
    assert [cut.start for cut in cuts] == [0.25, 1.0, 0.5]
    assert cuts[1].end == 2.0  # rounded times are cut at the end of the recording
    assert cuts[2].load_audio().shape == (1, 16013 - 4000)


def test_export_and_import_give_the_same_set(source: Path, tmp_path: Path) -> None:
    kaldi_dir.prepare(source, tmp_path / "train")
    assert kaldi_export.export(tmp_path / "train", tmp_path / "out") == 3
    assert (tmp_path / "out" / "spk2utt").read_text() == "s s-u1 s-u2\nt t-u3\n"
    kaldi_dir.prepare(tmp_path / "out", tmp_path / "again")
    for name in ("cuts", "recordings", "supervisions"):
        path = f"{name}.jsonl.gz"
        assert (tmp_path / "train" / path).read_bytes() == (tmp_path / "again" / path).read_bytes()


def test_without_segments_an_utterance_is_a_recording(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (source / "segments").unlink()
    (source / "utt2spk").unlink()
    (source / "text").write_text("r0 ONE\nr9 NINE\n")
    with caplog.at_level(logging.WARNING):
        kaldi_dir.prepare(source, tmp_path / "train")
    cuts = read_cuts(tmp_path / "train")
    assert [(cut.id, cut_text(cut), cut_speaker(cut)) for cut in cuts] == [
        ("r0", "ONE", "r0"),
        ("r1", "", "r1"),
    ]
    assert "no utt2spk" in caplog.text
    assert "1 transcripts have no audio and were left out (r9)" in caplog.text
    assert "1 utterances have no text; `validate` will name them (r1)" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("wav.scp", "r0 sox x.wav -t wav - |\nr1 r1.wav\n", "r0 is a command.*not run"),
        ("wav.scp", "r0 r0.wav\nr1 gone.wav\n", "1 of 2 recordings.*gone.wav: no such.*--skip-b"),
        ("wav.scp", "r0 r0.wav\nr0 r1.wav\n", "wav.scp:2: r0 comes a second time"),
        ("wav.scp", "r0 r0.wav\nr1\n", "wav.scp:2: r1 has nothing after it"),
        ("segments", "s-u1 r7 0 1\n", "s-u1: r7 is not in wav.scp"),
        ("segments", "s-u1 r0 0\n", "s-u1 r0 0: wanted `utterance recording start end`"),
        ("segments", "s-u1 r0 0 2.5\n", "0.0 to 2.5 s does not lie within r0"),
        ("text", None, "text is missing"),
    ],
)
def test_what_cannot_be_read_is_named(
    source: Path, tmp_path: Path, name: str, content: str | None, reason: str
) -> None:
    (source / name).unlink()
    if content is not None:
        (source / name).write_text(content)
    with pytest.raises(UserError, match=reason):
        kaldi_dir.prepare(source, tmp_path / "train")
    assert not (tmp_path / "train").exists()


def test_skipping_broken_recordings_drops_their_segments(source: Path, tmp_path: Path) -> None:
    (source / "r0.wav").write_text("no audio")
    counts = kaldi_dir.prepare(source, tmp_path / "train", skip_broken=True)
    assert counts == {"train": 1}


def test_a_real_directory_of_commands_is_refused(data_dir: Path, tmp_path: Path) -> None:
    real = data_dir / "speech-format-samples" / "kaldi-datadir" / "mini_librispeech"
    with pytest.raises(UserError, match="commands are not run"):
        kaldi_dir.prepare(real, tmp_path / "train")


@pytest.fixture
def sides(tmp_path: Path) -> Path:
    """A call whose two sides are two recordings; segments of both; genders."""
    folder = tmp_path / "call"
    folder.mkdir()
    wave = np.random.default_rng(0).standard_normal((8000, 2)) * 0.1
    soundfile.write(folder / "sw02001.sph", wave, 8000, format="NIST", subtype="ULAW")
    for name, lines in {
        "wav.scp": "sw02001-A sw02001.sph\nsw02001-B sw02001.sph\n",
        "reco2file_and_channel": "sw02001-A sw02001 A\nsw02001-B sw02001 B\n",
        "segments": "a-1 sw02001-A 0.1 0.5\nb-1 sw02001-B 0.25 0.75\n",
        "text": "a-1 hi\nb-1 yeah\n",
        "utt2spk": "a-1 a\nb-1 b\n",
        "spk2gender": "a f\nb m\n",
    }.items():
        (folder / name).write_text(lines)
    return folder


def test_sides_of_a_call_are_told_apart_and_come_back(sides: Path, tmp_path: Path) -> None:
    kaldi_dir.prepare(sides, tmp_path / "set")
    one, other = read_cuts(tmp_path / "set")
    both, _ = soundfile.read(sides / "sw02001.sph", dtype="float32")
    assert np.array_equal(load_samples(one), both[800:4000, 0])
    assert np.array_equal(load_samples(other), both[2000:6000, 1])
    assert [kaldi_dir.file_and_channel(c) for c in (one, other)] == [
        ("sw02001", "A"),
        ("sw02001", "B"),
    ]
    assert [c.supervisions[0].gender for c in (one, other)] == ["f", "m"]
    assert not check_set(tmp_path / "set").bad
    kaldi_export.export(tmp_path / "set", tmp_path / "out")
    for name in ("reco2file_and_channel", "text", "utt2spk", "spk2gender"):
        assert (tmp_path / "out" / name).read_text() == (sides / name).read_text()
    kaldi_dir.prepare(tmp_path / "out", tmp_path / "again")
    for path in (tmp_path / "set").glob("*.gz"):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_the_names_of_recordings_with_one_channel_are_only_kept(
    source: Path, tmp_path: Path
) -> None:
    (source / "reco2file_and_channel").write_text("r0 X.Array1-01 B\n")
    kaldi_dir.prepare(source, tmp_path / "set")
    named = [kaldi_dir.file_and_channel(cut) for cut in read_cuts(tmp_path / "set")]
    assert named == [("X.Array1-01", "B"), ("X.Array1-01", "B"), ("r1", "A")]


def test_a_recording_with_several_sides_in_use_becomes_several(sides: Path, tmp_path: Path) -> None:
    recording = read_recording(sides / "sw02001.sph", "call", several=True)
    cuts = [whole_cut(recording, "yes", "s", f"u{n}") for n in range(2)]
    cuts[1].channel = 1
    write_set(tmp_path / "set", cuts)
    kaldi_export.export(tmp_path / "set", tmp_path / "out")
    named = (tmp_path / "out" / "reco2file_and_channel").read_text()
    assert named == "call-A call A\ncall-B call B\n"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("reco2file_and_channel", None, "sw02001.sph: 2 channels, and nothing says which of them"),
        ("reco2file_and_channel", "sw02001-A sw02001\n", "channel:1: sw02001-A sw02001: wanted"),
        ("reco2file_and_channel", "sw02001-A x C\n", "is channel C, but .* has 2 channels, A to B"),
        ("spk2gender", "a f\nb x\n", "spk2gender:2: b has the gender 'x', wanted m or f"),
        ("segments", "a-1 sw02001-A 0.1 0.5\nb-1 sw02001-B 1.01 1.02\n", "segments:2: b-1: 1.01"),
        ("segments", "a-1 sw02001-A 0.5 0.1\n", "segments:1: a-1: 0.5 to 0.1 s does not lie"),
    ],
)
def test_what_is_wrong_with_sides_is_named(
    sides: Path, tmp_path: Path, name: str, content: str | None, reason: str
) -> None:
    (sides / name).unlink()
    if content is not None:
        (sides / name).write_text(content)
    with pytest.raises(UserError, match=reason):
        kaldi_dir.prepare(sides, tmp_path / "set")
    assert not (tmp_path / "set").exists()
