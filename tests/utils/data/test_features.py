"""Feature directories: reproducible, independent of nj, honest about damage."""

from __future__ import annotations

import dataclasses
import filecmp
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile

from chainstitch.utils.data import features
from chainstitch.utils.data.extraction import extract_set, volume_factor
from chainstitch.utils.data.features import FeatureConfig, FeatureReader, extract
from chainstitch.utils.data.manifests import cut_speaker, cut_text, read_cuts
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.job_parts import Part

CONFIG = FeatureConfig(sampling_rate=8000)
FILES = ["cuts.jsonl.gz", "features.toml", "means.npz", "feats/feats.h5"]


@pytest.mark.parametrize("samples", [200, 239, 240, 4000, 4040, 7999])
def test_frames_are_samples_over_shift_rounded(samples: int) -> None:
    wave = np.random.default_rng(0).standard_normal(samples) * 0.1
    out = extract(wave, CONFIG)
    assert out.shape == (int(samples / 80 + 0.5), 40)
    assert out.dtype == np.float32


def test_digital_silence_is_finite_and_constant() -> None:
    out = extract(np.zeros(4000), CONFIG)
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out, np.tile(features.silence_row(CONFIG), (50, 1)), atol=1e-3)


def test_waveforms_without_a_frame_or_with_nan_are_refused() -> None:
    with pytest.raises(UserError, match="shorter than one frame"):
        extract(np.zeros(199), CONFIG)
    with pytest.raises(UserError, match="2 samples are not finite"):
        extract(np.array([0.0] * 500 + [np.nan, np.inf]), CONFIG)


def test_two_runs_and_two_processes_give_the_same_bytes(
    small_set: Callable[..., Path], tmp_path: Path
) -> None:
    data = small_set()
    out = tmp_path / "hires"
    kept = []
    for number, nj in enumerate([1, 1, 2]):
        done = extract_set(data, out, CONFIG, augment=True, nj=nj)
        assert done.cuts == 21
        kept.append(out.rename(tmp_path / f"run{number}"))
    for other in kept[1:]:
        assert filecmp.cmpfiles(kept[0], other, FILES, shallow=False) == (FILES, [], [])


@pytest.mark.parametrize("count", [3, 30])
def test_shares_put_together_give_the_same_bytes(
    small_set: Callable[..., Path], tmp_path: Path, count: int
) -> None:
    data, out = small_set(), tmp_path / "hires"
    extract_set(data, out, CONFIG, augment=True)
    whole = out.rename(tmp_path / "whole")
    for number in range(1, count + 1):  # of 30, some are empty
        for _ in range(2):  # a job that is run again replaces its share
            extract_set(data, out, CONFIG, augment=True, part=Part(number, count))
    assert not out.exists()
    done = extract_set(data, out, CONFIG, augment=True, merge=count)
    assert done.cuts == 21
    assert filecmp.cmpfiles(whole, out, FILES, shallow=False) == (FILES, [], [])
    assert sorted(path.name for path in tmp_path.iterdir() if "hires" in path.name) == ["hires"]


def test_shares_that_do_not_fit_together_are_named(
    small_set: Callable[..., Path], tmp_path: Path
) -> None:
    data, out = small_set(), tmp_path / "hires"
    extract_set(data, out, CONFIG, part=Part(1, 2))
    with pytest.raises(UsageError, match="2of2 is missing; run the jobs with --part 1/2 to 2/2"):
        extract_set(data, out, CONFIG, merge=2)
    extract_set(data, out, CONFIG, augment=True, part=Part(2, 2))
    with pytest.raises(UsageError, match="2of2 was made from another set, or with another --aug"):
        extract_set(data, out, CONFIG, merge=2)
    other = dataclasses.replace(CONFIG, low_freq=40.0)
    extract_set(data, out, other, part=Part(2, 2))
    with pytest.raises(UsageError, match="2of2 was made with another config"):
        extract_set(data, out, CONFIG, merge=2)
    assert not out.exists()


def test_speed_copies_have_their_lengths_speakers_and_volumes(
    small_set: Callable[..., Path], tmp_path: Path
) -> None:
    data = small_set()
    plain = {cut.id: cut for cut in read_cuts(data)}
    done = extract_set(data, tmp_path / "hires", CONFIG, augment=True)
    reader = FeatureReader(tmp_path / "hires", mean="none")
    assert done.frames == sum(len(reader.load(cut)) for cut in reader.cuts)
    assert len(reader.cuts) == 3 * len(plain)
    for cut in reader.cuts:
        name, _, factor = str(cut.id).partition("_sp")
        original = plain[name]
        assert cut_text(cut) == cut_text(original)
        prefix = f"sp{factor}-" if factor else ""
        assert cut_speaker(cut) == prefix + cut_speaker(original)
        wanted = original.duration / float(factor or 1.0)
        assert abs(reader.load(cut).shape[0] - 100 * wanted) <= 1
        assert abs(cut.duration - wanted) < 1e-3
        assert cut.custom["volume"] == volume_factor(cut.id, CONFIG.volume)
        assert 0.125 <= cut.custom["volume"] < 2.0
    assert len({cut.custom["volume"] for cut in reader.cuts}) == len(reader.cuts)


def test_a_joined_cut_has_the_features_of_its_joined_samples(
    small_set: Callable[..., Path], tmp_path: Path
) -> None:
    data = small_set()
    extract_set(data, tmp_path / "hires", CONFIG)
    reader = FeatureReader(tmp_path / "hires", mean="none")
    mixed = next(cut for cut in read_cuts(data) if cut.id == "a-string")
    samples = np.zeros(mixed.num_samples)
    for track in mixed.tracks:
        start = round(track.offset * 8000)
        part, _ = soundfile.read(track.cut.recording.sources[0].source)
        samples[start : start + len(part)] += part
    cut = next(cut for cut in reader.cuts if cut.id == "a-string")
    np.testing.assert_array_equal(reader.load(cut), extract(samples, CONFIG))
    assert cut_text(cut) == "WORD0 YES WORD2 YES"
    assert cut.supervisions[1].start == 0.75


def test_reader_and_subtract_mean_agree_for_every_kind(
    small_set: Callable[..., Path], tmp_path: Path
) -> None:
    extract_set(small_set("train"), tmp_path / "train_hires", CONFIG)
    test = small_set("test", seconds=0.7)
    extract_set(test, tmp_path / "hires", CONFIG, prior=tmp_path / "train_hires")
    prior = FeatureReader(tmp_path / "train_hires").global_mean
    raw = FeatureReader(tmp_path / "hires", mean="none")
    np.testing.assert_array_equal(raw.prior, prior)
    for kind in ("speaker", "utterance", "causal", "none"):
        reader = FeatureReader(tmp_path / "hires", mean=kind)
        for speaker in ("a", "b"):
            cuts = [cut for cut in reader.cuts if cut_speaker(cut) == speaker]
            config = FeatureConfig(sampling_rate=8000, mean=kind)
            wanted = features.subtract_mean([raw.load(cut) for cut in cuts], config, prior)
            for cut, theirs in zip(cuts, wanted, strict=True):
                np.testing.assert_array_equal(reader.load(cut), theirs)


def test_mean_comes_from_the_config_and_copies_have_their_own(
    small_set: Callable[..., Path], tmp_path: Path
) -> None:
    extract_set(small_set(), tmp_path / "hires", CONFIG, augment=True)
    reader = FeatureReader(tmp_path / "hires")
    assert reader.config.mean == "speaker"
    for speaker in ("a", "sp0.9-a", "sp1.1-b"):
        own = [reader.load(cut) for cut in reader.cuts if cut_speaker(cut) == speaker]
        raw = [reader.load_raw(cut) for cut in reader.cuts if cut_speaker(cut) == speaker]
        silence = features.silence_row(CONFIG)
        sounding = [np.abs(x - silence).max(axis=1) > 0.1 for x in raw]
        kept = np.concatenate([x[w] for x, w in zip(own, sounding, strict=True)])
        np.testing.assert_allclose(kept.mean(axis=0), 0.0, atol=1e-3)


def test_a_moved_directory_still_reads(small_set: Callable[..., Path], tmp_path: Path) -> None:
    extract_set(small_set(), tmp_path / "hires", CONFIG)
    (tmp_path / "hires").rename(tmp_path / "moved")
    reader = FeatureReader(tmp_path / "moved")
    assert reader.load(reader.cuts[0]).shape[1] == 40


def test_damaged_features_are_named(small_set: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "hires"
    extract_set(small_set(), out, CONFIG)
    with h5py.File(out / "feats/feats.h5", "r+") as store:
        store["a2"][3, 7] = np.nan
        del store["a4"]
        short = store["b1"][:-2]
        del store["b1"]
        store["b1"] = short
    reader = FeatureReader(out)
    cuts = {cut.id: cut for cut in reader.cuts}
    assert np.isfinite(reader.load(cuts["a0"])).all()
    for name, reason in [
        ("a2", "1 numbers of cut a2 are not finite"),
        ("a4", "cannot read cut a4"),
        ("b1", r"cut b1 is \(48, 40\), wanted \(50, 40\)"),
    ]:
        with pytest.raises(UserError, match=reason) as error:
            reader.load(cuts[name])
        assert "feats.h5" in str(error.value) and "--overwrite" in str(error.value)
    whole = (out / "feats/feats.h5").read_bytes()
    (out / "feats/feats.h5").unlink()  # the first reader has the old file open
    (out / "feats/feats.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="feats.h5: cannot read cut a0"):
        FeatureReader(out).load(cuts["a0"])
    (out / "means.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="means.npz is damaged"):
        FeatureReader(out)


def test_wrong_rate_names_the_key_and_leaves_nothing(
    small_set: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="set sampling_rate = 8000"):
        extract_set(small_set(), tmp_path / "hires", FeatureConfig())
    assert not (tmp_path / "hires").exists()


def test_audio_cut_short_or_gone_is_named_and_nothing_stays(
    small_set: Callable[..., Path], tmp_path: Path
) -> None:
    data = small_set()
    path = tmp_path / "audio" / "train-b3.wav"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"cut b3: .*train-b3.wav holds 478 of the 4111 samples"):
        extract_set(data, tmp_path / "hires", CONFIG)
    path.unlink()
    with pytest.raises(UserError, match=r"cut b3: .*train-b3.wav does not exist"):
        extract_set(data, tmp_path / "hires", CONFIG)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["audio", "train"]


@pytest.mark.parametrize("nj", [1, 2])
def test_nan_samples_are_named_and_nothing_stays(
    small_set: Callable[..., Path], tmp_path: Path, nj: int
) -> None:
    data = small_set()
    path = tmp_path / "audio" / "train-b3.wav"
    samples, rate = soundfile.read(path)
    samples[40] = np.nan
    soundfile.write(path, samples, rate, subtype="FLOAT")
    with pytest.raises(UserError, match=r"cut b3 .*train-b3.wav.*1 samples are not finite"):
        extract_set(data, tmp_path / "hires", CONFIG, nj=nj)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["audio", "train"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mean", "median"),
        ("num_ceps", 41),
        ("high_freq", 9000.0),
        ("causal_prior_frames", 0.0),
        ("speed", [1.0, 1.0]),
        ("volume", [0.0, 1.0]),
        ("sampling_rate", 8),
    ],
)
def test_config_values_that_cannot_be_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=key):
        FeatureConfig(**{key: value})
