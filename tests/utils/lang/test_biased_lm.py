"""The model of a few sentences: a distribution after every history, and its twin's numbers."""

from __future__ import annotations

import math
import random

import kaldifst
import pytest

from chainstitch.utils.lang.biased_lm import END, START, estimate, to_fst
from tests.reference.biased_lm import probability

COMMON = dict.fromkeys(range(1, 20), 0.01)


def sentences(seed: int) -> list[list[int]]:
    generator = random.Random(seed)
    return [
        [generator.randint(1, 6) for _ in range(generator.randint(0, 9))]
        for _ in range(generator.randint(1, 12))
    ]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("order", "least"), [(2, 10), (4, 10), (4, 2), (3, 4)])
def test_probabilities_are_those_of_the_definition(seed: int, order: int, least: int) -> None:
    model = estimate(sentences(seed), COMMON, order, 0.3, least)
    words = [*range(1, 20), END]
    for history in model.counts:
        found = [model.probability(history, word) for word in words]
        assert math.fsum(found) == pytest.approx(1.0)
        twin = [probability(sentences(seed), COMMON, order, least, history, w) for w in words]
        assert found == pytest.approx(twin)


def test_only_frequent_histories_stay() -> None:
    model = estimate([[1, 2, 3]] * 5 + [[4, 5, 6]] * 2, COMMON, 4, 0.3, 5)
    assert (START, 1, 2) in model.counts and (START, 4, 5) not in model.counts
    assert (4,) in model.counts


def test_costs_of_a_sentence_in_g() -> None:
    model = estimate([[1, 2], [1, 3]] * 10, {7: 0.5})
    g = to_fst(model, 99)

    def cost(words: list[int]) -> float:
        line = kaldifst.StdVectorFst()
        line.start = line.add_state()
        for word in words:
            state = line.add_state()
            line.add_arc(state - 1, kaldifst.StdArc(word, word, 0.0, state))
            line.add_arc(state - 1, kaldifst.StdArc(0, 99, 0.0, state - 1))
        line.add_arc(len(words), kaldifst.StdArc(0, 99, 0.0, len(words)))
        line.set_final(len(words), 0.0)
        kaldifst.arcsort(line, "olabel")
        best = kaldifst.shortest_path(kaldifst.compose(line, g))
        return float(kaldifst.get_linear_symbol_sequence(best)[3].value)

    p = model.probability
    said = p((START,), 1) * p((START, 1), 2) * p((START, 1, 2), END)
    assert cost([1, 2]) == pytest.approx(-math.log(said), abs=1e-5)
    assert cost([1, 7]) < math.inf


def test_what_is_no_model() -> None:
    with pytest.raises(ValueError, match="one sentence"):
        estimate([], COMMON)
    with pytest.raises(ValueError, match="order 2"):
        estimate([[1]], COMMON, 1)
