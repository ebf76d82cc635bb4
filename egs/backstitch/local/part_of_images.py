#!/usr/bin/env python3
"""A part of a set of images: M images from number N on, of those that `chainstitch prepare` wrote.

Training on one part and reporting on another keeps what was tuned apart from what is reported.
MNIST and CIFAR-10 stand in random order, so that a part of them has all classes.

Example: part_of_images.py data/train data/tune --first 1000 --count 1000
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from chainstitch.utils.data.images import ImageSet, read_images, write_images
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.outputs import check_directory


def part(images: ImageSet, first: int, count: int) -> ImageSet:
    """Images `first`, `first` + 1, ..., numbered from 0, with all names of classes.

    Raises:
        UsageError: there are none, or fewer.
    """
    if first < 0 or count < 1 or first + count > len(images):
        raise UsageError(
            f"--first {first} --count {count}: wanted a part of images 0 to {len(images) - 1}"
        )
    chosen = slice(first, first + count)
    return ImageSet(images.pixels[chosen], images.labels[chosen], images.classes)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("set", type=Path, help="a directory of images")
    parser.add_argument("out", type=Path, help="the directory to write")
    parser.add_argument("--first", type=int, default=0, help="number of the first image (0)")
    parser.add_argument("--count", type=int, required=True, help="how many images")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in OUT")
    options = parser.parse_args()
    try:
        check_directory(options.out, "images", options.overwrite, [options.set])
        made = part(read_images(options.set), options.first, options.count)
        write_images(made, options.out, options.overwrite)
    except UserError as error:
        print(f"part_of_images.py: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{options.out}: {len(made)} images")
    return 0


if __name__ == "__main__":
    sys.exit(main())
