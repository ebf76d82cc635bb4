"""Numbers that Python code gives us: of the right kind, finite, and in their bounds.

A part has one table of what its numbers may be, as in bounds.py, "whole" before those that count:

    BOUNDS = {"lr": "[0, inf)", "interval": "whole [1, inf)"}

Without it a NaN passes every comparison that is written as `lr < 0`, True counts as 1, and "0.1" is
only noticed in the middle of a minibatch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainstitch.utils.bounds import interval


def check_numbers(owner: str, bounds: Mapping[str, str], **values: Any) -> None:
    """That each of `values` is what the table says of its name.

    Args:
        owner: whose they are, for messages.

    Raises:
        TypeError: one is no number (a bool, a string, a tensor), or no whole one where that is
            wanted.
        ValueError: one is NaN, infinite or out of bounds.

    >>> check_numbers("SGD", {"lr": "[0, inf)"}, lr=1e-3)
    >>> check_numbers("SGD", {"lr": "[0, inf)"}, lr=-1)
    Traceback (most recent call last):
    ValueError: SGD: lr wants 0 or more, found -1
    """
    for name, value in values.items():
        whole = bounds[name].startswith("whole ")
        limits = interval(bounds[name].removeprefix("whole "))
        kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise TypeError(
                f"{owner}: {name} wants a {'whole ' if whole else ''}number, found {value!r:.80}"
            )
        try:
            number = float(value)
        except OverflowError:  # an int of hundreds of digits
            number = math.inf
        if not limits.holds(number):
            raise ValueError(f"{owner}: {name} wants {limits}, found {value!r:.80}")
