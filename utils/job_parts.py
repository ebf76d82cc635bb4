"""Shares of a set's work for jobs that see only a disk: `--part 3/8` in each, then `--merge 8`.

A share is written to `OUT.parts/3of8/`, and the merge makes OUT of all shares and removes them. OUT
is what one process would have written, to the byte.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from chainstitch.utils.errors import UsageError
from chainstitch.utils.lock import locked
from chainstitch.utils.outputs import Given, check_apart, marked_kind
from chainstitch.utils.unfinished import remove as remove_directory
from chainstitch.utils.unfinished import temporary_name

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """Share `number` of `count`, from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"part {self.number} of {self.count}"

    def of(self, items: Sequence[T], block: int = 1) -> list[T]:
        """Every `count`-th block of `block` items; late shares of a short list are empty."""
        first = range((self.number - 1) * block, len(items), self.count * block)
        return [item for at in first for item in items[at : at + block]]

    def directory(self, out: Path | str) -> Path:
        """Where this share of OUT goes."""
        return _place(out) / f"{self.number}of{self.count}"


def parse(text: str) -> Part:
    """The share that `3/8` means.

    Raises:
        UsageError: not of that form, or no such share.
    """
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    part = Part(int(found[1]), int(found[2])) if found else Part(0, 0)
    if not 1 <= part.number <= part.count:
        raise UsageError(f"--part {text[:40]!r}: wanted e.g. 3/8, the third of eight shares")
    return part


def all_of(count: int, out: Path | str) -> list[Part]:
    """All shares.

    Raises:
        UsageError: one has not been made.
    """
    parts = [Part(number, count) for number in range(1, count + 1)]
    for part in parts:
        if not part.directory(out).is_dir():
            raise UsageError(
                f"--merge {count}: {part.directory(out)} is missing; run the jobs with --part "
                f"1/{count} to {count}/{count} first"
            )
    return parts


def check(out: Path | str, inputs: Iterable[Given], experiment: Given = None) -> None:
    """That the shares may be written where they belong; as `outputs.check_directory`.

    Raises:
        UsageError: an input is there, or they would lie in one.
    """
    for given in inputs:
        if given is not None:
            check_apart(_place(out), given, given == experiment)


def remove(out: Path | str) -> None:
    """Removes the shares of OUT, those of another count as well, and nothing else.

    A share loses its name first: what a kill leaves of it is no share, and the next who makes or
    removes that one clears it away.
    """
    place = _place(out)
    for found in list(place.iterdir()) if place.is_dir() else ():
        name = re.fullmatch(r"(?:\.tmp-\d+-)?(\d+of\d+)", found.name)
        if name is None:
            continue
        share = place / name[1]
        with locked(share):  # clears what the killed have left
            if marked_kind(share) is not None:
                gone = temporary_name(share)
                share.rename(gone)
                remove_directory(gone)
    with contextlib.suppress(OSError):  # it may be gone, and may hold things of others
        place.rmdir()


def _place(out: Path | str) -> Path:
    out = Path(out)
    return out.with_name(f"{out.name}.parts")
