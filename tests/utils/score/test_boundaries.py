"""Boundary errors by hand, and what cannot be compared."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.score.boundaries import ctm_words, score_boundaries, segment_words

TRUTH = {
    "a": [(0.0, 0.5, "one"), (0.7, 1.0, "two")],
    "b": [(0.1, 0.4, "one")],
    "c": [(0.0, 0.1, "two")],
}


def test_errors_are_found_minus_true() -> None:
    found = {
        "a": [(0.02, 0.5, "one"), (0.67, 1.2, "two")],
        "c": [(0.0, 0.1, "one")],
        "d": [(0.0, 0.1, "one")],
    }
    score = score_boundaries(TRUTH, found)
    np.testing.assert_allclose(score.errors, [[0.02, 0.0], [-0.03, 0.2]], atol=1e-9)
    assert (score.utterances, score.missing, score.different) == (1, ["b"], ["c"])
    assert score.shift == pytest.approx(0.01)
    begin, end, both, shifted = (line.split() for line in score.table().splitlines()[1:])
    assert begin == [
        "begin",
        "2",
        "25.0",
        "25.0",
        "-5.0",
        "-5.0",
        "50.0",
        "100.0",
        "100.0",
        "100.0",
    ]
    assert end == ["end", "2", "100.0", "100.0", "100.0", "100.0", *["50.0"] * 4]
    assert both == ["all", "4", "25.0", "62.5", "10.0", "47.5", "50.0", "75.0", "75.0", "75.0"]
    assert shifted[:6] == ["all,", "shifted", "4", "25.0", "62.5", "0.0"]


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(UserError, match="2 are not aligned and 1 have other words"):
        score_boundaries(TRUTH, {"b": [(0.0, 1.0, "two")]})


def test_ctm_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "ctm"
    path.write_text(";; x\nu 1 0.50 0.25 b 0.9\nu A 0.00 0.50 a\n\n")
    assert ctm_words(path) == {"u": [(0.0, 0.5, "a"), (0.5, 0.75, "b")]}
    for text in ("u 1 0.5 b\n", "u 1 x 0.5 b\n"):
        path.write_text(text)
        with pytest.raises(UserError, match="ctm:1: .* is no line of a ctm"):
            ctm_words(path)
    with pytest.raises(UserError, match="cannot be read"):
        ctm_words(tmp_path / "nosuch")


def test_segments_of_one_word_are_words() -> None:
    def cut(*texts: str) -> SimpleNamespace:
        parts = [
            SimpleNamespace(start=n / 2, end=n / 2 + 0.25, text=t) for n, t in enumerate(texts)
        ]
        return SimpleNamespace(id="u", supervisions=parts)

    assert segment_words([cut("one", "two")]) == {"u": [(0.0, 0.25, "one"), (0.5, 0.75, "two")]}
    with pytest.raises(UserError, match="'one two', wanted one word each"):
        segment_words([cut("one two")])
