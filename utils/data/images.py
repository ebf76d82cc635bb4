"""A set of small labelled images on disk: `images.npy labels.npy classes.txt` in one directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chainstitch.utils import text as texts
from chainstitch.utils.arrays import load_array
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_directory
from chainstitch.utils.library_stream import for_library

IMAGES, LABELS, CLASSES = "images.npy", "labels.npy", "classes.txt"


@dataclass(frozen=True)
class ImageSet:
    """Images and their classes.

    Attributes:
        pixels: (images, rows, columns, colours) uint8; labels: (images,) int64 class numbers.
        classes: their names, without spaces.
    """

    pixels: np.ndarray
    labels: np.ndarray
    classes: list[str]

    def __len__(self) -> int:
        return len(self.labels)


def write_images(images: ImageSet, directory: Path, overwrite: bool = False) -> None:
    """Writes the set; the directory appears whole or not at all.

    Raises:
        UsageError: the directory exists and `overwrite` is false.
    """
    with atomic_directory(directory, "images", overwrite) as temporary:
        for name, array in ((IMAGES, images.pixels), (LABELS, images.labels)):
            # numpy's own way to write to a file does not say why it failed
            with open(temporary / name, "wb") as file, for_library(file) as stream:
                np.save(stream, array)
        lines = "".join(f"{name}\n" for name in images.classes)
        (temporary / CLASSES).write_text(lines, encoding="utf-8")


def read_images(directory: Path | str) -> ImageSet:
    """What `write_images` wrote.

    Raises:
        UserError: a file is missing or damaged, or they do not fit together; it is named.
    """
    directory = Path(directory)
    again = "make it with `chainstitch prepare`"
    arrays = []
    for name, dtype, dims in ((IMAGES, np.uint8, 4), (LABELS, np.int64, 1)):
        path = directory / name
        try:
            array = load_array(path)
        except FileNotFoundError:
            raise UserError(f"{path} does not exist; {again}") from None
        except ValueError as error:
            raise UserError(f"{path} is damaged ({error}); {again} --overwrite") from None
        if array.dtype != dtype or array.ndim != dims:
            raise UserError(
                f"{path} holds {array.dtype} of {array.ndim} dimensions, wanted "
                f"{np.dtype(dtype)} of {dims}; {again} --overwrite"
            )
        arrays.append(array)
    pixels, labels = arrays
    classes = read_classes(directory / CLASSES)
    if not len(labels) == len(pixels) > 0 or not (
        labels.min() >= 0 and labels.max() < len(classes)
    ):
        raise UserError(
            f"{directory}: {len(pixels)} images, {len(labels)} labels and {len(classes)} classes "
            f"do not fit together; {again} --overwrite"
        )
    return ImageSet(pixels, labels, classes)


def read_classes(path: Path) -> list[str]:
    """Names of classes, one a line.

    Raises:
        UserError: no such file, or no name, a blank or a double one in it.
    """
    try:
        names = texts.lines(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; `chainstitch prepare` writes it") from None
    if not names or len(set(names)) < len(names) or any(len(n.split()) != 1 for n in names):
        raise UserError(f"{path}: wanted different names without spaces, one a line")
    return names
