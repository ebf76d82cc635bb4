"""Kaldi data directories: there and back, and each malformed file named."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from chainstitch.utils.corpora import kaldi_dir, kaldi_export
from chainstitch.utils.data.manifests import cut_speaker, cut_text, read_cuts
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
