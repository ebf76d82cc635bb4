"""G word by word: it costs the least of all ways through the FST."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest

from chainstitch.utils.lang import ngram
from chainstitch.utils.lang.compose import word_table, write_fst
from chainstitch.utils.lang.directory import write_table
from chainstitch.utils.lang.grammar import read_grammar
from chainstitch.utils.lang.lexicon import Lexicon
from chainstitch.utils.lm.arpa_file import read_model
from chainstitch.utils.lm.automaton import automaton, sentence_cost
from tests.language_models import any_arpa

LEXICON: Lexicon = {word: [("A",)] for word in "abcde"}
WORDS = word_table(LEXICON)
FORMS = [list(said) for size in range(4) for said in itertools.product("abcd", repeat=size)]


def _numbers(said: list[str]) -> list[int]:
    return [WORDS[word] for word in said]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_g_costs_the_least_of_all_its_ways(tmp_path: Path, order: int) -> None:
    (tmp_path / "lm").write_text(any_arpa(order))
    write_table(WORDS, tmp_path / "words.txt")
    g = ngram.arpa_fst(tmp_path / "lm", tmp_path / "words.txt", WORDS)
    write_fst(g, tmp_path / "G.fst")
    search = read_grammar(tmp_path / "G.fst", WORDS)
    arcs: dict[int, list[tuple[int, int, float]]] = {}
    import kaldifst

    for state in range(g.num_states):
        for arc in kaldifst.ArcIterator(g, state):
            label = 0 if arc.ilabel == WORDS["#0"] else arc.ilabel
            arcs.setdefault(state, []).append((label, arc.nextstate, float(arc.weight.value)))

    def least(state: int, said: list[int]) -> float:
        ways = [g.final(state).value if not said else math.inf]
        for label, target, cost in arcs.get(state, []):
            if label == 0:
                ways.append(cost + least(target, said))
            elif said and label == said[0]:
                ways.append(cost + least(target, said[1:]))
        return min(ways)

    proper = automaton(read_model(tmp_path / "lm"), WORDS)
    cheaper = 0
    for said in FORMS:
        wanted = least(g.start, _numbers(said))
        assert sentence_cost(search, _numbers(said)) == pytest.approx(wanted, abs=1e-3), said
        plain = sentence_cost(search.model, _numbers(said))
        assert plain == pytest.approx(sentence_cost(proper, _numbers(said)), abs=1e-3)
        cheaper += wanted < plain - 1e-3
    assert cheaper > 0 or order == 1


def test_a_uniform_grammar(tmp_path: Path) -> None:
    write_fst(ngram.uniform(WORDS), tmp_path / "G.fst")
    search = read_grammar(tmp_path / "G.fst", WORDS)
    assert sentence_cost(search, _numbers(["a", "e"])) == pytest.approx(3 * math.log(6.0))
    assert sentence_cost(search, [WORDS["<s>"]]) == math.inf
