"""Audio that is not what its header or its manifest says."""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import AudioSource, Recording

from chainstitch.utils.data import manifests
from chainstitch.utils.data.features import FeatureConfig
from chainstitch.utils.data.waveform import read_features
from chainstitch.utils.errors import UserError
from tests.faults.refusals import outcome, refused

CONFIG = FeatureConfig(sampling_rate=8000, num_mel_bins=20, num_ceps=13)
FEATURES = ["features", "features.toml", "--data", "data", "--out", "hires"]
NOISE = np.random.default_rng(0).normal(size=8000) * 0.1


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: one second in x.wav, and features.toml."""
    monkeypatch.chdir(tmp_path)
    Path("features.toml").write_text("sampling_rate = 8000\nnum_mel_bins = 20\nnum_ceps = 13\n")
    soundfile.write("x.wav", NOISE, 8000, subtype="PCM_16")
    return tmp_path


def prepare(path: str = "x.wav") -> None:
    recording = manifests.read_recording(Path(path), "x")
    manifests.write_set("data", [manifests.whole_cut(recording, "YES", "s")], overwrite=True)


def halve(path: str = "x.wav") -> None:
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2])


def put(offset: int, form: str, *values: int) -> None:
    """Other numbers in the header of x.wav."""
    content = bytearray(Path("x.wav").read_bytes())
    struct.pack_into(form, content, offset, *values)
    Path("x.wav").write_bytes(content)


# -- cut short


def test_a_wav_cut_in_half_before_it_was_prepared(
    place: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    halve()
    wanted = "x.wav holds 7978 of the 16000 bytes its header declares"
    with caplog.at_level(logging.WARNING):
        prepare()
    assert wanted in caplog.text
    line = refused(FEATURES, place, capsys)
    assert "cut x: " in line and wanted in line and "chainstitch validate data" in line
    code, said, _ = outcome(["validate", "data"], capsys)
    assert code == 1 and wanted in said


def test_what_transcribe_reads_of_half_a_wav_has_a_warning(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(read_features(Path("x.wav"), CONFIG)) == 100 and not caplog.text
    halve()
    assert len(read_features(Path("x.wav"), CONFIG)) == 50
    assert "x.wav holds 7978 of the 16000 bytes its header declares" in caplog.text


@pytest.mark.parametrize("kind", ["flac", "aiff"])
def test_other_formats_cut_in_half(
    place: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"x.{kind}"
    soundfile.write(name, NOISE, 8000, subtype="PCM_16")
    prepare(name)
    halve(name)
    assert name in refused(FEATURES, place, capsys)
    assert outcome(["validate", "data"], capsys)[0] == 1


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_size_that_a_streaming_program_left_is_no_warning(
    place: Path, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    put(40, "<I", size)
    try:
        read_features(Path("x.wav"), CONFIG)
    except UserError as error:  # libsndfile itself takes 0 for an empty file
        assert size == 0 and "no samples" in str(error)
    assert "header declares" not in caplog.text


# -- rates


@pytest.mark.parametrize("rate", [1, 999, 768_001, 0x7FFFFFFF])
def test_a_rate_that_no_recording_has_is_refused_at_once(
    place: Path, rate: int, capsys: pytest.CaptureFixture[str]
) -> None:
    put(24, "<II", rate, 2 * rate & 0xFFFFFFFF)
    began = time.process_time()
    with pytest.raises(UserError, match=f"x.wav: is at {rate} Hz by its header, wanted 1000 to"):
        read_features(Path("x.wav"), CONFIG)
    Path("f").mkdir()
    Path("x.wav").rename("f/x.wav")
    line = refused(["prepare", "folder", "f", "data"], place, capsys)
    assert f"is at {rate} Hz by its header" in line
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("rate", [7999, 15_999, 44_101, 767_999])
def test_a_rate_that_would_take_gigabytes_to_resample(place: Path, rate: int) -> None:
    put(24, "<II", rate, 2 * rate)
    began = time.process_time()
    with pytest.raises(UserError, match=f"is at {rate} Hz, which shares no factor"):
        read_features(Path("x.wav"), CONFIG)
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_rates_that_there_are_can_be_resampled(place: Path, rate: int) -> None:
    put(24, "<II", rate, 2 * rate)
    assert len(read_features(Path("x.wav"), CONFIG)) == round(800_000 / rate)


# -- samples


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(np.nan, "1 samples that are not finite"), (-np.inf, "not finite"), (1e38, "of 1e\\+38"),
     (-1e10, "a sample of 1e\\+10")],
)  # fmt: skip
def test_samples_that_are_none(
    place: Path, value: float, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    loud = NOISE.copy()
    loud[5] = value
    soundfile.write("x.wav", loud, 8000, subtype="FLOAT")
    prepare()
    code, said, line = outcome(["validate", "data"], capsys)
    assert code == 1 and "not finite (NaN or infinite), or absurdly large (1)" in line, line
    with pytest.raises(UserError, match=f"x.wav has .*{wanted}"):
        read_features(Path("x.wav"), CONFIG)
    if abs(value) > 1e20 or value != value:
        assert "cut x" in refused(FEATURES, place, capsys)


def test_samples_that_were_not_scaled_are_audio(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write("x.wav", NOISE * 2.0**29, 8000, subtype="FLOAT")
    prepare()
    assert outcome(["validate", "data"], capsys)[0] == 0
    assert outcome(FEATURES, capsys)[0] == 0


# -- files unlike their manifests


def _stereo() -> None:
    soundfile.write("x.wav", np.stack([NOISE, NOISE], 1), 8000, subtype="PCM_16")


def _rate() -> None:
    soundfile.write("x.wav", NOISE, 16000, subtype="PCM_16")


UNLIKE: dict[str, tuple[Callable[[], object], str]] = {
    "two channels": (_stereo, "x.wav has 2 channels, 1 in the manifest"),
    "another rate": (_rate, "x.wav is at 16000 Hz, was 8000"),
    "gone": (lambda: Path("x.wav").unlink(), "x.wav does not exist"),
    "a directory": (lambda: (Path("x.wav").unlink(), Path("x.wav").mkdir()), "does not exist"),
    "no audio": (lambda: Path("x.wav").write_text("hello"), "x.wav: Error"),
    "empty": (lambda: Path("x.wav").write_bytes(b""), "x.wav: Error"),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_files_unlike_their_manifest_are_named(
    place: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, wanted = UNLIKE[name]
    prepare()
    change()
    line = refused(FEATURES, place, capsys)
    assert "cut x: " in line and wanted in line
    code, said, _ = outcome(["validate", "data"], capsys)
    assert code == 1 and wanted in said


def test_each_file_of_a_recording_is_checked(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two channels in two files, as some corpora have them, and the second one is cut short."""
    soundfile.write("y.wav", NOISE, 8000, subtype="PCM_16")
    sources = [AudioSource("file", [n], name) for n, name in enumerate(["x.wav", "y.wav"])]
    cut = manifests.whole_cut(Recording("x", sources, 8000, 8000, 1.0), "YES", "s")
    cut.channel = 1
    manifests.write_set("data", [cut])
    assert outcome(["validate", "data"], capsys)[0] == 0
    assert outcome([*FEATURES[:-1], "whole"], capsys)[0] == 0
    halve("y.wav")
    assert "y.wav holds" in refused(FEATURES, place, capsys)
    code, said, _ = outcome(["validate", "data"], capsys)
    assert code == 1 and "y.wav holds" in said
