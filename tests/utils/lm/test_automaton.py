"""A model word by word costs what its n-grams say."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from chainstitch.utils.lm.arpa_file import read_model
from chainstitch.utils.lm.automaton import automaton, sentence_cost
from tests.language_models import any_arpa
from tests.reference import ngrams

WORDS = {word: n for n, word in enumerate(["<eps>", *"dcbae", "#0"])}  # in no order of the file
FORMS = [list(said) for size in range(5) for said in itertools.product("abcd", repeat=size)]


def _numbers(said: list[str]) -> list[int]:
    return [WORDS[word] for word in said]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_costs_are_what_the_file_says(tmp_path: Path, order: int) -> None:
    (tmp_path / "lm").write_text(any_arpa(order))
    model, twin = automaton(read_model(tmp_path / "lm"), WORDS), ngrams.read(tmp_path / "lm")
    for said in FORMS:
        wanted = sum(ngrams.log_prob(twin, token) for token in ngrams.tokens([said]))
        found = sentence_cost(model, _numbers(said))
        assert found == pytest.approx(-math.log(10.0) * wanted, abs=1e-4), said


def test_no_state_without_words_behind_it_is_left(tmp_path: Path) -> None:
    (tmp_path / "lm").write_text(any_arpa(3))
    model = automaton(read_model(tmp_path / "lm"), WORDS)
    assert set(model.following) <= set(model.keys // model.size)
    assert len(set(model.following)) < len(model.lower)  # there were some
    assert (np.diff(model.keys) > 0).all()


def test_words_that_one_side_lacks(tmp_path: Path) -> None:
    """A word of words.txt that the model lacks cannot be said; one more in the model is no harm."""
    (tmp_path / "lm").write_text(any_arpa(2))
    read, fewer = read_model(tmp_path / "lm"), {w: n for w, n in WORDS.items() if w != "c"}
    assert sentence_cost(automaton(read, WORDS), _numbers(["a", "e"])) == math.inf
    found, whole = (sentence_cost(automaton(read, some), _numbers(["a", "b"])) for some in
                    (fewer, WORDS))  # fmt: skip
    assert found == whole < math.inf
