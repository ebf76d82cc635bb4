"""MNIST, and whatever comes in the same four files: Fashion-MNIST, KMNIST.

`prepare(source, out)` reads the four files in `source` and writes `out/train` and `out/test`:
images of 28 x 28 of one colour, classes 0 to 9. A file, unpacked, is

    magic                   4 bytes: 2051 for images, 2049 for labels
    size of each dimension  4 bytes each: images, 28, 28; or labels
    values                  a byte each, the last dimension fastest

with all numbers big-endian. No md5 is compared, as there are several such sets, and copies that
were packed anew; the checksum in the gzip tells what is damaged.

Source: LeCun, Cortes, Burges, The MNIST database of handwritten digits, which has the format.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from chainstitch.utils.data.images import ImageSet, write_images
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.memory import refuse_more
from chainstitch.utils.outputs import check_directory

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
SIDE = 28  # pixels
CLASSES = [str(digit) for digit in range(10)]


def prepare(
    source: Path, out: Path, max_train: int = 0, max_test: int = 0, overwrite: bool = False
) -> dict[str, int]:
    """Writes `out/train` and `out/test`; returns how many images each has.

    Args:
        max_train, max_test: take only the first so many; 0: all.

    Raises:
        UsageError: no such data there, or the sets exist and `overwrite` is false.
        UserError: a file is missing or damaged, or two do not fit together; they are named.
    """
    names = [name for pair in FILES.values() for name in pair]
    if not any((source / name).is_file() for name in names):
        raise UsageError(f"{source} holds none of {', '.join(names)}; put the four files there")
    for name in FILES:
        check_directory(out / name, "images", overwrite, [source])
    sets = {}
    for name, most in (("train", max_train), ("test", max_test)):
        images, labels = (source / file for file in FILES[name])
        pixels, classes = _read(images, (SIDE, SIDE)), _read(labels, ())
        if len(pixels) != len(classes):
            raise UserError(
                f"{images} has {len(pixels)} images and {labels} {len(classes)} labels; fetch both "
                "again"
            )
        if classes.max() >= len(CLASSES):
            raise UserError(f"{labels} has a label {classes.max()}, wanted 0 to 9; fetch it again")
        chosen = slice(most or None)
        sets[name] = ImageSet(pixels[chosen, ..., None], classes[chosen].astype(np.int64), CLASSES)
    for name, made in sets.items():
        write_images(made, out / name, overwrite)
    return {name: len(made) for name, made in sets.items()}


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The values of an idx file: (count, *shape) bytes."""
    wanted = (2049 + len(shape), *shape)  # 0x801: bytes in one dimension
    header = struct.Struct(f">{2 + len(shape)}I")
    try:
        with gzip.open(path) as stream:
            head = stream.read(header.size)
            if len(head) < header.size:
                raise ValueError(f"{len(head)} bytes, less than a header")
            magic, count, *found = header.unpack(head)
            if magic != wanted[0]:
                raise ValueError(f"magic number {magic}, wanted {wanted[0]}")
            if tuple(found) != shape:
                raise ValueError(f"images of {found[0]} x {found[1]}, wanted {SIDE} x {SIDE}")
            if not count:
                raise ValueError("it says that it holds nothing")
            size = count * math.prod(shape)
            refuse_more(size, str(path), "fetch it again")
            content = stream.read(size + 1)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; all four files belong together") from None
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); fetch it again") from None
    if len(content) != size:
        less = "less" if len(content) < size else "more"
        raise UserError(
            f"{path} is damaged ({less} than the {size} values it says); fetch it again"
        )
    return np.frombuffer(content, np.uint8).reshape(count, *shape)
