"""Word times: every split of phones into words is found, and only true ones."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from chainstitch.nnet.chain import monophones
from chainstitch.utils.decode.graph import Graph
from chainstitch.utils.decode.times import word_times
from chainstitch.utils.hmm.topology import in_context
from tests.leaves import random_leaves

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


def _every_way(
    pdfs: list[int], labels: list[int], graph: Graph
) -> set[tuple[tuple[int, int], ...]]:
    """The times that pronunciations, silences and durations can give: the twin."""
    found = set()
    leaves, number = graph.leaves, len(labels)
    for prons in itertools.product(*(graph.pronunciations[label] for label in labels)):
        for silences in itertools.product((False, True), repeat=number + 1):
            phones: list[int] = [SIL] if silences[0] else []
            spans = []
            for pron, silence in zip(prons, silences[1:], strict=True):
                spans.append((len(phones), len(phones) + len(pron)))
                phones += [*pron, *([SIL] if silence else [])]
            if not len(phones) <= len(pdfs):
                continue
            for cuts in itertools.combinations(range(1, len(pdfs)), max(0, len(phones) - 1)):
                bounds = [0, *cuts, len(pdfs)]
                contexts = in_context(phones)
                path = [
                    leaves.pdfs(*context)[t > begin]
                    for context, (begin, end) in zip(
                        contexts, itertools.pairwise(bounds), strict=False
                    )
                    for t in range(begin, end)
                ]
                if path == pdfs:
                    found.add(tuple((bounds[a], bounds[b]) for a, b in spans))
    return found


@pytest.mark.parametrize(("pdfs", "context_width"), [(2, 2), (5, 2), (24, 2), (4, 3), (96, 3)])
@pytest.mark.parametrize("seed", range(25))
def test_times_under_a_tree_are_one_of_all_ways(seed: int, pdfs: int, context_width: int) -> None:
    graph = dataclasses.replace(GRAPH, leaves=random_leaves(seed, pdfs, 3, context_width))
    rng = np.random.default_rng(seed)
    labels = rng.integers(1, 4, int(rng.integers(0, 4))).tolist()
    phones, spans, path = ([SIL] if rng.random() < 0.5 or not labels else []), [], []
    for label in labels:
        prons = graph.pronunciations[label]
        pron = prons[int(rng.integers(len(prons)))]
        spans.append((len(phones), len(phones) + len(pron)))
        phones += [*pron, *([SIL] if rng.random() < 0.3 else [])]
    bounds = [0]
    for context in in_context(phones):
        entry, loop = graph.leaves.pdfs(*context)
        path += [entry] + [loop] * (int(rng.integers(1, 3)) - 1)
        bounds.append(len(path))
    ways = _every_way(path, labels, graph)
    assert tuple((bounds[a], bounds[b]) for a, b in spans) in ways
    assert tuple(word_times(path, labels, graph)) in ways
    part = word_times(path[:-1], labels, graph, complete=False) if labels else []
    assert len(part) == len(labels) and all(a <= b < len(path) for a, b in part)
