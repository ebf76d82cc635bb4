"""What the miniature corpora have in common: clear speech, noise over it, lines, a command line."""

from __future__ import annotations

import argparse
import gzip
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "egs" / "mini" / "local")]

import numpy as np  # noqa: E402
from noise import COLOURS, SAMPLING_RATE, noise, resample  # noqa: E402
from speech import Synthesiser  # noqa: E402

from chainstitch.utils.errors import UserError  # noqa: E402

LOUDNESS = 0.25  # root mean square of speech, before noise is added
SNRS = (8.0, 22.0)  # dB


def clear(espeak: Synthesiser, text: str) -> np.ndarray:
    """What the voice says at SAMPLING_RATE, (samples,), with 60 ms of silence around it."""
    rate = espeak.sampling_rate
    samples = np.pad(espeak.say(text, timed=False), int(0.06 * rate))
    samples = resample(samples, rate, SAMPLING_RATE)
    return samples * LOUDNESS / np.sqrt(np.mean(samples**2))


def in_noise(
    signal: np.ndarray, rng: np.random.Generator, snrs: tuple[float, float] = SNRS
) -> np.ndarray:
    """The signal (samples,) in one kind of noise and at one volume, as int16."""
    colour, snr = COLOURS[rng.integers(len(COLOURS))], rng.uniform(*snrs)
    noisy = signal + LOUDNESS * 10.0 ** (-snr / 20.0) * noise(colour, len(signal), rng)
    noisy *= min(10.0 ** (rng.uniform(-8.0, 0.0) / 20.0), 0.9 / np.abs(noisy).max())
    return np.rint(noisy * 32767.0).astype(np.int16)


def write_lines(path: Path, lines: list[str], encoding: str = "utf-8") -> None:
    content = "".join(f"{line}\n" for line in lines).encode(encoding)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def main(
    name: str, doc: str | None, minutes: float, make: Callable[[Path, float, int, bool], list[str]]
) -> int:
    """The command line of such a script; `make` takes its options, and returns what to print."""
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="directory to make")
    parser.add_argument(
        "--minutes", type=float, default=minutes,
        help=f"minutes of train ({minutes:g}); dev and test in proportion",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="another seed, another corpus (1)")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in --out")
    options = parser.parse_args()
    if not options.minutes > 0 or options.seed < 0:
        parser.error("--minutes must be above 0, and --seed not below it")
    try:
        lines = make(options.out, options.minutes, options.seed, options.overwrite)
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    print("\n".join(f"{options.out}: {line}" for line in lines))
    return 0
