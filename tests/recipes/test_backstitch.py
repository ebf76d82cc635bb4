"""egs/backstitch as a whole."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

from chainstitch.utils.data.images import ImageSet, write_images
from tests.recipes.backstitch_scripts import RECIPE, TINY


def run_recipe(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(RECIPE / "run.sh"), *arguments], capture_output=True, text=True, timeout=600
    )


def test_without_an_experiment_it_says_what_is_missing():
    done = run_recipe()
    assert done.returncode == 2
    assert "--experiment is missing" in done.stderr


@pytest.mark.recipe
def test_an_experiment_of_ones_own_goes_to_its_table_and_is_kept(tmp_path):
    rng = np.random.default_rng(0)
    for part in ("tune", "report"):
        for name, count in (("train", 64), ("valid", 40)):
            labels = rng.integers(3, size=count)
            pixels = rng.integers(80, size=(count, 8, 8, 1)) + 60 * labels[:, None, None, None]
            images = ImageSet(pixels.astype(np.uint8), labels.astype(np.int64), ["a", "b", "c"])
            write_images(images, tmp_path / "data" / "tiny" / part / name)
    (tmp_path / "data" / "tiny" / "ready").touch()
    (tmp_path / "conf" / "nets").mkdir(parents=True)
    (tmp_path / "conf" / "tiny.toml").write_text(TINY)
    net = (RECIPE / "conf" / "nets" / "mlp.toml").read_text().replace("[256, 256]", "[8]")
    (tmp_path / "conf" / "nets" / "tiny.toml").write_text(net)
    size = ("--experiment", "tiny", "--conf", str(tmp_path / "conf"), "--work", str(tmp_path))
    done = run_recipe(*size)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "2 tuning runs and 4 reported ones" in done.stdout
    assert "Verdict: `1.0/1` with 2 passes against `plain`" in done.stdout
    page = (tmp_path / "exp" / "RESULTS.md").read_text()
    assert "## tiny" in page and str(tmp_path) not in page.split("By `")[0]
    result = json.loads((tmp_path / "exp" / "results" / "tiny.json").read_text())
    assert [run["seed"] for run in result["runs"]] == [0, 0, 1, 1]
    assert all("/report/" in run["command"] for run in result["runs"])
    assert all(str(tmp_path / "data") not in run["command"] for run in result["runs"])
    again = run_recipe(*size)
    assert "2 trainings, 2 of them done; 0 to do" in again.stdout
    assert json.loads((tmp_path / "exp" / "results" / "tiny.json").read_text()) == result
    others = run_recipe(*size, "--seeds", "1 7")  # seed 1 is done
    assert "2 trainings, 2 of them done; 0 to do" in others.stdout
    assert "4 trainings, 2 of them done; 2 to do" in others.stdout
    page = (tmp_path / "exp" / "RESULTS.md").read_text()
    assert page.count("## tiny") == 1 and "**Again**, seeds 1, 7: `1.0/1` with 2 passes" in page
    refused = run_recipe(*size, "--seeds", "1 100")
    assert refused.returncode == 2
    assert "--seeds '1 100': seeds and tune_seeds share [100]" in refused.stderr
