"""Dropout proportions that change in the course of training, in Kaldi's notation.

    dropout_schedule = "0,0@0.20,0.3@0.50,0"

is 0 until a fifth of the data has been processed, rises to 0.3 at half of it and falls to 0 at the
end: values with the fraction of the data at which they hold, straight lines in between. The first
and the last value stand at 0 and 1; one between them without a fraction stands at 0.5. Two values
at one fraction make a jump. Several such items, with spaces between them, may each be for layers
whose name fits a pattern, the later ones taking precedence:

    dropout_schedule = "*=0,0.5,0 lstm*=0,0.3@0.75,0"

A schedule sets what is there: the layers that the xconfig gives a `dropout-proportion`, be it 0.

**Scale.** Kaldi's DropoutComponent multiplies by zeros and ones in training and by 1 - p in
testing. Ours is torch's: zeros and 1/(1 - p) in training, nothing in testing. In both modes ours is
Kaldi's divided by 1 - p, which is up to scale the same before the next normalisation: the weights
in between can take the factor up, and the normalisation removes what they do not (but for their
bias, which is not scaled). So the same proportions serve. When p moves, the mean of what the next
layer sees moves with it in Kaldi and stays in ours.

Source: Kaldi steps/libs/nnet3/train/dropout_schedule.py (kaldi-facts 4.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import pairwise

from chainstitch.utils.errors import UsageError

WANTED = (
    "wanted [PATTERN=]VALUE,VALUE@FRACTION,...,VALUE without spaces inside, two values or more, "
    'as in "0,0@0.20,0.3@0.50,0"'
)

Points = list[tuple[float, float]]  # (fraction, proportion), fractions never falling


class DropoutSchedule:
    """The schedule of a network's dropout layers.

    Args:
        text: the notation above; empty leaves all layers as they are.
        layers: names of the layers that have dropout.

    Raises:
        UsageError: text that cannot be read, or a pattern that fits none of the layers.

    >>> DropoutSchedule("0,0@0.20,0.3@0.50,0", ["tdnn1"]).at(0.75)
    {'tdnn1': 0.15}
    """

    def __init__(self, text: str, layers: Sequence[str]) -> None:
        self._points: dict[str, Points] = {}
        for pattern, points in map(_parse_item, text.split()):
            fitting = [name for name in layers if fnmatchcase(name, pattern)]
            if not fitting:
                known = f"layers with dropout: {', '.join(layers)}"
                if not layers:
                    known = "write dropout-proportion=0 on the layers that are to have dropout"
                raise UsageError(f"dropout_schedule: no layer fits {pattern!r}; {known}")
            self._points |= dict.fromkeys(fitting, points)

    def at(self, fraction: float) -> dict[str, float]:
        """Proportions of the layers that have a schedule, at a fraction of the data processed."""
        return {name: _interpolate(points, fraction) for name, points in self._points.items()}


def _parse_item(item: str) -> tuple[str, Points]:
    head, separator, function = item.rpartition("=")
    first, *rest = function.split(",")
    if not rest or (separator and not head):
        raise UsageError(f"dropout_schedule: found {item!r}; {WANTED}")
    points = [(0.0, _number(first, item))]
    for part in rest[:-1]:
        value, at, fraction = part.partition("@")
        points.append((_number(fraction, item) if at else 0.5, _number(value, item)))
    points.append((1.0, _number(rest[-1], item)))
    if any(a > b for (a, _), (b, _) in pairwise(points)):
        raise UsageError(f"dropout_schedule: in {item!r} the fractions go back; put them in order")
    return head or "*", points


def _number(text: str, item: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"dropout_schedule: found {text!r} in {item!r}; {WANTED}") from None
    if not 0.0 <= value <= 1.0:
        raise UsageError(
            f"dropout_schedule: found {text!r} in {item!r}; values and fractions lie in 0 ... 1"
        )
    return value


def _interpolate(points: Points, fraction: float) -> float:
    for (begin, start), (end, stop) in pairwise(points):
        if begin <= fraction < end:
            return start + (stop - start) * (fraction - begin) / (end - begin)
    return points[-1][1]
