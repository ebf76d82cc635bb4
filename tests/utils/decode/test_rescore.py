"""Rescoring finds what decoding with the other language model finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chainstitch.utils.decode.compact import CompactLattice, best_path
from chainstitch.utils.decode.determinise import determinise
from chainstitch.utils.decode.graph import Graph, load_graph
from chainstitch.utils.decode.lattice import LatticeDecoder
from chainstitch.utils.decode.rescore import rescore
from chainstitch.utils.lang import ngram
from chainstitch.utils.lang.directory import Lang, read_lang, write_lang
from chainstitch.utils.lang.grammar import Search, read_grammar
from chainstitch.utils.lm.arpa_file import read_model
from chainstitch.utils.lm.automaton import Automaton, automaton
from tests.utils.decode.conftest import LEXICON, TEXT
from tests.utils.decode.small_lattices import all_paths

ALL = 300.0  # a beam that nothing falls out of


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, Automaton]:
    """The graph of a trigram of other sentences, and the trigram."""
    place = tmp_path_factory.mktemp("big")
    sentences = [line.split()[::-1] for line in TEXT]
    ngram.estimate(sentences, 3, place / "arpa")
    (place / "exp").mkdir()
    lang = write_lang(place / "lang", LEXICON, ngram.from_arpa(place / "arpa"))
    model = automaton(read_model(place / "arpa"), lang.words)
    return load_graph(place / "exp", place / "lang"), model


def _small(workplace: Path, name: str) -> tuple[Lang, Search]:
    lang = read_lang(workplace / name)
    return lang, read_grammar(workplace / name / "G.fst", lang.words)


def _all(graph: Graph, seed: int, frames: int = 5) -> tuple[np.ndarray, CompactLattice]:
    scores = np.random.default_rng(seed).normal(size=(frames, graph.num_pdfs)).astype(np.float32)
    raw = LatticeDecoder(graph, beam=ALL, lattice_beam=ALL).decode(scores).raw
    return scores, determinise(raw, ALL)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("small", ["uniform", "trigram"])
def test_best_path_is_that_of_decoding_with_the_big_model(
    request: pytest.FixtureRequest, workplace: Path, big: tuple[Graph, Automaton], small: str,
    seed: int,
) -> None:  # fmt: skip
    graph: Graph = request.getfixturevalue(small)
    scores, lattice = _all(graph, seed)
    # the search may back off where the word was seen; rescoring with Search does, too
    found = rescore(lattice, _small(workplace, small)[1], Search(big[1]))
    costs = found.costs()
    best = best_path(found, costs)
    decoder = LatticeDecoder(big[0], beam=ALL, lattice_beam=ALL)
    wanted = decoder.best_path(decoder.decode(scores))
    # determinisation of a graph takes weights to 1/1024
    assert costs[best].sum() == pytest.approx(wanted.cost, abs=1e-3 * (2 + len(wanted.words)))
    sounds = [["c" if w == "see" else w for w in said] for said in (
        [graph.words[n] for n in found.words_of(best)], wanted.words)]  # fmt: skip
    assert sounds[0] == sounds[1]


@pytest.mark.parametrize("small", ["uniform", "trigram"])
def test_taking_out_and_putting_in_the_same_model_changes_nothing(
    request: pytest.FixtureRequest, workplace: Path, small: str
) -> None:
    _, lattice = _all(request.getfixturevalue(small), 7, frames=4)
    grammar = _small(workplace, small)[1]
    again = rescore(lattice, grammar, grammar)
    one, other = (
        sorted((tuple(x.words_of(p)), tuple(x.frames_of(p)), round(x.graph[p].sum(), 6),
                round(x.acoustic[p].sum(), 6)) for p in all_paths(x))
        for x in (lattice, again)
    )  # fmt: skip
    assert one == other and len(one) > 20


def test_costs_are_those_of_the_proper_model(
    uniform: Graph, workplace: Path, big: tuple[Graph, Automaton]
) -> None:
    _, lattice = _all(uniform, 3, frames=4)
    grammar = _small(workplace, "uniform")[1]
    found = rescore(lattice, grammar, big[1])
    before = {tuple(lattice.words_of(p)): lattice.graph[p].sum() for p in all_paths(lattice)}
    for path in all_paths(found):
        words = found.words_of(path)
        change, state, state_big = 0.0, grammar.start, big[1].start
        for word in words:
            state, old = grammar.step(state, word)
            state_big, new = big[1].step(state_big, word)
            change += new - old
        change += big[1].finish(state_big) - grammar.finish(state)
        assert found.graph[path].sum() == pytest.approx(before[tuple(words)] + change, abs=1e-4)


def test_words_that_the_model_lacks_leave_nothing(
    uniform: Graph, workplace: Path, tmp_path: Path
) -> None:
    arpa = "\\data\\\nngram 1=3\n\n\\1-grams:\n-1 <s>\n-1 </s>\n-1 abc\n\n\\end\\\n"
    (tmp_path / "lm").write_text(arpa)
    lang, grammar = _small(workplace, "uniform")
    _, lattice = _all(uniform, 1, frames=2)  # too short for it
    found = rescore(lattice, grammar, automaton(read_model(tmp_path / "lm"), lang.words))
    assert {tuple(found.words_of(p)) for p in all_paths(found)} <= {()}
