"""The numbers that a key of a config, a key of an xconfig or an option may have.

Written as intervals, beside the key that they are of:

    "[1, 64]"           1 to 64, both of them allowed
    "(0, 1)"            neither 0 nor 1; "[0, 1)" 0, but not 1
    "[0, inf)"          0 or more; every number must be finite
    "[0, 1] or -1"      -1 besides
    "any"               every finite number

A config's fields have theirs in their metadata, as in

    rank: int = field(default=20, metadata={"help": "of it", "bounds": "[1, 1000]"})

and a field that is a number and says none is a mistake of ours (TypeError), so that none can be
forgotten.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import typing
from dataclasses import dataclass
from typing import Any

SEED = "[0, 4294967295]"  # torch and numpy take it, and what is made of it, whole
THREADS = 4096  # at most so many threads or processes
MANY = 10**9  # at most so many examples, frames or iterations, where nothing else limits them


@dataclass(frozen=True)
class Bounds:
    """An interval, its ends in it where `closed` says so, and perhaps one number besides."""

    least: float
    most: float
    closed: tuple[bool, bool] = (True, True)
    besides: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a number is allowed; no NaN is, and no infinity."""
        if value == self.besides:
            return True
        above = self.least < value or (self.closed[0] and self.least == value)
        below = value < self.most or (self.closed[1] and self.most == value)
        return above and below

    def __str__(self) -> str:
        """In words, to follow "wants"."""
        low, high = (f"{end:.15g}" for end in (self.least, self.most))
        words = []
        if self.least == -math.inf and self.most == math.inf:
            words.append("a finite number")
        elif self.closed == (True, True):
            words.append(f"{low} to {high}")
        else:
            if self.least > -math.inf:
                words.append(f"{low} or more" if self.closed[0] else f"above {low}")
            if self.most < math.inf:
                words.append(f"at most {high}" if self.closed[1] else f"below {high}")
        text = ", ".join(words)
        return text if self.besides is None else f"{text}, or {self.besides:g}"


@functools.cache
def interval(text: str) -> Bounds:
    """What an interval means.

    Raises:
        ValueError: it is not written as above.

    >>> interval("[0, 1) or -1").holds(-1), str(interval("(0, inf)"))
    (True, 'above 0')
    """
    if text == "any":
        return Bounds(-math.inf, math.inf, (False, False))
    found = re.fullmatch(r"([\[(])(\S+), (\S+)([\])])(?: or (\S+))?", text)
    if found is None:
        raise ValueError(f'bounds {text!r}: wanted "[1, 64]", "(0, inf)", "[0, 1] or -1" or "any"')
    besides = None if found[5] is None else float(found[5])
    return Bounds(float(found[2]), float(found[3]), (found[1] == "[", found[4] == "]"), besides)


def bounds_of(cls: type[Any]) -> dict[str, Bounds]:
    """The bounds of a config class's own fields that are numbers, or lists of numbers, by name.

    Raises:
        TypeError: one says none.
    """
    types = typing.get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        wanted = types[field.name]
        kinds = typing.get_args(wanted) if typing.get_origin(wanted) is list else (wanted,)
        if int not in kinds and float not in kinds:
            continue
        if "bounds" not in field.metadata:
            raise TypeError(
                f'{cls.__name__}.{field.name} has no bounds; give its metadata "bounds": '
                '"[1, 64]", say, or "any"'
            )
        found[field.name] = interval(field.metadata["bounds"])
    return found


def check_fields(config: Any) -> None:
    """That each number of a config object lies in its bounds, for who makes one by hand.

    Raises:
        ValueError: one does not; names it.
    """
    for name, bounds in bounds_of(type(config)).items():
        value = getattr(config, name)
        for number in value if isinstance(value, list) else [value]:
            if not bounds.holds(number):
                raise ValueError(f"{name} wants {bounds}, found {number!r}")
