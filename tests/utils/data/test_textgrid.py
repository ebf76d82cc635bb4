"""TextGrids: the format to the letter, gaps filled, quotes doubled."""

from __future__ import annotations

import pytest

from chainstitch.utils.data.textgrid import textgrid

WANTED = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.5
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 0.3
            text = ""
        intervals [2]:
            xmin = 0.3
            xmax = 0.52
            text = "so-called"
        intervals [3]:
            xmin = 0.52
            xmax = 1
            text = "\"\"früh\"\""
        intervals [4]:
            xmin = 1
            xmax = 1.5
            text = ""
"""


def test_format() -> None:
    words = [(0.3, 0.52, "so-called"), (0.52, 1.0, '"früh"')]
    assert textgrid({"words": words}, 1.5) == WANTED


def test_intervals_that_cannot_be_are_refused() -> None:
    for wrong in ([(0.5, 0.5, "a")], [(0.0, 2.0, "a")], [(0.0, 0.6, "a"), (0.5, 0.7, "b")]):
        with pytest.raises(ValueError, match=r"of 0\.\.1\.5"):
            textgrid({"words": wrong}, 1.5)
