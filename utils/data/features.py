"""High-resolution MFCC: the config, one waveform, and reading a feature directory.

40 cepstra of 40 mel bins keep all of the filter bank's information, decorrelated, as Kaldi's
`mfcc_hires.conf`; 25 ms windows every 10 ms, padded at the edges (Kaldi's `--snip-edges=false`),
so frames = round(samples / (0.01 rate)). lhotse computes them from samples in [-1, 1]; its floor
under a mel energy, 1.2e-7, lies 0.7 (at 8 kHz) to 1.4 nats (at 16 kHz) below noise of one bit in
16, which is Kaldi's dither of 1.0, so it does dither's work without randomness: digital silence
gives finite, constant features not far below those of a quiet recording.

A feature directory, written by `extraction.extract_set`: `cuts.jsonl.gz`, `feats/feats.h5` (raw
features, lossless), `features.toml` (the FeatureConfig), `means.npz`, and `index.bin`, which has
cuts and means in a form that is opened at once (feature_index.py). The mean is subtracted when a
cut is read, so another kind of mean needs no new extraction.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lhotse.cut import Cut
from lhotse.features.kaldi.extractors import Mfcc, MfccConfig

from chainstitch.utils import config as configs
from chainstitch.utils.bounds import check_fields
from chainstitch.utils.data import means
from chainstitch.utils.data.feature_index import MEANS as MEANS
from chainstitch.utils.data.feature_index import open_index
from chainstitch.utils.data.manifests import read_cuts
from chainstitch.utils.data.means import Array, Features
from chainstitch.utils.errors import UsageError, UserError

FRAME_SHIFT = 0.01  # seconds
FRAME_LENGTH = 0.025
CONFIG, STORE = "features.toml", "feats/feats.h5"


@dataclasses.dataclass
class FeatureConfig:
    """What `conf/features.toml` may say.

    Attributes:
        low_freq, high_freq: Hz, of the mel bins; high_freq <= 0 counts from half the sampling rate.
        mean: what is subtracted: speaker, utterance, causal or none (see utils/data/means.py).
        causal_prior_frames: P of the causal mean.
        speed: tempo-and-pitch factors of the training copies (only with --augment).
        volume: range of the factor drawn uniformly for each copy (only with --augment).
        volume_by: what has a factor of its own: utterance, or recording, as in Kaldi.
    """

    sampling_rate: int = dataclasses.field(default=16000, metadata={"bounds": "[1000, 1000000]"})
    num_mel_bins: int = dataclasses.field(default=40, metadata={"bounds": "[1, 1000]"})
    num_ceps: int = dataclasses.field(default=40, metadata={"bounds": "[1, 1000]"})
    low_freq: float = dataclasses.field(default=20.0, metadata={"bounds": "any"})
    high_freq: float = dataclasses.field(default=-400.0, metadata={"bounds": "any"})
    mean: str = "speaker"
    causal_prior_frames: float = dataclasses.field(default=100.0, metadata={"bounds": "(0, inf)"})
    speed: list[float] = dataclasses.field(
        default_factory=lambda: [0.9, 1.0, 1.1], metadata={"bounds": "[0.1, 10]"}
    )
    volume: list[float] = dataclasses.field(
        default_factory=lambda: [0.125, 2.0], metadata={"bounds": "(0, 1000]"}
    )
    volume_by: str = "utterance"

    def __post_init__(self) -> None:
        check_fields(self)
        check_mean(self.mean)
        if not 1 <= self.num_ceps <= self.num_mel_bins:
            raise ValueError(f"num_ceps = {self.num_ceps}: wanted 1 to num_mel_bins")
        top = self.high_freq if self.high_freq > 0 else self.sampling_rate / 2 + self.high_freq
        if not 0 <= self.low_freq < top <= self.sampling_rate / 2:
            raise ValueError(
                f"low_freq = {self.low_freq}, high_freq = {self.high_freq}: "
                f"wanted 0 <= low < high <= {self.sampling_rate / 2} Hz"
            )
        if not self.speed or len(set(self.speed)) < len(self.speed):
            raise ValueError(f"speed = {self.speed}: wanted factors, all different")
        if len(self.volume) != 2 or not self.volume[0] <= self.volume[1]:
            raise ValueError(f"volume = {self.volume}: wanted [lowest, highest], above 0")
        if self.volume_by not in ("utterance", "recording"):
            raise ValueError(f"volume_by = {self.volume_by!r}: wanted utterance or recording")


OF_TRAINING = ("speed", "volume", "volume_by")  # keys that matter to copies only
SAME = ("sampling_rate", "num_mel_bins", "num_ceps", "low_freq", "high_freq")


def check_same_features(
    wanted: FeatureConfig, source: Path | str, reader: FeatureReader, remedy: str
) -> None:
    """That features were made with settings like `wanted`, those of `source`, but for the mean.

    Raises:
        UsageError: they were not; names the first difference.
    """
    for key in SAME:
        ours, theirs = getattr(wanted, key), getattr(reader.config, key)
        if ours != theirs:
            raise UsageError(
                f"{reader.directory} has {key} = {theirs}, {source} was trained with {ours}; "
                f"{remedy}"
            )


def check_mean(mean: str) -> None:
    """Raises ValueError when `mean` is not a known kind."""
    if mean not in means.KINDS:
        raise ValueError(f"mean = {mean!r}: wanted one of {', '.join(means.KINDS)}")


def extract(samples: np.ndarray[Any, Any], config: FeatureConfig) -> Features:
    """Raw MFCC of one waveform.

    Args:
        samples: (n,) in [-1, 1], at `config.sampling_rate`.

    Returns:
        float32 (round(n / (0.01 rate)), num_ceps), no mean subtracted.

    Raises:
        UserError: fewer samples than one 25 ms frame, or samples that are not finite.
    """
    if samples.ndim != 1 or len(samples) < FRAME_LENGTH * config.sampling_rate:
        raise UserError(f"a waveform of shape {samples.shape} is shorter than one frame of 25 ms")
    if not np.isfinite(samples).all():
        raise UserError(f"{np.sum(~np.isfinite(samples))} samples are not finite numbers")
    extractor = _mfcc(
        config.sampling_rate,
        config.num_mel_bins,
        config.num_ceps,
        config.low_freq,
        config.high_freq,
    )
    with torch.no_grad():
        features = extractor.extract(
            np.ascontiguousarray(samples, dtype=np.float32), config.sampling_rate
        )
    return np.asarray(features, dtype=np.float32)


def silence_row(config: FeatureConfig) -> Features:
    """(num_ceps,) the features of a frame of digital silence."""
    zeros = np.zeros(config.sampling_rate // 10, dtype=np.float32)
    return np.asarray(extract(zeros, config)[4], dtype=np.float32)


def subtract_mean(
    utterances: Sequence[Features], config: FeatureConfig, prior: Array | None = None
) -> list[Features]:
    """The utterances of ONE speaker, in their order, with `config.mean` subtracted.

    For features that are in no feature directory, as in `transcribe`; the same numbers as
    FeatureReader gives for a set of these utterances.

    Args:
        utterances: each raw, (frames, num_ceps).
        prior: (num_ceps,) the training set's `FeatureReader.global_mean`, for the causal mean.
    """
    silence = silence_row(config)
    return means.normalise(utterances, config.mean, silence, prior, config.causal_prior_frames)


class FeatureReader:
    """The utterances of a feature directory, and their features with the mean subtracted.

    An utterance is named by its number in file order, or by its cut.

    Attributes:
        config: the FeatureConfig they were extracted with (`mean` replaced when given).
        index: of the utterances, see feature_index.py.
        global_mean: float64 (dim,) over all frames of the directory but digital silence.
        prior: float64 (dim,) what the causal mean starts from: the global mean of the directory
            given as --prior to `chainstitch features`, or of this one.
    """

    def __init__(self, directory: Path | str, mean: str | None = None) -> None:
        """Opens the index; reads no features yet.

        Raises:
            UsageError: not a feature directory, or an unknown mean.
            UserError: a part of it is damaged.
        """
        self.directory = Path(directory)
        if not (self.directory / CONFIG).is_file():
            raise UsageError(
                f"{directory} has no {CONFIG}; give a directory that `chainstitch features` wrote"
            )
        self.config = configs.load(self.directory / CONFIG, FeatureConfig)
        if mean is not None:
            try:
                check_mean(mean)
            except ValueError as error:
                raise UsageError(str(error)) from None
            self.config = dataclasses.replace(self.config, mean=mean)
        self.index = open_index(self.directory)
        found = self.index.global_mean.shape, self.index.prior.shape
        if found != ((self.config.num_ceps,),) * 2:
            raise UserError(
                f"{self.directory / MEANS} has means of {found[0]} and {found[1]} numbers, "
                f"{self.directory / CONFIG} says num_ceps = {self.config.num_ceps}; run "
                "`chainstitch features` again"
            )
        self.prior: Array = np.array(self.index.prior)  # copies, as who takes them may write
        self.global_mean: Array = np.array(self.index.global_mean)
        self._silence = silence_row(self.config)
        self._store: tuple[int, Any] = (-1, None)

    @functools.cached_property
    def cuts(self) -> list[Cut]:
        """The cuts themselves, in file order; a million of them take minutes and gigabytes."""
        return read_cuts(self.directory)

    def __len__(self) -> int:
        return len(self.index)

    def load(self, cut: Cut | int) -> Features:
        """float32 (frames, dim) of an utterance, mean subtracted; from any thread.

        Raises:
            UserError: the features are missing, truncated or not finite; names cut and file.
        """
        number, features = self._number(cut), self.load_raw(cut)
        kind = self.config.mean
        if kind == "utterance":
            return means.subtract(features, *self.index.sums(number))
        if kind == "speaker":
            return means.subtract(features, *self.index.speaker_sums(number))
        if kind == "causal":
            total, count = self.index.history(number)
            frames = self.config.causal_prior_frames
            return means.subtract_causal(features, self._silence, self.prior, frames, total, count)
        return features

    def load_raw(self, cut: Cut | int) -> Features:
        """float32 (frames, dim) as stored."""
        number = self._number(cut)
        path, name = self.directory / STORE, self.index.ids[number]
        again = f"run `chainstitch features ... --out {self.directory} --overwrite`"
        try:
            features = np.asarray(self._open(path)[self.index.keys[number]], dtype=np.float32)
        except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
            raise UserError(f"{path}: cannot read cut {name} ({error}); {again}") from None
        wanted = (int(self.index.frames[number]), self.config.num_ceps)
        if features.shape != wanted:
            raise UserError(f"{path}: cut {name} is {features.shape}, wanted {wanted}; {again}")
        bad = int(np.sum(~np.isfinite(features)))
        if bad:
            raise UserError(f"{path}: {bad} numbers of cut {name} are not finite; {again}")
        return features

    def _number(self, cut: Cut | int) -> int:
        if isinstance(cut, int | np.integer):
            return int(cut)
        try:
            return self.index.number(cut.id)
        except KeyError:
            raise UserError(f"{self.directory} has no utterance {cut.id}") from None

    def _open(self, path: Path) -> Any:
        # An HDF5 handle must not be shared across a fork. Threads share it, and h5py has one read
        # at a time; should two of them open the file at once, one handle is used once and dropped.
        owner, store = self._store
        if owner != os.getpid():
            import h5py

            store = h5py.File(path, "r")
            self._store = (os.getpid(), store)
        return store

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "cuts"} | {"_store": (-1, None)}


@functools.lru_cache(maxsize=4)
def _mfcc(rate: int, bins: int, ceps: int, low: float, high: float) -> Mfcc:
    settings = {"num_filters": bins, "num_ceps": ceps, "low_freq": low, "high_freq": high}
    return Mfcc(MfccConfig(sampling_rate=rate, frame_shift=FRAME_SHIFT, **settings))
