"""CIFAR's two forms read alike; what is damaged or foreign is refused by name, and does nothing."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainstitch.utils.corpora import cifar
from chainstitch.utils.data.images import read_images
from chainstitch.utils.errors import UsageError, UserError

PER_FILE = 4


def write(place: Path, dataset: str, binary: bool) -> np.ndarray:
    """A miniature of either form; returns all training pixels as they stand in the files."""
    generator = np.random.default_rng(0)
    form = cifar.FORMS[dataset][binary]
    place.mkdir()
    everything = []
    names = [f"class{n}" for n in range(100 if dataset == "cifar100" else 10)]
    for file in [*form.train, *form.test]:
        pixels = generator.integers(0, 256, (PER_FILE, 3072), np.uint8)
        labels = generator.integers(0, 10, PER_FILE)
        everything.append(pixels)
        if binary:
            coarse = np.zeros((PER_FILE, form.label_bytes - 1), np.uint8)
            np.concatenate([coarse, labels[:, None], pixels], 1).astype(np.uint8).tofile(
                place / file
            )
        else:
            content = {
                "data": pixels,
                form.label: labels.tolist(),
                "filenames": ["x.png"] * PER_FILE,
            }
            (place / file).write_bytes(pickle.dumps(content, 2))
    if binary:
        (place / form.names).write_text("".join(f"{name}\n" for name in names) + "\n")
    else:
        (place / form.names).write_bytes(pickle.dumps({form.key: names}, 2))
    return np.concatenate(everything[: len(form.train)])


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_both_forms_give_the_same_images(tmp_path: Path, dataset: str) -> None:
    found = []
    for binary in (False, True):
        source, out = tmp_path / f"source{binary}", tmp_path / f"data{binary}"
        raw = write(source, dataset, binary)
        counts = cifar.prepare(source, out, dataset, unofficial=True)
        assert counts == {"train": len(raw), "test": PER_FILE}
        train = read_images(out / "train")
        # 1024 red, 1024 green, 1024 blue, row by row
        assert train.pixels[3, 5, 7].tolist() == [raw[3, c * 1024 + 5 * 32 + 7] for c in range(3)]
        found.append((train, read_images(out / "test")))
    for ours, theirs in zip(*found, strict=True):
        assert np.array_equal(ours.pixels, theirs.pixels)
        assert np.array_equal(ours.labels, theirs.labels) and ours.classes == theirs.classes


def test_the_archives_directory_is_found_and_sets_may_be_cut_short(tmp_path: Path) -> None:
    write(tmp_path / "cifar-10-batches-py", "cifar10", False)
    counts = cifar.prepare(tmp_path, tmp_path / "data", "cifar10", 5, 2, unofficial=True)
    assert counts == {"train": 5, "test": 2}
    with pytest.raises(UsageError, match="--overwrite"):
        cifar.prepare(tmp_path, tmp_path / "data", "cifar10", unofficial=True)
    with pytest.raises(UsageError, match="cifar-100-python"):
        cifar.prepare(tmp_path, tmp_path / "other", "cifar100")


def test_another_md5_is_refused_with_both_named(tmp_path: Path) -> None:
    write(tmp_path / "source", "cifar10", False)
    with pytest.raises(UserError) as caught:
        cifar.prepare(tmp_path / "source", tmp_path / "data", "cifar10")
    message = str(caught.value)
    assert "data_batch_1" in message and "c99cafc152244af753f735de768cd75f" in message
    assert "--unofficial" in message and not (tmp_path / "data").exists()


def truncate(content: bytes) -> bytes:
    return content[:-100]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("damage", [truncate, lambda content: b""], ids=["truncated", "empty"])
def test_damaged_files_are_refused_by_name_even_if_unofficial_ones_are_allowed(
    tmp_path: Path, binary: bool, damage: Callable[[bytes], bytes]
) -> None:
    source = tmp_path / "source"
    write(source, "cifar10", binary)
    path = source / list(cifar.FORMS["cifar10"][binary].train)[2]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=rf"{path.name} is damaged .* unpack the archive again"):
        cifar.prepare(source, tmp_path / "data", "cifar10", unofficial=True)
    path.unlink()
    with pytest.raises(UserError, match=rf"{path.name} does not exist"):
        cifar.prepare(source, tmp_path / "data", "cifar10", unofficial=True)
    assert not (tmp_path / "data").exists()


class Harm:
    """What a pickle could do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_calls_anything_else_is_refused_and_calls_nothing(tmp_path: Path) -> None:
    source, harm = tmp_path / "source", tmp_path / "harm"
    write(source, "cifar10", False)
    (source / "data_batch_4").write_bytes(pickle.dumps({"data": Harm(harm)}, 2))
    with pytest.raises(UserError, match=r"data_batch_4 is damaged .*mkdir"):
        cifar.prepare(source, tmp_path / "data", "cifar10", unofficial=True)
    assert not harm.exists()


def test_arrays_of_other_things_than_bytes_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write(source, "cifar10", False)
    content = {"data": np.zeros((2, 3072)), "labels": [0, 1]}
    (source / "test_batch").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(UserError, match=r"test_batch is damaged .*f8"):
        cifar.prepare(source, tmp_path / "data", "cifar10", unofficial=True)


def test_labels_without_a_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "source", "cifar10", True)
    (tmp_path / "source" / "batches.meta.txt").write_text("one\ntwo\n")
    with pytest.raises(UserError, match="2 classes are named"):
        cifar.prepare(tmp_path / "source", tmp_path / "data", "cifar10", unofficial=True)


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "classes.txt"])
def test_a_damaged_set_is_refused_by_name(tmp_path: Path, name: str) -> None:
    write(tmp_path / "source", "cifar10", True)
    cifar.prepare(tmp_path / "source", tmp_path / "data", "cifar10", unofficial=True)
    path = tmp_path / "data" / "train" / name
    path.write_bytes(path.read_bytes()[:-1] if name != "classes.txt" else b"one\n")
    with pytest.raises(UserError, match=name if name != "classes.txt" else "1 classes"):
        read_images(path.parent)
    path.unlink()
    with pytest.raises(UserError, match=rf"{name} does not exist"):
        read_images(path.parent)
