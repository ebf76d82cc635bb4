"""The digits' protocols and strings."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from lhotse import AudioSource, Recording
from lhotse.cut import MonoCut

from chainstitch.utils.corpora import digits
from chainstitch.utils.data.manifests import (
    cut_speaker,
    cut_text,
    cut_tracks,
    read_cuts,
    whole_cut,
)
from chainstitch.utils.errors import UsageError, UserError


def recordings_of(directory: Path) -> set[str]:
    return {track.recording.id for cut in read_cuts(directory) for track in cut_tracks(cut)}


def invented(speaker: str, number: int) -> list[MonoCut]:
    """Cuts whose audio is never read."""
    cuts = []
    for k in range(number):
        source = AudioSource("file", [0], "none.wav")
        name = f"{speaker}-{k % 10}-{k:02d}"
        recording = Recording(name, [source], 8000, 3000 + k, (3000 + k) / 8000)
        cuts.append(whole_cut(recording, digits.WORDS[k % 10], speaker))
    return cuts


def test_official_split_on_the_real_recordings(data_dir: Path, tmp_path: Path) -> None:
    counts = digits.prepare(data_dir / "free-spoken-digit-dataset", tmp_path)
    assert counts["dev_isolated"] == counts["test_isolated"] == 300
    assert counts["test_strings"] == 600
    strings = read_cuts(tmp_path / "test_strings")
    assert set(Counter(cut_speaker(cut) for cut in strings).values()) == {100}
    train, test = recordings_of(tmp_path / "train"), recordings_of(tmp_path / "test_isolated")
    dev = recordings_of(tmp_path / "dev_isolated")
    assert (len(train), len(dev), len(test)) == (2400, 300, 300)
    assert not train & dev and not train & test and not dev & test
    assert recordings_of(tmp_path / "test_strings") <= test
    assert recordings_of(tmp_path / "dev_strings") <= dev
    assert {name.rpartition("-")[2] for name in test} == {f"{k:02d}" for k in range(5)}
    words = Counter(cut_text(cut) for cut in read_cuts(tmp_path / "test_isolated"))
    assert words == dict.fromkeys(digits.WORDS, 30)


def test_a_held_out_speaker_is_in_test_alone(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "free-spoken-digit-dataset" / "recordings"
    counts = digits.prepare(source, tmp_path, protocol="heldout-theo")
    assert (counts["test_isolated"], counts["test_strings"]) == (500, 100)
    for name in counts:
        speakers = {cut_speaker(cut) for cut in read_cuts(tmp_path / name)}
        others = set(digits.SPEAKERS) - {"theo"}
        assert speakers == ({"theo"} if name.startswith("test") else others)
    train, dev = recordings_of(tmp_path / "train"), recordings_of(tmp_path / "dev_isolated")
    assert (len(train), len(dev)) == (2250, 250) and not train & dev


def test_strings_are_joined_as_promised() -> None:
    own = invented("theo", 50)
    strings = digits.make_strings(own, 100, "test", 1)
    used = Counter(track.cut.id for string in strings for track in string.tracks)
    assert max(used.values()) - min(used.values()) <= 2  # dealt from a deck
    for string in strings:
        tracks = string.tracks
        assert 3 <= len(tracks) <= 7
        assert len({track.cut.id for track in tracks}) == len(tracks)
        assert tracks[0].offset == 0
        for left, right in zip(tracks, tracks[1:], strict=False):
            pause = (right.offset - left.offset) * 8000 - left.cut.num_samples
            assert abs(pause - round(pause)) < 1e-3 and -0.5 < pause < 1600.5
        assert cut_text(string) == " ".join(cut_text(track.cut) for track in tracks)
    assert len({len(string.tracks) for string in strings}) == 5


def test_strings_for_training_use_each_recording_at_most_once() -> None:
    strings = digits.make_strings(invented("lucas", 400), None, "train", 1)
    used = Counter(track.cut.id for string in strings for track in string.tracks)
    assert set(used.values()) == {1} and len(used) >= 398


def test_strings_depend_on_the_seed_and_on_nothing_else() -> None:
    both = [*invented("lucas", 50), *invented("theo", 50)]
    first = digits.make_strings(both, 10, "dev", 1)
    assert digits.make_strings(both, 10, "dev", 1) == first
    assert digits.make_strings(both[50:], 10, "dev", 1) == first[10:]
    assert digits.make_strings(both, 10, "dev", 2) != first


def test_incomplete_data_and_unknown_protocols_are_refused(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "0_george_0.wav").touch()
    with pytest.raises(UserError, match=r"lacks 2999 of the 3000 .*\(0_george_1.wav,"):
        digits.prepare(tmp_path, tmp_path / "data")
    with pytest.raises(UsageError, match="unknown protocol 'heldout-ted'.*heldout-theo"):
        digits.prepare(tmp_path, tmp_path / "data", protocol="heldout-ted")
    assert not (tmp_path / "data").exists()


def test_two_speakers_may_be_held_out() -> None:
    assign = digits.protocol_sets("heldout-theo+george")
    assert assign("theo", 7) == assign("george", 30) == "test"
    assert (assign("lucas", 7), assign("lucas", 30), assign("lucas", 0)) == (
        "dev",
        "train",
        "train",
    )
    for wrong in ("heldout-", "heldout-theo+ted", f"heldout-{'+'.join(digits.SPEAKERS)}", "theo"):
        with pytest.raises(UsageError, match="unknown protocol"):
            digits.protocol_sets(wrong)
