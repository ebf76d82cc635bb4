"""egs/mini through Slurm, by the one file that a user edits for that: cmd.sh."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.slurm.test_slurm import REAL

pytestmark = [
    pytest.mark.recipe,
    pytest.mark.skipif("slurm" not in REAL, reason="no Slurm; see tests/slurm/run.sh"),
]


def test_mini_runs_with_cmd_sh_set_to_slurm(tmp_path: Path, repository: Path) -> None:
    pytest.importorskip("espeakng_loader")
    recipe = tmp_path / "egs" / "mini"
    made = shutil.ignore_patterns("data", "exp", "corpus", "q")
    shutil.copytree(repository / "egs" / "mini", recipe, ignore=made)
    (tmp_path / "utils").symlink_to(repository / "utils")
    cmd = (recipe / "cmd.sh").read_text()
    (recipe / "cmd.sh").write_text(cmd.replace("--backend local", "--backend slurm"))
    (recipe / "conf" / "queue.toml").write_text("poll = 1.0\n")
    done = subprocess.run(
        ["bash", str(recipe / "run.sh"), "--minutes", "1.5", "--passes", "1", "--device", "cpu"],
        capture_output=True, text=True, timeout=900,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CHAINSTITCH_OWN_VENV": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(r"^%WER \d", done.stdout, re.MULTILINE)
    for log in (
        *("data/log/features_train_hires.1.log", "data/log/features_test_hires.2.log"),
        *("exp/log/tdnn_1a_s0.train.log", "exp/tdnn_1a_s0/log/decode_test.2.log"),
    ):
        assert "# Ended (code 0)" in (recipe / log).read_text()
    shown = subprocess.run(
        ["chainstitch", "run", "--status", "."], cwd=recipe, capture_output=True, text=True
    )
    rows = [line.split() for line in shown.stdout.splitlines()[1:]]
    assert len(rows) == 7 and {row[1] for row in rows} == {"slurm"}
    assert sum(int(row[-3]) for row in rows) == 5 * 2 + 2  # arrays of two, training, combination
    listed = subprocess.run(
        ["squeue", "--noheader", "--states=all", "--format=%j"], capture_output=True, text=True
    )
    assert "cs_decode_dev_JOB" in listed.stdout.split()
