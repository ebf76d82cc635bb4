"""Word times: every split of phones into words is found, and only true ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainstitch.nnet.chain import monophones
from chainstitch.utils.decode.graph import Graph
from chainstitch.utils.decode.times import word_times

SIL, A, B = 1, 2, 3
GRAPH = Graph(
    path=Path("none"),
    words={1: "a", 2: "aa", 3: "ab"},
    pronunciations={1: [(A,)], 2: [(A, A), (A, B, A)], 3: [(A, B)]},
    leaves=monophones(3),
)


def _pdfs(*phones: tuple[int, int]) -> list[int]:
    """(phone, frames) -> pdfs."""
    return [2 * (p - 1) + (n > 0) for p, frames in phones for n in range(frames)]


def test_ambiguous_phones_are_split_as_the_words_ask() -> None:
    pdfs = _pdfs((A, 2), (A, 1), (A, 3))
    assert word_times(pdfs, [1, 2], GRAPH) == [(0, 2), (2, 6)]
    assert word_times(pdfs, [2, 1], GRAPH) == [(0, 3), (3, 6)]
    assert word_times(pdfs, [1, 1, 1], GRAPH) == [(0, 2), (2, 3), (3, 6)]


def test_silences_belong_to_no_word() -> None:
    pdfs = _pdfs((SIL, 4), (A, 1), (SIL, 2), (A, 1), (B, 2), (A, 1), (SIL, 1))
    assert word_times(pdfs, [1, 2], GRAPH) == [(4, 5), (7, 11)]
    assert word_times(_pdfs((SIL, 3)), [], GRAPH) == []


def test_partial_paths_may_end_inside_a_word_or_before_its_label() -> None:
    assert word_times(_pdfs((A, 2), (SIL, 1), (A, 2)), [1, 3], GRAPH, complete=False) == [
        (0, 2),
        (3, 5),
    ]
    assert word_times(_pdfs((A, 2), (A, 2)), [1], GRAPH, complete=False) == [(0, 2)]


def test_phones_of_other_words_are_an_error() -> None:
    for labels in ([1, 1], [3], []):
        with pytest.raises(ValueError, match="do not spell"):
            word_times(_pdfs((A, 1), (B, 1), (A, 1)), labels, GRAPH)
