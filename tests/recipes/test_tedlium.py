"""egs/tedlium on the miniature corpus, from the archive's layout to a word error rate."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = ["bash", str(ROOT / "egs" / "tedlium" / "run.sh")]
SYSTEM = "tdnn_lstm_1v_backstitch_s0"


def run(*arguments: str) -> str:
    done = subprocess.run([*RUN, *arguments], capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.recipe
def test_killed_on_the_way_it_goes_on_to_a_word_error_rate(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    make = [sys.executable, str(ROOT / "tests" / "corpora" / "tedlium.py")]
    subprocess.run(
        [*make, "--out", str(tmp_path / "corpus")], check=True, stdout=subprocess.DEVNULL
    )
    work = tmp_path / "made"
    arguments = (
        "--corpus", str(tmp_path / "corpus" / "TEDLIUM_release2"), "--conf", "conf/mini",
        "--work", str(work), "--nj", "2", "--device", "cpu", "--nets", "tdnn_lstm_1v", "--forms",
        "backstitch",
    )  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        first = subprocess.Popen([*RUN, *arguments], stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 600
        while not (work / "exp" / "flat_s0" / "3.pt").exists() and first.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    made = work / "data" / "train_180s_hires" / "feats" / "feats.h5"
    before = made.stat().st_mtime_ns
    said = run(*arguments)
    assert made.stat().st_mtime_ns == before  # what was whole is kept
    assert f"{work}/data/train_180s_hires is there" in said
    exp = work / "exp" / SYSTEM
    for kind in ("", "_whole", "_big"):
        assert float((exp / f"decode_test{kind}" / "best_wer").read_text().split()[1]) < 25
        if shutil.which("sctk"):
            summary = (exp / f"decode_test{kind}" / "nist" / "summary").read_text()
            assert float(re.findall(r"\d+\.\d+", summary)[0]) < 25
    assert "2 of 1401 words of the references are in no segment" in said


def test_a_dry_run_says_every_command_and_what_training_costs(
    tmp_path: Path, thorough: bool
) -> None:
    nets = [] if thorough else ["--nets", "tdnn_lstm_1v"]  # of four: each takes 4 s
    places = ("--corpus", str(tmp_path), "--work", str(tmp_path / "made"))
    said = run("--dry-run", "true", *places, *nets)
    iterations = re.findall(r"^== (\w+)_s0\n(?:.*\n){3}iterations: +(\d+)$", said, re.MULTILINE)
    assert dict(iterations)["tdnn_lstm_1v_baseline"] == "253"
    assert dict(iterations)["tdnn_lstm_1v_backstitch"] == "444"
    assert len(iterations) == (8 if thorough else 2)
    assert re.search(r"^parameters: +33922608$", said, re.MULTILINE)
    assert f"writes: {tmp_path}/made/exp/den.npz\n" in said
    assert said.count("chainstitch rescore") == (16 if thorough else 4)
    assert not (tmp_path / "made").exists()


def test_without_a_corpus_it_says_what_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [*RUN, "--work", str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "--corpus is missing" in done.stderr
