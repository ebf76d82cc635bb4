"""The recipes end to end: mini at reduced size, again from the middle; yesno on real speech."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.recipe

ROOT = Path(__file__).resolve().parents[2]


def run(recipe: str, *arguments: str, script: str = "run.sh") -> str:
    done = subprocess.run(
        ["bash", str(ROOT / "egs" / recipe / script), *arguments],
        capture_output=True, text=True, timeout=1500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def wer(text: str) -> float:
    return float(re.findall(r"^%WER (\S+)", text, re.MULTILINE)[-1])


def test_mini_at_reduced_size_and_again_from_the_middle(tmp_path):
    pytest.importorskip("espeakng_loader")
    size = ("--work", str(tmp_path), "--minutes", "6", "--passes", "6")
    first = run("mini", *size)
    exp = tmp_path / "exp" / "tdnn_1a_s0"
    assert wer(first) < 40  # an untrained network is at 100
    rows = [json.loads(line) for line in (exp / "train.jsonl").read_text().splitlines()]
    assert rows[-1]["valid_objf"] > rows[0]["valid_objf"]
    assert all(row["valid_objf"] <= 0 for row in rows)
    assert (exp.parent / "objective.png").stat().st_size > 10_000
    again = run("mini", *size, "--stage", "7", "--overwrite", "true")
    assert wer(again) == wer(first)
    times = run("mini", *size, "--stage", "10", "--stop-stage", "10")
    medians = re.findall(r"^all +\d+ +(\S+)", times, re.MULTILINE)
    assert len(medians) == 2 and max(map(float, medians)) < 45  # ms; 13 at full size
    one = ("--units", "tree", "--leaves", "40", "--rates", "1e-3 2e-3", "--passes", "1")
    few = ("--tune-seeds", "100", "--seeds", "0")
    aligned = run("mini", "--work", str(tmp_path), *one, *few, script="run_aligned.sh")
    assert re.search(r"^rate of lfmmi_tree.rate:[12]e-3$", aligned, re.MULTILINE)
    rows = re.findall(r"^test +(lfmmi|ce)_tree +(\S+)", aligned, re.MULTILINE)
    assert [name for name, _ in rows] == ["lfmmi", "ce"] and all(float(w) < 90 for _, w in rows)


def test_yesno_trains_and_scores_on_the_real_corpus(tmp_path, data_dir):
    where = ("--work", str(tmp_path), "--corpus", str(data_dir / "waves_yesno"))
    changed = ("--override", "chain.out_of_range=0.01 optim.final_lr=1.1e-4")
    out = run("yesno", *where, "--seeds", "0", *changed)
    config = (tmp_path / "exp" / "tdnn_1a_s0" / "config.toml").read_text()
    assert "out_of_range = 0.01\n" in config and "final_lr = 0.00011\n" in config
    assert re.search(r"^test +tdnn_1a +\d", out, re.MULTILINE)
    scored = (tmp_path / "exp" / "tdnn_1a_s0" / "decode_test" / "best_wer").read_text()
    assert "/ 232," in scored
    assert wer(scored) <= 6.0  # the mean over seeds is in RESULTS.md; one seed may be worse
    only_train = ("--passes", "2", "--stage", "5", "--stop-stage", "5")
    run("yesno", *where, "--seeds", "1", "--without", "backstitch", *only_train)
    for name, ever in (("tdnn_1a", True), ("tdnn_1a_without_backstitch", False)):
        lines = (tmp_path / "exp" / f"{name}_s1" / "train.jsonl").read_text().splitlines()
        assert any(json.loads(line)["alpha"] > 0 for line in lines) == ever


def test_a_second_run_refuses_to_overwrite_and_says_how_to_go_on(tmp_path, data_dir):
    arguments = ("--work", str(tmp_path), "--corpus", str(data_dir / "waves_yesno"))
    run("yesno", *arguments, "--stop-stage", "1")
    done = subprocess.run(
        ["bash", str(ROOT / "egs" / "yesno" / "run.sh"), *arguments, "--stop-stage", "1"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--overwrite" in done.stderr
    assert "--stage 1" in done.stderr
