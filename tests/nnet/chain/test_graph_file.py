"""Kept graphs are the graphs that were compiled, or are compiled again."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from chainstitch.nnet.chain import graph_file
from chainstitch.nnet.chain.graph_file import GraphFile, from_bytes, to_bytes, write_graphs
from chainstitch.nnet.chain.numerator import NumeratorCompiler, NumeratorGraph
from chainstitch.nnet.chain.supervision import NumeratorStore, UnknownWord
from chainstitch.utils.data.array_file import Texts
from chainstitch.utils.errors import UserError
from chainstitch.utils.lang.directory import read_lang
from tests.toy import WORDS, Toy

TEXTS = [*WORDS, "low high", "hush hush rise", "", "low low low low low low low"]


def same(one: NumeratorGraph | None, other: NumeratorGraph | None) -> bool:
    """Whether two graphs are the same, to the bit and the type."""
    if one is None or other is None:
        return one is other
    names = ("src", "dst", "pdf", "log_prob", "final")
    pairs = [(getattr(one, name), getattr(other, name)) for name in names]
    return one.frames == other.frames and all(
        a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs
    )


@pytest.mark.parametrize("most", [0, 9, 65_535, 65_536, 10**6])
@pytest.mark.parametrize("frames", [0, 7])
def test_graphs_go_through_bytes_unchanged(most: int, frames: int) -> None:
    draw = np.random.default_rng(most)
    arcs = draw.integers(0, 40)
    src, dst, pdf = (
        draw.integers(0, highest + 1, arcs).astype(np.int32) for highest in (8, 8, most)
    )
    graph = NumeratorGraph(src, dst, pdf, draw.normal(size=arcs), draw.random(9) < 0.5, frames)
    assert same(from_bytes(to_bytes(graph)), graph)


@pytest.fixture
def counted(toy: Toy, tmp_path: Path) -> Callable[[], tuple[NumeratorStore, list[object]]]:
    """Makes stores that keep their graphs, and lists of what they have compiled."""

    def make() -> tuple[NumeratorStore, list[object]]:
        calls: list[object] = []

        class Counting(NumeratorCompiler):
            def compile(self, acceptor):  # type: ignore[no-untyped-def]
                calls.append(acceptor)
                return super().compile(acceptor)

        compiler = Counting(toy.loss().denominator)
        return NumeratorStore(read_lang(toy.lang), compiler, keep=tmp_path / "kept"), calls

    return make


def test_kept_numerators_are_those_of_the_memory_and_compiled_once(toy: Toy, counted) -> None:
    texts, plain = Texts.of(TEXTS), toy.store()
    for compiled in (len(TEXTS), 0, 0):
        store, calls = counted()
        found = store.compiled(texts)
        assert len(calls) == compiled
        for n, text in enumerate(TEXTS):
            graph, needed = plain.get(text)
            assert same(found.graph(n), graph) and found.needed[n] == needed
            assert found.possible[n] == (graph is not None)


def test_other_makings_have_other_files(toy: Toy, counted) -> None:
    store, calls = counted()
    store.compiled(Texts.of(TEXTS))
    before = len(calls)
    store.compiled(Texts.of(TEXTS[1:]))
    store._pronunciations = store._pronunciations | {"low": [(2, 3)]}
    store.compiled(Texts.of(TEXTS))
    store.compiler.key += b"another denominator"
    store.compiled(Texts.of(TEXTS))
    assert len(calls) == before + 3 * len(TEXTS) - 1
    assert len(list(store.keep.iterdir())) == 4


def test_several_processes_make_the_same_file(toy: Toy, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(graph_file, "PARALLEL", 2)
    found = []
    for nj in (1, 2):
        compiler = NumeratorCompiler(toy.loss().denominator)
        store = NumeratorStore(read_lang(toy.lang), compiler, None, tmp_path / str(nj), nj)
        store.compiled(Texts.of(TEXTS))
        (path,) = store.keep.iterdir()
        found.append((path.name, path.read_bytes()))
    assert found[0] == found[1]


def test_a_word_outside_the_lexicon_stops_before_anything_is_compiled(counted) -> None:
    store, calls = counted()
    with pytest.raises(UnknownWord, match="lou") as error:
        store.compiled(Texts.of(["low", "high lou lo", "lo"]))
    assert (error.value.number, error.value.word) == (1, "lou")
    assert not calls and not store.keep.exists()


def test_damage_is_found_and_named(counted, caplog: pytest.LogCaptureFixture) -> None:
    store, calls = counted()
    store.compiled(Texts.of(TEXTS))
    (path,) = store.keep.iterdir()
    whole = path.read_bytes()
    at = int(GraphFile(path).file["graph_at"][3])
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    found = counted()[0].compiled(Texts.of(TEXTS))
    assert found.graph(2) is not None and found.graph(4) is not None
    with pytest.raises(UserError, match=r"graph 3 is damaged; delete that file, and it will be"):
        found.graph(3)
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        caplog.clear()
        again, calls = counted()
        with caplog.at_level(logging.WARNING):
            again.compiled(Texts.of(TEXTS))
        assert len(calls) == len(TEXTS) and "making it again" in caplog.text
        assert path.read_bytes() == whole


def test_an_interrupted_compilation_leaves_nothing(tmp_path: Path) -> None:
    def graphs():  # type: ignore[no-untyped-def]
        yield b"one"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_graphs(tmp_path / "kept" / "a.bin", graphs(), {"needed": array("i")})
    assert list((tmp_path / "kept").iterdir()) == []


def test_threads_may_read_at_the_same_time(toy: Toy, counted) -> None:
    found, plain = counted()[0].compiled(Texts.of(TEXTS)), toy.store()
    with ThreadPoolExecutor(4) as pool:
        graphs = list(pool.map(found.graph, [*range(len(TEXTS))] * 20))
    for n, graph in enumerate(graphs):
        assert same(graph, plain.get(TEXTS[n % len(TEXTS)])[0])
