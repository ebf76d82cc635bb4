"""Folders of wav and txt, and how they are split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from chainstitch.utils.corpora import folder
from chainstitch.utils.data.manifests import cut_speaker, cut_text, read_cuts
from chainstitch.utils.errors import UsageError, UserError


def fill(source: Path, speakers: int, each: int) -> Path:
    for s in range(speakers):
        (source / f"spk{s:02d}").mkdir(parents=True)
        for k in range(each):
            path = source / f"spk{s:02d}" / f"u{k}.wav"
            soundfile.write(path, np.full(2000, 0.01), 8000)
            path.with_suffix(".txt").write_text(f"\ufeffhello  {s}\nworld\n", encoding="utf-8")
    return source


def test_speaker_is_the_subfolder_and_text_is_one_line(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", 2, 2)
    soundfile.write(source / "alone.wav", np.full(2000, 0.01), 8000)
    assert folder.prepare(source, tmp_path / "mine") == {"mine": 5}
    cuts = read_cuts(tmp_path / "mine")
    assert [(cut.id, cut_speaker(cut), cut_text(cut)) for cut in cuts[:2]] == [
        ("alone", "alone", ""),
        ("spk00-u0", "spk00", "hello 0 world"),
    ]


def test_enough_speakers_are_split_whole(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", 10, 3)
    counts = folder.prepare(source, tmp_path / "data", split="dev=0.1,test=0.2")
    assert counts == {"train": 21, "dev": 3, "test": 6}
    speakers = [{cut_speaker(c) for c in read_cuts(tmp_path / "data" / name)} for name in counts]
    assert sum(len(s) for s in speakers) == len(set.union(*speakers)) == 10
    folder.prepare(source, tmp_path / "again", split="dev=0.1,test=0.2")
    for name in counts:
        path = f"{name}/cuts.jsonl.gz"
        assert (tmp_path / "data" / path).read_bytes() == (tmp_path / "again" / path).read_bytes()


def test_few_speakers_are_split_by_utterance_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = fill(tmp_path / "in", 2, 10)
    with caplog.at_level("INFO"):
        counts = folder.prepare(source, tmp_path / "data", split="test=0.1", seed=3)
    assert counts == {"train": 18, "test": 2}
    assert "split by utterance: 2 speakers are too few" in caplog.text


def test_files_without_speakers_are_split_by_utterance_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in sorted(fill(tmp_path / "in", 2, 10).rglob("*.*")):
        path.rename(flat / f"{path.parent.name}_{path.name}")
    assert folder.prepare(flat, tmp_path / "data", split="test=0.1") == {"train": 18, "test": 2}
    assert "each is taken for a speaker of its own" in caplog.text


@pytest.mark.parametrize("split", ["dev", "dev=x", "dev=0", "train=0.5", "dev=0.5,test=0.5"])
def test_splits_that_cannot_be_are_refused(split: str) -> None:
    with pytest.raises(UsageError, match="--split"):
        folder.parse_split(split)


def test_nothing_to_read_and_double_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no .wav files"):
        folder.prepare(tmp_path, tmp_path / "data")
    fill(tmp_path / "in", 1, 1)
    (tmp_path / "in" / "spk00-u0.wav").touch()
    with pytest.raises(UserError, match="both get the id spk00-u0"):
        folder.prepare(tmp_path / "in", tmp_path / "data")
