"""The toy's recordings at the rates that recipes want."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile


def resample(source: Path, out: Path, rate: int) -> None:
    """Writes a recording at another rate, by straight lines between its samples."""
    samples, old = soundfile.read(source)
    times = np.arange(0, len(samples) - 1, old / rate)
    soundfile.write(out, np.interp(times, np.arange(len(samples)), samples), rate, subtype="PCM_16")
