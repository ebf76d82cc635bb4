"""Utterances of long recordings: only they are decoded, whatever the file, the speed, the side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from lhotse import SupervisionSegment
from lhotse.cut import MonoCut

from chainstitch.utils.data.extraction import copy_volume, extract_set, speed_copies
from chainstitch.utils.data.features import FeatureConfig, FeatureReader, extract
from chainstitch.utils.data.manifests import read_recording, write_set
from chainstitch.utils.data.samples import load_samples
from chainstitch.utils.data.validate import check_set

RATE = 8000
CONFIG = FeatureConfig(sampling_rate=RATE, num_mel_bins=20, num_ceps=13, mean="none")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames every read of a file gave."""
    counts: list[int] = []
    read = soundfile.SoundFile.read

    def counting(self: soundfile.SoundFile, *arguments: Any, **options: Any) -> np.ndarray:
        found = read(self, *arguments, **options)
        counts.append(len(found))
        return found

    monkeypatch.setattr(soundfile.SoundFile, "read", counting)
    return counts


def long_cuts(path: Path, channels: int, **how: str) -> tuple[list[MonoCut], np.ndarray]:
    """Ten utterances of a second of a recording of two minutes, the last channel; its samples."""
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, (120 * RATE, channels))
    soundfile.write(path, wave, RATE, **how)
    stored, _ = soundfile.read(path, dtype="float32", always_2d=True)
    recording = read_recording(path, path.stem, several=True)
    side = channels - 1
    cuts = []
    for n in range(10):
        name = f"u{n}"
        said = SupervisionSegment(name, path.stem, 0.0, 1.0, channel=side, text="a", speaker="s")
        cuts.append(MonoCut(name, 3.25 + 11 * n, 1.0, side, [said], recording=recording))
    return cuts, stored[:, side]


@pytest.mark.parametrize(
    ("name", "channels", "how"),
    [
        ("a.wav", 1, {}),
        ("a.flac", 2, {}),
        ("a.sph", 2, {"format": "NIST", "subtype": "ULAW"}),
    ],
)
def test_an_utterance_is_read_without_the_rest_of_its_recording(
    tmp_path: Path, decoded: list[int], name: str, channels: int, how: dict[str, str]
) -> None:
    cuts, stored = long_cuts(tmp_path / name, channels, **how)
    decoded.clear()
    for cut in cuts:
        at = round(cut.start * RATE)
        assert np.array_equal(load_samples(cut), stored[at : at + RATE])
    assert sum(decoded) == 10 * RATE
    for copy in speed_copies(cuts, [0.9, 1.1]):
        load_samples(copy)
    assert sum(decoded) <= 30 * RATE + 40


def test_features_of_segments_are_made_without_reading_recordings_whole(
    tmp_path: Path, decoded: list[int]
) -> None:
    cuts, stored = long_cuts(tmp_path / "a.wav", 2)
    write_set(tmp_path / "set", cuts)
    decoded.clear()
    extract_set(tmp_path / "set", tmp_path / "hires", CONFIG)
    assert sum(decoded) == 10 * RATE
    reader = FeatureReader(tmp_path / "hires")
    at = round(cuts[3].start * RATE)
    assert np.array_equal(reader.load(3), extract(stored[at : at + RATE], CONFIG))
    decoded.clear()
    assert not check_set(tmp_path / "set").bad
    assert sum(decoded) == len(stored)  # once, for all of its utterances


def test_the_volume_of_a_recording_is_that_of_all_its_utterances(tmp_path: Path) -> None:
    cuts, _ = long_cuts(tmp_path / "a.wav", 2)
    config = FeatureConfig(sampling_rate=RATE, volume_by="recording")
    copies = speed_copies(cuts, config.speed)
    factors = {copy.id: copy_volume(copy, config) for copy in copies}
    assert len(set(factors.values())) == 3  # one for each speed
    assert factors["u0_sp0.9"] == factors["u9_sp0.9"] != factors["u0"]
    with pytest.raises(ValueError, match="volume_by = 'talk': wanted utterance or recording"):
        FeatureConfig(volume_by="talk")
