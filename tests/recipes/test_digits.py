"""The aligned systems of egs/digits end to end, on a tenth of the data and a voice held out."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from chainstitch.utils.corpora import digits
from chainstitch.utils.data.manifests import CUTS, read_cuts, to_bytes

pytestmark = pytest.mark.recipe

DIGITS = Path(__file__).resolve().parents[2] / "egs" / "digits"
PROTOCOL = "heldout-theo"
ONE_IN = 10


def run(script: str, work: Path, *arguments: str) -> str:
    """What a recipe says, with data/ and exp/ in `work`."""
    done = subprocess.run(
        ["bash", str(DIGITS / script), "--work", str(work), "--protocols", PROTOCOL, *arguments],
        capture_output=True, text=True, timeout=1500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_alignments_tree_i_vectors_and_a_tdnn_lstm_on_them(tmp_path: Path, data_dir: Path) -> None:
    corpus, data = data_dir / "free-spoken-digit-dataset", tmp_path / "data" / PROTOCOL
    digits.prepare(corpus, data, protocol=PROTOCOL)
    for directory in data.iterdir():  # of every speaker and digit some are left
        cuts = read_cuts(directory)
        (directory / CUTS).write_bytes(to_bytes(cuts[::ONE_IN]))
    flat = ("--stage", "2", "--stop-stage", "6", "--passes", "4")
    small = ("--override", "training.minibatch_size=32 training.frames_per_iteration=50000")
    run("run.sh", tmp_path, *flat, *small)
    net = "tdnn_lstm_1a_ivector"
    system = ("--nets", net, "--forms", "baseline", "--passes", "6", "--leaves", "40")
    said = run("run_aligned.sh", tmp_path, *system)
    for kind in ("isolated", "strings"):
        row = rf"^test_{kind} +{PROTOCOL} +{net}_baseline +(\S+)"
        assert float(re.findall(row, said, re.MULTILINE)[0]) < 50  # an untrained network is at 100
    exp = tmp_path / "exp" / f"{net}_baseline_{PROTOCOL}_s0"
    extractor = tmp_path / "exp" / f"ivector_{PROTOCOL}" / "ivector.pt"
    assert (exp / "ivector.pt").read_bytes() == extractor.read_bytes()
    wav = corpus / "recordings" / "7_theo_0.wav"
    command = ["chainstitch", "transcribe", str(exp), str(wav)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.split()[0] == str(wav)
