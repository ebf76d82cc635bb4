"""SPHERE files: codings and channels that are read, and those that are named with what to do."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import SupervisionSegment
from lhotse.cut import MonoCut

from chainstitch.utils.data.audio_check import check_length, check_recording
from chainstitch.utils.data.manifests import read_cuts, read_recording, write_set
from chainstitch.utils.data.samples import load_samples
from chainstitch.utils.errors import UserError

SAMPLES = 0.2 * np.random.default_rng(0).standard_normal((4000, 3))


def write(path: Path, channels: int, coding: str) -> Path:
    soundfile.write(path, SAMPLES[:, :channels], 8000, format="NIST", subtype=coding)
    return path


@pytest.mark.parametrize(("coding", "error"), [("PCM_16", 5e-5), ("ULAW", 0.03), ("ALAW", 0.03)])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_each_channel_is_read_from_the_middle_of_a_file(
    tmp_path: Path, coding: str, error: float, channels: int
) -> None:
    recording = read_recording(write(tmp_path / "a.sph", channels, coding), "a", several=True)
    assert (recording.num_samples, recording.channel_ids) == (4000, list(range(channels)))
    assert check_recording(recording) is None
    cuts = []
    for channel in range(channels):
        segment = SupervisionSegment(f"a-{channel}", "a", 0.0, 0.25, channel, "a", speaker="s")
        cuts.append(MonoCut(segment.id, 0.125, 0.25, channel, [segment], recording=recording))
    write_set(tmp_path / "set", cuts)
    for channel, cut in enumerate(read_cuts(tmp_path / "set")):
        found = load_samples(cut)
        np.testing.assert_allclose(found, SAMPLES[1000:3000, channel], atol=error)


def test_several_channels_are_refused_where_one_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.sph: 2 channels, wanted one"):
        read_recording(write(tmp_path / "a.sph", 2, "ULAW"), "a")


def test_a_file_compressed_by_shorten_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path / "a.sph", 2, "PCM_16")
    content = path.read_bytes()
    coding = b"sample_coding -s26 pcm,embedded-shorten-v2.00\n"
    path.write_bytes(content.replace(b"sample_coding -s3 pcm\n", coding)[:3000])
    wanted = r"a\.sph: is compressed by shorten \(pcm,embedded-shorten-v2\.00\).*sph2pipe -p -f sph"
    with pytest.raises(UserError, match=wanted):
        read_recording(path, "a", several=True)
    recording = read_recording(write(tmp_path / "b.sph", 2, "PCM_16"), "a", several=True)
    recording.sources[0].source = str(path)
    problem = check_length(recording)
    assert problem is not None and problem[0] == "unreadable" and "sph2pipe" in problem[1]


def test_another_coding_and_damaged_headers_are_not_readable(tmp_path: Path) -> None:
    path = write(tmp_path / "a.sph", 1, "PCM_16")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"-s3 pcm", b"-s3 xyz"))
    with pytest.raises(UserError, match=r"a\.sph: not readable as SPHERE \(xyz, 1 channels"):
        read_recording(path, "a")
    for head in (b"NIST_1A\n  many\n", b"NIST_1A\n99999999\n", b"NIST_1A\n", b"NIST"):
        path.write_bytes(head)
        with pytest.raises(UserError, match=r"a\.sph: not readable as"):
            read_recording(path, "a")


def test_a_file_that_was_cut_short_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.sph", 2, "ULAW")
    path.write_bytes(path.read_bytes()[:-1000])
    with caplog.at_level(logging.WARNING):
        recording = read_recording(path, "a", several=True)
    assert "holds 7000 of the 8000 bytes its header declares" in caplog.text
    assert check_recording(recording) == (
        "truncated", f"{path} holds 7000 of the 8000 bytes its header declares"
    )  # fmt: skip


def test_real_files_are_read(data_dir: Path) -> None:
    place = data_dir / "speech-format-samples" / "misc"
    for name, channels in (("example3.sph", 1), ("stereo.sph", 2)):
        recording = read_recording(place / name, "a", several=True)
        assert recording.num_channels == channels and check_recording(recording) is None
