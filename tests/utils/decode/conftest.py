"""A small graph, and the dull twin of the search."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainstitch.utils.decode.graph import Graph, load_graph
from chainstitch.utils.lang import ngram
from chainstitch.utils.lang.directory import write_lang
from chainstitch.utils.lang.lexicon import Lexicon
from tests.leaves import random_leaves

LEXICON: Lexicon = {  # phones: SIL 1, A 2, B 3, C 4
    "ab": [("A", "B")],
    "abc": [("A", "B", "C")],
    "c": [("C",)],
    "see": [("C",)],
    "ba": [("B", "A"), ("B", "C", "A")],
}
TEXT = ["ab c", "abc ba", "c c ab", "see ba", "ab c", "ba ab abc", "c", "abc ba", "see", "c c"]


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `uniform/` and `trigram/` (lang directories) and an empty `exp/`."""
    place = tmp_path_factory.mktemp("decode")
    sentences = [line.split() for line in TEXT]
    write_lang(place / "uniform", LEXICON, ngram.from_words())
    write_lang(place / "trigram", LEXICON, ngram.from_text(sentences, 3))
    (place / "exp").mkdir()
    return place


@pytest.fixture(scope="session")
def uniform(workplace: Path) -> Graph:
    """The graph of a uniform loop over LEXICON's words."""
    return load_graph(workplace / "exp", workplace / "uniform")


@pytest.fixture(scope="session")
def trigram(workplace: Path) -> Graph:
    """The graph of LEXICON with a small Kneser-Ney model, back-off arcs and all."""
    return load_graph(workplace / "exp", workplace / "trigram")


@pytest.fixture(scope="session")
def tree(workplace: Path) -> Graph:
    """The graph of the uniform loop with a left-biphone tree."""
    return load_graph(workplace / "exp", workplace / "uniform", random_leaves(0, 25, 4))


@pytest.fixture(scope="session")
def triphones(workplace: Path) -> Graph:
    """The graph of the uniform loop with a tree that asks on both sides."""
    leaves = random_leaves(2, 120, 4, 3)
    return load_graph(workplace / "exp", workplace / "uniform", leaves)


@pytest.fixture(scope="session")
def shared(workplace: Path) -> Graph:
    """The trigram's with a tree of so few leaves that phones share them."""
    return load_graph(workplace / "exp", workplace / "trigram", random_leaves(1, 7, 4))


@pytest.fixture(scope="session")
def shared_triphones(workplace: Path) -> Graph:
    """The same with context on both sides."""
    leaves = random_leaves(3, 7, 4, 3)
    return load_graph(workplace / "exp", workplace / "trigram", leaves)
