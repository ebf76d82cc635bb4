"""CIFAR-10 and CIFAR-100, in the python form or the binary form of the official archives.

`prepare(source, out, "cifar10")` finds the files in `source`, or in the directory of the archive
below it, checks their md5 against the official ones, and writes `out/train` and `out/test`.

Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009;
www.cs.toronto.edu/~kriz/cifar.html has the formats.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chainstitch.utils.corpora.byte_pickle import unpickle
from chainstitch.utils.data.images import ImageSet, write_images
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.outputs import check_directory

log = logging.getLogger(__name__)

PIXELS = 3 * 32 * 32  # 1024 red, 1024 green, 1024 blue, row by row


@dataclass(frozen=True)
class Form:
    """One form of one data set.

    Attributes:
        directory: of the archive.
        train, test: file names and their official md5; "" where none is known.
        names, key: the file of class names, and where a pickle has them.
        label: key in a pickle, or place in a binary record, of the label.
    """

    directory: str
    train: dict[str, str]
    test: dict[str, str]
    names: str
    key: str
    label: str | int
    label_bytes: int = 0  # in a record; 0: a pickle


FORMS = {
    "cifar10": (
        Form(
            "cifar-10-batches-py",
            {
                "data_batch_1": "c99cafc152244af753f735de768cd75f",
                "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
                "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
                "data_batch_4": "634d18415352ddfa80567beed471001a",
                "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            },
            {"test_batch": "40351d587109b95175f43aff81a1287e"},
            "batches.meta", "label_names", "labels",
        ),
        Form(
            "cifar-10-batches-bin",
            {
                "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
                "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
                "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
                "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
                "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
            },
            {"test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d"},
            "batches.meta.txt", "", 0, 1,
        ),
    ),
    "cifar100": (
        Form(
            "cifar-100-python",
            {"train": "16019d7e3df5f24257cddd939b257f8d"},
            {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
            "meta", "fine_label_names", "fine_labels",
        ),
        Form(
            "cifar-100-binary", {"train.bin": ""}, {"test.bin": ""},
            "fine_label_names.txt", "", 1, 2,
        ),
    ),
}  # fmt: skip
CIFAR10_CLASSES = [
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
]


def prepare(
    source: Path,
    out: Path,
    dataset: str,
    max_train: int = 0,
    max_test: int = 0,
    unofficial: bool = False,
    overwrite: bool = False,
) -> dict[str, int]:
    """Writes `out/train` and `out/test`; returns how many images each has.

    Args:
        dataset: "cifar10" or "cifar100".
        max_train, max_test: take only the first so many (they stand in random order); 0: all.
        unofficial: accept whole files of another md5, with a warning.

    Raises:
        UsageError: no such data there, or the sets exist and `overwrite` is false.
        UserError: a file is missing or damaged, or not the official one; it is named.
    """
    form, place = _find(source, dataset)
    for name in ("train", "test"):
        check_directory(out / name, "images", overwrite, [place])
    classes = _classes(form, place, dataset)
    sets = {}
    for name, files, most in (("train", form.train, max_train), ("test", form.test, max_test)):
        parts = [_read(place / file, md5, form, unofficial) for file, md5 in files.items()]
        pixels, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        if labels.max() >= len(classes):
            raise UserError(
                f"{place}: label {labels.max()} in {name}, but {len(classes)} classes are named"
            )
        images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        sets[name] = ImageSet(
            np.ascontiguousarray(images[: most or None]), labels[: most or None], classes
        )
    for name, made in sets.items():
        write_images(made, out / name, overwrite)
    return {name: len(made) for name, made in sets.items()}


def _find(source: Path, dataset: str) -> tuple[Form, Path]:
    """The form that is there, and where."""
    for form in FORMS[dataset]:
        for place in (source, source / form.directory):
            if any((place / file).is_file() for file in form.train):
                return form, place
    wanted = " or ".join(f"{form.directory} ({', '.join(form.train)})" for form in FORMS[dataset])
    raise UsageError(f"{source} holds neither form of {dataset}: {wanted}; unpack an archive there")


def _classes(form: Form, place: Path, dataset: str) -> list[str]:
    path = place / form.names
    if dataset == "cifar10" and not path.is_file():
        return CIFAR10_CLASSES
    content = _content(path)
    try:
        names = unpickle(content)[form.key] if form.key else content.decode().split()
        if not names or not all(isinstance(name, str) and name.split() for name in names):
            raise ValueError("no names of classes")
    except Exception as error:  # of pickles nearly anything can come
        raise UserError(f"{path} is damaged ({error}); unpack the archive again") from None
    return list(names)


def _read(path: Path, official: str, form: Form, unofficial: bool) -> tuple[np.ndarray, np.ndarray]:
    """(images, 3072) uint8 and (images,) int64."""
    content = _content(path)
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if official:
        compared = f"its md5 is {found}, the official one is {official}"
    else:
        compared = f"its md5 is {found}"
    try:
        pixels, labels = (_records if form.label_bytes else _pickled)(content, form)
    except Exception as error:
        raise UserError(
            f"{path} is damaged ({error}); {compared}; unpack the archive again"
        ) from None
    if official and found != official:
        if not unofficial:
            raise UserError(
                f"{path} is not the official file: {compared}; unpack the archive again, or "
                "accept it with --unofficial"
            )
        log.warning("%s is not the official file: %s", path, compared)
    return pixels, labels


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; unpack the whole archive") from None


def _records(content: bytes, form: Form) -> tuple[np.ndarray, np.ndarray]:
    size = form.label_bytes + PIXELS
    if not content or len(content) % size:
        raise ValueError(f"{len(content)} bytes are not a whole number of records of {size}")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    assert isinstance(form.label, int)
    return records[:, form.label_bytes :], records[:, form.label].astype(np.int64)


def _pickled(content: bytes, form: Form) -> tuple[np.ndarray, np.ndarray]:
    found = unpickle(content)
    assert isinstance(form.label, str)
    pixels, labels = found["data"], np.array(found[form.label], np.int64)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        raise ValueError("its data are not bytes")
    if pixels.shape != (len(labels), PIXELS) or not len(labels) or labels.min() < 0:
        raise ValueError(f"data of shape {pixels.shape} for {len(labels)} labels")
    return pixels, labels
