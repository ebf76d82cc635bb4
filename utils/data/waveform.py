"""Features of one audio file, for what is not in any manifest."""

from __future__ import annotations

from pathlib import Path

import torch
from lhotse.augmentation.resample import Resample

from chainstitch.utils.data.features import FeatureConfig, extract
from chainstitch.utils.data.manifests import read_recording
from chainstitch.utils.data.means import Features
from chainstitch.utils.errors import UserError


def read_features(path: Path, config: FeatureConfig) -> Features:
    """Raw features of a whole file, resampled to the config's rate if need be.

    Args:
        path: audio of one channel, at any sampling rate.

    Returns:
        float32 (frames, num_ceps), no mean subtracted.

    Raises:
        UserError: missing, unreadable or too short; names the file.
    """
    recording = read_recording(path, path.stem)
    samples = recording.load_audio()[0]
    if recording.sampling_rate != config.sampling_rate:
        # recording.resample would want torchaudio or scipy
        resample = Resample(int(recording.sampling_rate), config.sampling_rate)
        samples = resample(torch.from_numpy(samples)).numpy()
    try:
        return extract(samples, config)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
