"""Error rates of classified images: overall, by class, and which class is taken for which.

A directory `decode_<set>` has `ref` and `hyp`, `image-id class` in each line, as a decoded set has
words, so that `compare` takes it as it is; `classes.txt` says that it is of classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chainstitch.utils.data.images import CLASSES, read_classes
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_directory, atomic_file
from chainstitch.utils.score.report import table_text
from chainstitch.utils.score.text import read_text


@dataclass(frozen=True)
class Confusion:
    """How often class i (rows) was taken for class j (columns).

    Attributes:
        counts: (classes, classes) images; classes: their names.
    """

    counts: np.ndarray
    classes: list[str]

    @property
    def images(self) -> int:
        return int(self.counts.sum())

    @property
    def errors(self) -> int:
        return self.images - int(np.trace(self.counts))

    def line(self) -> str:
        """`%ERR 4.01 [ 401 / 10000 ]`."""
        return f"%ERR {100 * self.errors / self.images:.2f} [ {self.errors} / {self.images} ]"

    def table(self) -> list[list[str]]:
        """A row for each class: images, error rate, and what it is mostly taken for."""
        rows = [["class", "images", "errors", "error %", "mostly taken for"]]
        for name, row, right in zip(self.classes, self.counts, np.diag(self.counts), strict=True):
            images, errors = int(row.sum()), int(row.sum() - right)
            wrong = row.copy()
            wrong[self.classes.index(name)] = 0
            other = f"{self.classes[wrong.argmax()]} {wrong.max()}" if errors else "-"
            rate = f"{100 * errors / images:.2f}" if images else "-"
            rows.append([name, str(images), str(errors), rate, other])
        return rows


def is_classified(directory: Path) -> bool:
    """Whether `classify` wrote the directory."""
    return (directory / CLASSES).is_file() and (directory / "ref").is_file()


def write_classified(
    directory: Path,
    prefix: str,
    labels: Sequence[int],
    found: Iterable[Sequence[int]],
    classes: Sequence[str],
    overwrite: bool = False,
) -> None:
    """Writes ref, hyp and classes.txt; ids are `prefix-00000` and so on.

    Args:
        labels: the class of each image; found: classes found, some images at a time.
    """
    hypotheses = [label for part in found for label in part]
    with atomic_directory(directory, "classification", overwrite) as temporary:
        for name, column in (("ref", labels), ("hyp", hypotheses)):
            lines = [f"{prefix}-{i:05d} {classes[label]}\n" for i, label in enumerate(column)]
            (temporary / name).write_text("".join(lines), encoding="utf-8")
        (temporary / CLASSES).write_text("".join(f"{c}\n" for c in classes), encoding="utf-8")


def read_confusion(directory: Path) -> Confusion:
    """Counts of a classified set.

    Raises:
        UserError: files are missing or damaged, or do not fit together.
    """
    if not is_classified(directory):
        raise UserError(f"{directory} is not one that `chainstitch classify` wrote")
    classes = read_classes(directory / CLASSES)
    number = {name: i for i, name in enumerate(classes)}
    ref, hyp = read_text(directory / "ref"), read_text(directory / "hyp")
    if set(ref) != set(hyp) or not ref:
        raise UserError(
            f"{directory}: ref and hyp are of different images ({len(ref)} and {len(hyp)}), or of "
            "none; classify again with --overwrite"
        )
    counts = np.zeros((len(classes), len(classes)), np.int64)
    for image, words in ref.items():
        both = [number.get(" ".join(side)) for side in (words, hyp[image])]
        if both[0] is None or both[1] is None:
            raise UserError(f"{directory}: {image} has a class that {CLASSES} does not name")
        counts[both[0], both[1]] += 1
    return Confusion(counts, classes)


def score_classified(directory: Path) -> Confusion:
    """Writes `best_err`, `per_class` and `confusion.txt`, and returns the counts."""
    found = read_confusion(directory)
    header = ["", *found.classes]
    matrix = [[name, *map(str, row)] for name, row in zip(found.classes, found.counts, strict=True)]
    texts = {
        "per_class": table_text(found.table()),
        "confusion.txt": table_text([header, *matrix]),
        "best_err": found.line(),
    }
    for name, text in texts.items():
        with atomic_file(directory / name) as stream:
            stream.write(text + "\n")
    return found
