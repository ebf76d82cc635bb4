"""Set directories: reproducible bytes, whole or absent, damaged ones named."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from lhotse import SupervisionSegment
from lhotse.cut import MonoCut

from chainstitch.utils.data import manifests
from chainstitch.utils.errors import UsageError, UserError


def test_a_set_reads_back_equal_and_sorted(small_set: Callable[..., Path]) -> None:
    directory = small_set()
    cuts = manifests.read_cuts(directory)
    assert [cut.id for cut in cuts] == sorted(cut.id for cut in cuts)
    manifests.write_set(directory.with_name("again"), reversed(cuts))
    for name in (manifests.CUTS, manifests.RECORDINGS, manifests.SUPERVISIONS):
        written, again = directory / name, directory.with_name("again") / name
        assert written.read_bytes() == again.read_bytes()
    assert manifests.read_cuts(directory.with_name("again")) == cuts


def test_text_of_a_cut_follows_time_and_ignores_spacing() -> None:
    segments = [
        SupervisionSegment("x", "r", start=1.0, duration=1.0, text="  TWO\tTHREE "),
        SupervisionSegment("y", "r", start=0.0, duration=1.0, text="ONE"),
        SupervisionSegment("z", "r", start=2.0, duration=1.0, text=None),
    ]
    cut = MonoCut("c", 0.0, 3.0, 0, segments)
    assert manifests.cut_text(cut) == "ONE TWO THREE"
    with pytest.raises(UserError, match="cut c wants one speaker, found none"):
        manifests.cut_speaker(cut)
    segments[0].speaker, segments[1].speaker, segments[2].speaker = "a", "b", "a"
    with pytest.raises(UserError, match="found a, b"):
        manifests.cut_speaker(cut)


def test_existing_and_double_ids_and_empty_sets_are_refused(small_set: Callable[..., Path]) -> None:
    directory = small_set()
    before = (directory / manifests.CUTS).read_bytes()
    cuts = manifests.read_cuts(directory)
    with pytest.raises(UsageError, match="--overwrite"):
        manifests.write_set(directory, cuts[:1])
    with pytest.raises(UserError, match=f"two utterances have the id {cuts[0].id}"):
        manifests.write_set(directory, [cuts[0], cuts[0]], overwrite=True)
    with pytest.raises(UserError, match="no utterances"):
        manifests.write_set(directory, [], overwrite=True)
    with pytest.raises(UsageError, match="train"):
        manifests.write_sets(directory.parent, {"other": cuts, "train": cuts})
    assert not (directory.parent / "other").exists()
    assert (directory / manifests.CUTS).read_bytes() == before


def test_damaged_manifests_are_named(small_set: Callable[..., Path]) -> None:
    directory = small_set()
    path = directory / manifests.CUTS
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"cuts.jsonl.gz is damaged"):
        manifests.read_cuts(directory)
    path.write_bytes(gzip.compress(b'{"id": 3}\n'))
    with pytest.raises(UserError, match=r"cuts.jsonl.gz is damaged near line 1"):
        manifests.read_cuts(directory)
    with pytest.raises(UsageError, match="chainstitch prepare"):
        manifests.read_cuts(directory.with_name("absent"))


def test_unusable_audio_is_named(tmp_path: Path) -> None:
    text = tmp_path / "a.wav"
    text.write_text("not audio")
    stereo = tmp_path / "b.wav"
    soundfile.write(stereo, [[0.0, 0.1]] * 100, 8000)
    for path, reason in [
        (tmp_path / "none.wav", "no such file"),
        (text, "not readable as audio"),
        (stereo, "2 channels, wanted one"),
    ]:
        with pytest.raises(UserError, match=reason) as error:
            manifests.read_recording(path, "r")
        assert str(path) in str(error.value)
