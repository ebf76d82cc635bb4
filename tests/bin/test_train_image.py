"""Images from training to the table of results, at miniature size, through the commands."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from chainstitch.bin.main import app
from chainstitch.utils import checkpoint
from chainstitch.utils.data.images import ImageSet, write_images
from tests import images
from tests.toy import same_tensors

CONFIG = """
task = "images"
[network]
filters = [4, 4, 8]
bottleneck = 4
[optim]
initial_lr = 2e-2
final_lr = 5e-3
proportional_shrink = 1.0
[optim.backstitch]
scale = 0.5
interval = 1
slow_start = 2
slow_start_share = 1.0
[training]
passes = 4
minibatch_size = 16
images_per_iteration = 32
train_measured = 32
"""


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        app([str(argument) for argument in arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config, and images of three colours to tell apart, with some noise."""
    place = tmp_path_factory.mktemp("images")
    write_images(images.images(64), place / "train")
    write_images(images.images(24, 1), place / "test")
    (place / "conf.toml").write_text(CONFIG)
    return place


def train(place: Path, out: Path, *more: str) -> int:
    return call(
        "train", place / "conf.toml", "--data", place / "train", "--valid", place / "test",
        "--out", out, "--device", "cpu", *more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    exp = place / "exp" / "net_s0"
    assert train(place, exp) == 0
    return exp


def rows(exp: Path) -> list[dict]:
    return [json.loads(line) for line in (exp / "train.jsonl").read_text().splitlines()]


def test_training_learns_and_its_rows_are_of_images(trained: Path) -> None:
    found = rows(trained)
    assert [row["unit"] for row in found] == ["image"] * 8
    assert [row["alpha"] for row in found][:3] == [0, 0.25, 0.5]
    assert found[0]["shrink"] == pytest.approx(1 - 2e-2)
    assert all(row["images"] == 32 and row["nonfinite"] == 0 for row in found)
    assert found[-1]["train_objf"] > found[0]["train_objf"] + 0.05
    assert 0 <= found[-1]["accuracy"] <= 1


def test_a_run_that_lost_its_last_checkpoints_goes_on_to_the_same_bits(
    place: Path, trained: Path, tmp_path: Path
) -> None:
    exp = tmp_path / "again"
    assert train(place, exp) == 0
    for number in (6, 7, 8):
        (exp / f"{number}.pt").unlink()
    assert train(place, exp, "--resume", "auto") == 0
    ours, theirs = (checkpoint.load(e / "8.pt")["model"] for e in (exp, trained))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    without = ("seconds",)
    for a, b in zip(rows(exp), rows(trained), strict=True):
        assert {k: v for k, v in a.items() if k not in without} == {
            k: v for k, v in b.items() if k not in without
        }


def test_resuming_with_other_settings_or_over_another_run_is_refused(
    place: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(place, trained, "--resume", "auto", "--set", "network.width=2.0") == 2
    assert "width" in capsys.readouterr().err
    assert train(place, trained) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_parallel_jobs_are_averaged_and_go_on_after_a_stop(place: Path, tmp_path: Path) -> None:
    more = (
        *("--set", "training.passes=3", "--set", "training.jobs_initial=1"),
        *("--set", "training.jobs_final=2", "--set", "training.accumulate=2"),
        *("--num-threads", "1", "--jobs-cmd", f"{sys.executable} -m chainstitch.bin.main run"),
    )
    whole, again = tmp_path / "whole", tmp_path / "again"
    assert train(place, whole, *more) == 0
    found = rows(whole)
    assert [row["jobs"] for row in found] == [1, 1, 2, 2]
    assert found[2]["lr"] > found[1]["lr"] and [row["images"] for row in found] == [32, 32, 64, 64]
    last = f"{len(found)}.pt"
    shutil.copytree(whole, again)
    (again / last).unlink()
    assert train(place, again, *more, "--resume", "auto") == 0
    assert same_tensors(*(checkpoint.load(exp / last)["model"] for exp in (again, whole)))
    assert call("combine", again, "--device", "cpu") == 0


def test_combine_classify_score_plot_compare(
    trained: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--method", "bfgs", "--per-component", "--on", "train", "--device", "cpu")
    assert call("combine", trained, *options) == 0
    assert "objective per image" in capsys.readouterr().out
    final = checkpoint.load(trained / "final.pt")
    assert final["scores"][final["winner"]] == max(final["scores"].values())
    assert set(final["weights"]) == {
        name.rpartition(".")[0] for name in final["model"] if name.endswith("weight")
    }  # a set of weights for every layer
    decoded = trained / "decode_test"
    assert call("classify", trained, "--data", place / "test", "--out", decoded) == 0
    assert call("score", decoded) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.endswith("/ 24 ]") and float(line.split()[1]) < 40  # 67 by chance
    assert call("plot", decoded) == 0 and (decoded / "confusion.png").is_file()
    assert call("plot", trained) == 0 and (trained / "objective.png").is_file()
    markdown = place / "RESULTS.md"
    assert call("compare", trained, "--markdown", markdown) == 0
    table = markdown.read_text()
    assert "| error % |" in table and "| images |" in table and "WER" not in table
    assert call("info", trained) == 0
    assert "%ERR" in capsys.readouterr().out


def test_errors_name_what_is_wrong(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(place, tmp_path / "x", "--set", "network.widht=0.5") == 2
    assert "did you mean 'network.width'" in capsys.readouterr().err
    assert call("classify", tmp_path, "--data", place / "test", "--out", tmp_path / "d") == 1
    assert "`chainstitch train` wrote" in capsys.readouterr().err
    small = ImageSet(np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 1]), ["red", "green"])
    write_images(small, tmp_path / "small")
    code = call(
        "train", place / "conf.toml", "--data", tmp_path / "small",
        "--valid", tmp_path / "small", "--out", tmp_path / "y",
    )  # fmt: skip
    assert code == 1 and "wanted 32 x 32" in capsys.readouterr().err
    assert not (tmp_path / "y").exists()


SMALL = """
task = "images"
[network]
kind = "{kind}"
dropout = 0.1
{keys}
[optim]
initial_lr = 5e-3
final_lr = 1e-3
[optim.backstitch]
scale = 1.0
interval = 2
[training]
passes = 3
minibatch_size = 9
images_per_iteration = 37
max_shift = 1
flip = false
train_measured = 32
"""


def write_sets(place: Path, rows: int, columns: int) -> None:
    """Grey images of two classes, dark and light; 37 to train on, so that a last one is alone."""
    place.mkdir()
    generator = np.random.default_rng(0)
    for name, count in (("train", 37), ("test", 20)):
        labels = np.arange(count) % 2
        pixels = generator.integers(0, 150, (count, rows, columns, 1)) + 100 * labels.reshape(
            -1, 1, 1, 1
        )
        write_images(ImageSet(pixels.astype(np.uint8), labels, ["dark", "light"]), place / name)


@pytest.mark.parametrize(
    ("kind", "keys"), [("mlp", "hidden = [12]"), ("convnet", "filters = [4, 6]")]
)
def test_small_networks_are_trained_on_images_of_any_size_and_take_no_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, keys: str
) -> None:
    write_sets(tmp_path / "a", 10, 9)
    write_sets(tmp_path / "b", 9, 10)
    conf, exp = tmp_path / "conf.toml", tmp_path / "exp"
    conf.write_text(SMALL.format(kind=kind, keys=keys))

    def started(out: Path, valid: str, *more: object) -> int:
        sets = ("--data", tmp_path / "a" / "train", "--valid", tmp_path / valid / "test")
        return call("train", conf, *sets, "--out", out, "--device", "cpu", *more)

    assert started(tmp_path / "none", "b") == 1
    assert "b/test has images of 9 x 10 x 1, wanted 10 x 9 x 1" in capsys.readouterr().err
    resnet = ("--set", "network.kind=wide_resnet", "--set", "network.dropout=0.0")
    own = {"mlp": "network.hidden=[256, 256]", "convnet": "network.filters=[4, 4, 8]"}[kind]
    assert started(tmp_path / "none", "a", *resnet, "--set", own) == 1
    assert "a/train has images of 10 x 9 x 1, wanted 32 x 32 x 3" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    assert started(exp, "a") == 0
    last = rows(exp)[-1]
    assert last["accuracy"] > 0.9 and last["max_change"]["skipped"] == 0
    whole = checkpoint.load(exp / "3.pt")["model"]
    (exp / "3.pt").unlink()
    assert started(exp, "a", "--resume", "auto") == 0
    assert same_tensors(checkpoint.load(exp / "3.pt")["model"], whole)
    assert call("combine", exp, "--device", "cpu") == 0
    assert checkpoint.load(exp / "final.pt")["image_shape"] == [10, 9, 1]
    out = exp / "decode_test"
    assert call("classify", exp, "--data", tmp_path / "a" / "test", "--out", out) == 0
    capsys.readouterr()
    assert call("classify", exp, "--data", tmp_path / "b" / "test", "--out", exp / "d") == 1
    error = capsys.readouterr().err
    assert "b/test has images of 9 x 10 x 1, wanted 10 x 9 x 1" in error and error.count("\n") == 1


def test_a_final_model_that_does_not_say_its_images_is_of_cifars(
    trained: Path, place: Path, tmp_path: Path
) -> None:
    exp = tmp_path / "old"
    shutil.copytree(trained, exp)
    assert call("combine", exp, "--device", "cpu", "--overwrite") == 0
    final = checkpoint.load(exp / "final.pt")
    assert final.pop("image_shape") == [32, 32, 3]
    checkpoint.save(final, exp / "final.pt")
    assert call("classify", exp, "--data", place / "test", "--out", exp / "new") == 0
