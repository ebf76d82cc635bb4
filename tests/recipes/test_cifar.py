"""CIFAR end to end on the real images at reduced size: killed, resumed, scored; and its example."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chainstitch.utils.data.images import ImageSet, read_images, write_images
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
RUN = ["bash", str(ROOT / "egs" / "cifar" / "run.sh")]
# An eighth of the filters and 1536 images, so that it takes a minute; smaller minibatches and a
# higher learning rate, so that it learns something in that.
REDUCED = (
    "--conf", "conf/resnet_quarter.toml", "--passes", "2", "--max-train", "1536",
    "--max-test", "500", "--threads", "1", "--device", "cpu", "--override",
    "network.width=0.125 training.minibatch_size=32 training.images_per_iteration=768 "
    "training.train_measured=64 optim.initial_lr=1e-2 optim.final_lr=2e-3 "
    "optim.proportional_shrink=10",
)  # fmt: skip


def run(*arguments: str, code: int = 0) -> str:
    done = subprocess.run([*RUN, *arguments], capture_output=True, text=True, timeout=1200)
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    """The official files, both forms, made again from the tiles; the tool checks their md5."""
    out = tmp_path_factory.mktemp("official")
    tool = data_dir / "tools" / "unpack_cifar10.py"
    subprocess.run(
        [sys.executable, str(tool), str(data_dir / "cifar-10"), str(out), "--bin"], check=True
    )
    return out


@pytest.mark.recipe
def test_cifar10_is_killed_resumed_and_scored(official: Path, tmp_path: Path) -> None:
    arguments = ("--corpus", str(official), "--work", str(tmp_path), *REDUCED)
    exp = tmp_path / "exp" / "resnet_quarter_s0"
    training = subprocess.Popen(
        [*RUN, *arguments, "--stop-stage", "2"], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for((exp / "2.pt").is_file, 600, training)
    finally:  # the training itself: it is in a process group of its own
        lock = exp.with_name(f".{exp.name}.lock")
        if lock.is_file():
            os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
        assert training.wait(60) != 0
    out = run(*arguments, "--stage", "2", "--backstitch", "true")
    assert re.search(rf"resumed from {re.escape(str(exp))}/[23].pt", out)
    for name, alpha in (("resnet_quarter", 0.0), ("resnet_quarter_backstitch", 0.5)):
        place = tmp_path / "exp" / f"{name}_s0"
        rows = [json.loads(line) for line in (place / "train.jsonl").read_text().splitlines()]
        assert [row["iter"] for row in rows] == [0, 1, 2, 3]
        assert rows[-1]["alpha"] == alpha
        assert rows[-1]["train_objf"] > rows[0]["train_objf"]
        assert (place / "decode_test" / "confusion.png").stat().st_size > 10_000
        line = (place / "decode_test" / "best_err").read_text()
        assert line.endswith("/ 500 ]\n")
        assert 40 < float(line.split()[1]) < 85  # 90 by chance; 78 to 80 seen
        assert re.search(rf"^test +{name} +\d", out, re.MULTILINE)
    assert (tmp_path / "exp" / "objective.png").stat().st_size > 10_000


@pytest.mark.recipe
def test_damaged_official_files_are_refused_by_name(official: Path, tmp_path: Path) -> None:
    place = tmp_path / "cifar-10-batches-py"
    place.mkdir()
    for file in (official / place.name).iterdir():
        (place / file.name).symlink_to(file)
    victim = place / "data_batch_3"
    content = bytearray(victim.read_bytes())
    victim.unlink()
    content[20_000_000] ^= 1  # one bit of one pixel
    victim.write_bytes(content)
    arguments = ("--corpus", str(tmp_path), "--work", str(tmp_path), "--stop-stage", "1")
    said = run(*arguments, code=1)
    assert f"{victim} is not the official file" in said
    assert "54ebc095f3ab1f0389bbae665268c751" in said
    victim.write_bytes(content[:1_000_000])
    assert f"{victim} is damaged" in run(*arguments, "--unofficial", "true", code=1)
    assert not (tmp_path / "data" / "cifar10").exists()


@pytest.mark.recipe
def test_both_official_forms_hold_the_same_images(official: Path, tmp_path: Path) -> None:
    found = []
    for form in ("cifar-10-batches-py", "cifar-10-batches-bin"):
        corpus = str(official / form)
        run("--corpus", corpus, "--work", str(tmp_path / form), "--stop-stage", "1")
        data = tmp_path / form / "data" / "cifar10"
        found.append([read_images(data / name) for name in ("train", "test")])
    for ours, theirs in zip(*found, strict=True):
        assert np.array_equal(ours.pixels, theirs.pixels)
        assert np.array_equal(ours.labels, theirs.labels)
    train = found[0][0]
    assert train.classes[train.labels[0]] == "frog"  # as everybody's first picture is
    means = train.pixels.reshape(-1, 3).mean(0) / 255
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)  # the published ones


@pytest.mark.recipe
def test_cifar100_goes_through_the_same_stages(tmp_path: Path, data_dir: Path) -> None:
    corpus = binary_cifar100(data_dir / "cifar-100-subset", tmp_path / "corpus")
    out = run(
        "--corpus", str(corpus), "--dataset", "cifar100", "--work", str(tmp_path),
        "--conf", "conf/resnet_quarter.toml", "--passes", "1", "--threads", "1", "--device", "cpu",
        "--max-train", "512", "--max-test", "200", "--override",
        "network.width=0.0625 training.images_per_iteration=256 training.train_measured=64",
    )  # fmt: skip
    exp = tmp_path / "exp" / "resnet_quarter_cifar100_s0"
    assert len((exp / "classes.txt").read_text().split()) == 100
    assert (exp / "decode_test" / "best_err").read_text().endswith("/ 200 ]\n")
    assert re.search(r"^test +resnet_quarter_cifar100 +\d", out, re.MULTILINE)


def binary_cifar100(subset: Path, out: Path) -> Path:
    """The subset in the form of the official binary archive; it has no official md5."""
    import gzip

    from PIL import Image

    out.mkdir()
    for name in ("train", "test"):
        with gzip.open(subset / f"{name}.tsv.gz", "rt") as stream:
            labels = [[int(word) for word in line.split("\t")[:2]] for line in stream]
        tiles = [
            np.asarray(Image.open(f).convert("RGB")) for f in sorted((subset / name).iterdir())
        ]
        pixels = np.stack(tiles).reshape(-1, 10, 32, 10, 32, 3).transpose(0, 1, 3, 5, 2, 4)
        records = np.concatenate([np.array(labels), pixels.reshape(len(labels), 3072)], 1)
        records.astype(np.uint8).tofile(out / f"{name}.bin")
    names = (subset / "fine_label_names.txt").read_text()
    (out / "fine_label_names.txt").write_text(names)
    return out


def test_the_resnet18_example_runs_on_some_minibatches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(40) % 10
    pixels = generator.integers(0, 30, (40, 32, 32, 3)) + 22 * labels[:, None, None, None]
    classes = [str(n) for n in range(10)]
    write_images(ImageSet(pixels.astype(np.uint8), labels, classes), tmp_path / "train")
    path = ROOT / "egs" / "cifar" / "local" / "resnet18.py"
    spec = importlib.util.spec_from_file_location("resnet18", path)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    sizes = sum(p.numel() for p in example.resnet18().parameters())
    assert sizes == 11_173_962  # ResNet-18 for CIFAR, as it is widely counted
    arguments = ["--width", "4", "--batch", "32", "--steps", "20"]
    monkeypatch.setattr(sys, "argv", ["resnet18.py", str(tmp_path / "train"), *arguments])
    example.main()
    found = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
    assert len(found) == 2 and found[0] < found[1] < 0
