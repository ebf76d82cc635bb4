#!/usr/bin/env python3
"""When the words of joined strings were said, by their energy: a CTM for `chainstitch score-ali`.

A data directory of strings says where each recording begins and ends (its cuts' segments), and
`score-ali` takes it as it is. But recordings are not cut to the word: most begin at once, some with
a tenth of a second of nothing. Here a word lasts from the first to the last 10 ms of its recording
whose power is no more than --below dB under the loudest 10 ms: also no truth, for it cuts weak
fricatives off, but wrong in the other way.

Example: trimmed.py data/official/test_strings --out data/official/test_strings_trimmed.ctm
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from chainstitch.utils.data.manifests import cut_text, cut_tracks, read_cuts
from chainstitch.utils.data.samples import load_samples
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.outputs import check_file

FRAME = 0.01  # seconds


def loud_part(samples: np.ndarray, rate: int, below: float) -> tuple[float, float]:
    """Begin and end, in seconds, of what is at most `below` dB under the loudest frame."""
    size = round(FRAME * rate)
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    power = np.mean(frames**2, axis=1)
    loud = np.flatnonzero(power >= power.max() * 10.0 ** (-below / 10.0))
    return float(loud[0]) * FRAME, float(loud[-1] + 1) * FRAME


def ctm_lines(data: Path, below: float) -> list[str]:
    """The words of all strings of a data directory."""
    lines = []
    for cut in read_cuts(data):
        offsets = [track.offset for track in getattr(cut, "tracks", [])] or [0.0]
        for offset, track in zip(offsets, cut_tracks(cut), strict=True):
            begin, end = loud_part(load_samples(track), track.sampling_rate, below)
            lines.append(f"{cut.id} 1 {offset + begin:.4f} {end - begin:.4f} {cut_text(track)}\n")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path, help="a data directory of strings")
    parser.add_argument("--out", type=Path, required=True, help="the CTM to write")
    parser.add_argument("--below", type=float, default=30.0, help="dB under the loudest 10 ms (30)")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in --out")
    options = parser.parse_args()
    try:
        check_file(options.out, None, options.overwrite, [options.data])
        lines = ctm_lines(options.data, options.below)
        with atomic_file(options.out) as stream:
            stream.writelines(lines)
    except UserError as error:
        print(f"trimmed.py: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
