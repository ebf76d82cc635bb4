"""A room around clean speech: silence at the ends, background noise, 16 kHz, 16 bits.

Everything here is an FFT or a product of numpy arrays, so that a generator decides every sample.
"""

from __future__ import annotations

import numpy as np

SAMPLING_RATE = 16000
COLOURS = ("white", "pink", "brown", "hum", "babble")


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Band-limited resampling of (n,) to (ceil(n new_rate / rate),) by cutting the spectrum.

    The last 5 % below the lower Nyquist frequency are faded out. The signal is taken as periodic:
    it should begin and end in silence.
    """
    divisor = int(np.gcd(rate, new_rate))
    down, up = rate // divisor, new_rate // divisor
    blocks = -(-len(samples) // down)
    blocks += -blocks % 16  # keeps the FFT's length from being a large prime times `down`
    spectrum = np.fft.rfft(samples, blocks * down)[: blocks * min(up, down) // 2 + 1]
    position = np.linspace(0.0, 1.0, len(spectrum))  # as a fraction of the lower Nyquist frequency
    fade = np.clip((1.0 - position) / 0.05, 0.0, 1.0)
    spectrum = spectrum * np.sin(0.5 * np.pi * fade) ** 2 * (up / down)
    return np.fft.irfft(spectrum, blocks * up)[: -(-len(samples) * up // down)]


def noise(colour: str, length: int, rng: np.random.Generator) -> np.ndarray:
    """Noise (length,) of power 1 over its length.

    white, pink and brown fall by 0, 3 and 6 dB an octave above 50 Hz; hum is the mains with its
    harmonics over some white noise; babble is eight noises with roughly the long-term spectrum of
    speech, each swelling about four times a second as syllables do.
    """
    if colour == "hum":
        signal = _hum(length, rng) + 0.2 * rng.standard_normal(length)
    elif colour == "babble":
        syllables = [_envelope(length, rng) * _coloured(length, 12.0, 500.0, rng) for _ in range(8)]
        signal = np.sum(syllables, axis=0)
    else:
        fall = {"white": 0.0, "pink": 3.0, "brown": 6.0}[colour]
        signal = _coloured(length, fall, 50.0, rng)
    return signal / np.sqrt(np.mean(signal**2))


def _coloured(length: int, fall: float, corner: float, rng: np.random.Generator) -> np.ndarray:
    """Noise that is flat below `corner` Hz and falls by `fall` dB an octave above."""
    padded = 1 << (length - 1).bit_length()
    frequency = np.fft.rfftfreq(padded, 1 / SAMPLING_RATE)
    gain = np.maximum(frequency / corner, 1.0) ** (-fall / 6.0)
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(padded)) * gain, padded)[:length]


def _hum(length: int, rng: np.random.Generator) -> np.ndarray:
    mains = rng.choice([50.0, 60.0]) * rng.uniform(0.995, 1.005)
    harmonic = np.arange(1, 21)  # (20,), up to 1 or 1.2 kHz
    phase = rng.uniform(0.0, 2 * np.pi, len(harmonic))
    angle = 2 * np.pi * mains * np.outer(harmonic, np.arange(length)) / SAMPLING_RATE
    return np.sum(np.sin(angle + phase[:, None]) / np.sqrt(harmonic)[:, None], axis=0)


def _envelope(length: int, rng: np.random.Generator) -> np.ndarray:
    rate = rng.uniform(3.0, 5.0)
    phase = rng.uniform(0.0, 2 * np.pi)
    return 0.55 + 0.45 * np.sin(2 * np.pi * rate * np.arange(length) / SAMPLING_RATE + phase)


def pauses(rate: int, rng: np.random.Generator) -> tuple[int, int]:
    """Samples of noise alone before and after the speech: 0.1 to 0.4 s each."""
    before, after = (int(rate * rng.uniform(0.1, 0.4)) for _ in range(2))
    return before, after


def place(
    speech: np.ndarray,
    rate: int,
    around: tuple[int, int],
    snr: float,
    colour: str,
    rng: np.random.Generator,
) -> np.ndarray:
    """Speech (n,) at `rate` Hz, as a recording at 16 kHz, int16.

    The speech lies 30 to 20 dB below full scale,
    or lower where the loudest sample would reach 0.9.

    Args:
        around: samples of noise alone before and after, at `rate`.
        snr: power of the speech over that of the noise, both as means over their own length, in dB.
    """
    level = 10.0 ** (rng.uniform(-30.0, -20.0) / 20.0)
    speech = speech / np.sqrt(np.mean(speech**2))
    signal = resample(np.pad(speech, around), rate, SAMPLING_RATE)
    signal = signal + noise(colour, len(signal), rng) * 10.0 ** (-snr / 20.0)
    level = min(level, 0.9 / np.abs(signal).max())
    return np.rint(signal * level * 32767.0).astype(np.int16)
