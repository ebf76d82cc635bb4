"""What the miniature corpora are made of: sentences said at one level, and a room around them.

They import this after egs/mini/local has been put on the path.
"""

from __future__ import annotations

import numpy as np
from noise import COLOURS, SAMPLING_RATE, noise, resample
from speech import Synthesiser

LEVEL = 0.25  # RMS of speech
SNRS = (8.0, 22.0)  # dB


def say(espeak: Synthesiser, text: str) -> np.ndarray:
    """The samples (n,) of a sentence at 16 kHz, with a little silence at its ends."""
    rate = espeak.sampling_rate
    samples = np.pad(espeak.say(text, timed=False), int(0.06 * rate))
    samples = resample(samples, rate, SAMPLING_RATE)
    return samples * LEVEL / np.sqrt(np.mean(samples**2))


def recorded(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A signal (n,) in some noise and at some level, int16."""
    colour, snr = COLOURS[rng.integers(len(COLOURS))], rng.uniform(*SNRS)
    signal = signal + LEVEL * 10.0 ** (-snr / 20.0) * noise(colour, len(signal), rng)
    signal *= min(10.0 ** (rng.uniform(-8.0, 0.0) / 20.0), 0.9 / np.abs(signal).max())
    return np.rint(signal * 32767.0).astype(np.int16)
