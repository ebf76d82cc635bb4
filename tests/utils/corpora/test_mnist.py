"""MNIST's four files; what is damaged, or does not belong together, is refused by name."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chainstitch.utils.corpora import mnist
from chainstitch.utils.data.images import read_images
from chainstitch.utils.errors import UsageError, UserError

COUNTS = {"train": 12, "test": 5}
IMAGES, LABELS = mnist.FILES["train"]


def packed(*numbers: int, values: np.ndarray) -> bytes:
    """An idx file of these numbers before its values."""
    return gzip.compress(struct.pack(f">{len(numbers)}I", *numbers) + values.tobytes(), mtime=0)


def write(place: Path) -> np.ndarray:
    """A miniature; returns the training pixels."""
    place.mkdir()
    generator = np.random.default_rng(0)
    kept = {}
    for name, count in COUNTS.items():
        images, labels = mnist.FILES[name]
        pixels = kept[name] = generator.integers(0, 256, (count, 28, 28), np.uint8)
        (place / images).write_bytes(packed(2051, count, 28, 28, values=pixels))
        classes = (np.arange(count) % 10).astype(np.uint8)
        (place / labels).write_bytes(packed(2049, count, values=classes))
    return kept["train"]


def test_images_and_labels_are_read_in_order_and_may_be_cut_short(tmp_path: Path) -> None:
    raw = write(tmp_path / "source")
    assert mnist.prepare(tmp_path / "source", tmp_path / "data") == COUNTS
    train = read_images(tmp_path / "data" / "train")
    assert np.array_equal(train.pixels, raw[..., None])
    assert train.labels.tolist() == [*range(10), 0, 1]
    assert train.classes == [str(n) for n in range(10)]
    with pytest.raises(UsageError, match="--overwrite"):
        mnist.prepare(tmp_path / "source", tmp_path / "data")
    counts = mnist.prepare(tmp_path / "source", tmp_path / "data", 7, 2, overwrite=True)
    assert counts == {"train": 7, "test": 2}
    assert np.array_equal(read_images(tmp_path / "data/train").pixels, raw[:7, ..., None])


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def swapped(content: bytes) -> bytes:
    """A bit of the values is another, and the gzip's checksum that of before."""
    changed = bytearray(content)
    changed[-9] ^= 1
    return bytes(changed)


ZEROS = np.zeros((12, 28, 28), np.uint8)
DAMAGED: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "truncated": (IMAGES, truncated, "end-of-stream"),
    "swapped": (IMAGES, swapped, ""),
    "empty": (IMAGES, lambda content: b"", "0 bytes, less than a header"),
    "no gzip": (LABELS, gzip.decompress, "Not a gzipped file"),
    "labels for images": (
        IMAGES, lambda content: packed(2049, 12, values=ZEROS), "magic number 2049, wanted 2051"
    ),
    "images for labels": (
        LABELS, lambda content: packed(2051, 12, 28, 28, values=ZEROS),
        "magic number 2051, wanted 2049",
    ),
    "of another size": (
        IMAGES, lambda content: packed(2051, 12, 32, 32, values=ZEROS), "32 x 32, wanted 28 x 28"
    ),
    "none": (LABELS, lambda content: packed(2049, 0, values=ZEROS[:0]), "holds nothing"),
    "fewer": (
        IMAGES, lambda content: packed(2051, 13, 28, 28, values=ZEROS), "less than the 10192"
    ),
    "more": (IMAGES, lambda content: packed(2051, 11, 28, 28, values=ZEROS), "more than the 8624"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_by_name_and_nothing_is_written(
    tmp_path: Path, name: str
) -> None:
    file, damage, said = DAMAGED[name]
    write(tmp_path / "source")
    path = tmp_path / "source" / file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=rf"{path} is damaged \(.*{said}.*\); fetch it again"):
        mnist.prepare(tmp_path / "source", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_what_does_not_belong_together_is_refused_with_both_named(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write(source)
    (source / LABELS).write_bytes(packed(2049, 11, values=np.zeros(11, np.uint8)))
    with pytest.raises(UserError, match=rf"{IMAGES} has 12 images and .*{LABELS} 11 labels"):
        mnist.prepare(source, tmp_path / "data")
    (source / LABELS).write_bytes(packed(2049, 12, values=np.full(12, 10, np.uint8)))
    with pytest.raises(UserError, match=rf"{LABELS} has a label 10, wanted 0 to 9"):
        mnist.prepare(source, tmp_path / "data")
    (source / LABELS).unlink()
    with pytest.raises(UserError, match=rf"{LABELS} does not exist; all four"):
        mnist.prepare(source, tmp_path / "data")
    with pytest.raises(UsageError, match=f"holds none of {IMAGES}"):
        mnist.prepare(tmp_path, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_file_that_promises_more_than_there_is_memory_for_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "source")
    path = tmp_path / "source" / IMAGES
    path.write_bytes(packed(2051, 2**32 - 1, 28, 28, values=ZEROS))
    with pytest.raises(UsageError, match=rf"{IMAGES} wants 3367 GB of memory"):
        mnist.prepare(tmp_path / "source", tmp_path / "data")


def test_the_real_ones_are_read(data_dir: Path, tmp_path: Path) -> None:
    assert mnist.prepare(data_dir / "mnist", tmp_path, 100, 50) == {"train": 100, "test": 50}
    train = read_images(tmp_path / "train")
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert train.pixels.shape == (100, 28, 28, 1) and int(train.pixels[0].sum()) == 27525
