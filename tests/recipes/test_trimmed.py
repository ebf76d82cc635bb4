"""The times of joined digits by energy: silence around a recording's sound is cut off."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from chainstitch.utils.corpora import digits
from chainstitch.utils.data.manifests import read_cuts, read_recording, whole_cut, write_set
from chainstitch.utils.score.boundaries import ctm_words, segment_words

SCRIPT = Path(__file__).resolve().parents[2] / "egs" / "digits" / "local" / "trimmed.py"
RATE = 8000


def test_words_last_while_they_are_loud(tmp_path: Path) -> None:
    cuts = []
    for n, (before, after) in enumerate([(0, 0), (800, 400), (80, 1600)]):
        tone = 0.3 * np.sin(np.arange(2400) * 0.5)
        samples = np.concatenate([np.zeros(before), tone, 0.001 * np.ones(after)])
        soundfile.write(tmp_path / f"{n}.wav", samples, RATE, subtype="PCM_16")
        recording = read_recording(tmp_path / f"{n}.wav", str(n))
        cuts.append(whole_cut(recording, digits.WORDS[n], "theo"))
    write_set(tmp_path / "set", [digits.join(cuts, "string", random.Random(1))])
    command = [sys.executable, str(SCRIPT), str(tmp_path / "set"), "--out", str(tmp_path / "ctm")]
    assert subprocess.run(command).returncode == 0
    whole = segment_words(read_cuts(tmp_path / "set"))["string"]
    found = ctm_words(tmp_path / "ctm")["string"]
    assert [word for _, _, word in found] == [word for _, _, word in whole]
    ends = [(a[0] - b[0], b[1] - a[1]) for a, b in zip(found, whole, strict=True)]
    np.testing.assert_allclose(ends, [(0, 0), (0.1, 0.05), (0.01, 0.2)], atol=2e-4)
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 2 and "exists already" in again.stderr
