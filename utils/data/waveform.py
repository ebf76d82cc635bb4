"""Features of one audio file, for what is not in any manifest."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from lhotse.augmentation.resample import Resample

from chainstitch.utils.data.audio_check import check_samples
from chainstitch.utils.data.features import FeatureConfig, extract
from chainstitch.utils.data.manifests import read_recording
from chainstitch.utils.data.means import Features
from chainstitch.utils.data.samples import load_samples
from chainstitch.utils.errors import UserError

# Of the filter that resamples, whose size is the product of both rates without common factors:
# 44.1 to 8 kHz has 35,280. Rates that have few in common (15999 to 16000) would take gigabytes.
MOST_TAPS = 5_000_000


def read_features(path: Path, config: FeatureConfig) -> Features:
    """Raw features of a whole file, resampled to the config's rate if need be.

    Args:
        path: audio of one channel, at any sampling rate.

    Returns:
        float32 (frames, num_ceps), no mean subtracted.

    Raises:
        UserError: missing, unreadable, too short, of a rate that cannot be resampled, or with
            samples that are not finite; names the file. (One that was cut short has a warning.)
    """
    recording = read_recording(path, path.stem)
    problem = check_samples(path)
    if problem:
        raise UserError(problem[1])
    try:
        samples = load_samples(recording)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if recording.sampling_rate != config.sampling_rate:
        common = math.gcd(recording.sampling_rate, config.sampling_rate) ** 2
        if recording.sampling_rate * config.sampling_rate // common > MOST_TAPS:
            raise UserError(
                f"{path}: is at {recording.sampling_rate} Hz, which shares no factor with the "
                f"model's {config.sampling_rate} Hz; resample it with another program"
            )
        # recording.resample would want torchaudio or scipy
        resample = Resample(int(recording.sampling_rate), config.sampling_rate)
        samples = resample(torch.from_numpy(samples)).numpy()
    try:
        return extract(samples, config)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
