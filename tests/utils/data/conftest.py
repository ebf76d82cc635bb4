"""Small sets of noise and tones, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse.cut import Cut, MixedCut, MixTrack

from chainstitch.utils.data.manifests import read_recording, whole_cut, write_set

RATE = 8000


def noise(seed: int, samples: int) -> np.ndarray:
    """A noise whose level goes up and down, so that features vary."""
    generator = np.random.default_rng(seed)
    envelope = 1.1 + np.sin(np.arange(samples) / 700 + seed)
    return (0.1 * generator.standard_normal(samples) * envelope).clip(-1, 1)


@pytest.fixture
def small_set(tmp_path: Path) -> Callable[..., Path]:
    """Writes `tmp_path/<name>`: speakers a and b with three utterances each, and one joined cut."""

    def make(name: str = "train", seconds: float = 0.5, mixed: bool = True) -> Path:
        audio = tmp_path / "audio"
        audio.mkdir(exist_ok=True)
        cuts: list[Cut] = []
        for k, speaker in enumerate("ababab"):
            path = audio / f"{name}-{speaker}{k}.wav"
            soundfile.write(path, noise(k, int(RATE * seconds) + 37 * k), RATE, subtype="PCM_16")
            recording = read_recording(path, f"{speaker}{k}")
            cuts.append(whole_cut(recording, f"WORD{k} YES", speaker))
        if mixed:
            tracks = [MixTrack(cuts[0], offset=0.0), MixTrack(cuts[2], offset=seconds + 0.25)]
            cuts.append(MixedCut("a-string", tracks))
        write_set(tmp_path / name, cuts)
        return tmp_path / name

    return make
