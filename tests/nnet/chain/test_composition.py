"""The compiled composition gives the twin's graphs to the bit: states, arcs and their order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chainstitch.nnet.chain import DenominatorGraph, NumeratorCompiler
from chainstitch.utils.hmm.pdf_acceptor import PdfAcceptor
from tests.nnet.chain.test_graph_file import same
from tests.reference.composition import Composer, min_frames
from tests.toy import WORDS, Toy


def random_denominator(draw: np.random.Generator, states: int, pdfs: int) -> DenominatorGraph:
    arcs = int(draw.integers(1, 6 * states))
    # and one out of each state, as none may be the last
    src = np.concatenate([draw.integers(0, states, arcs), np.arange(states)])
    dst, pdf = (draw.integers(0, most, arcs + states) for most in (states, pdfs))
    columns = (src, dst, pdf, draw.uniform(0.01, 1.0, arcs + states))
    return DenominatorGraph.from_arcs(*map(torch.from_numpy, columns), num_pdfs=pdfs)


def random_acceptor(draw: np.random.Generator, states: int, pdfs: int) -> PdfAcceptor:
    rows = []
    for _ in range(states):
        labels = sorted(draw.choice(pdfs, int(draw.integers(0, min(4, pdfs) + 1)), replace=False))
        rows.append({int(label): int(draw.integers(0, states)) for label in labels})
    return PdfAcceptor(rows, (draw.random(states) < 0.3).tolist(), int(draw.integers(0, 2)) * 9)


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_are_those_of_the_twin(seed: int) -> None:
    draw = np.random.default_rng(seed)
    pdfs = int(draw.integers(1, 9))
    graph = random_denominator(draw, int(draw.integers(1, 30)), pdfs)
    compiler, twin = NumeratorCompiler(graph), Composer(graph)
    for _ in range(10):
        acceptor = random_acceptor(draw, int(draw.integers(1, 40)), pdfs + 1)  # one unknown
        found, wanted = compiler.compile(acceptor), twin.compile(acceptor)
        assert same(found, wanted)
        if found is not None and wanted is not None:
            assert found.min_frames == min_frames(wanted)


def test_large_graphs_make_the_tables_grow() -> None:
    draw = np.random.default_rng(0)
    graph = random_denominator(draw, 200, 3)
    acceptor = random_acceptor(draw, 60, 3)
    found = NumeratorCompiler(graph).compile(acceptor)
    assert found is not None and len(found.final) > 4000
    assert same(found, Composer(graph).compile(acceptor))


def test_transcripts_are_those_of_the_twin(toy: Toy) -> None:
    store = toy.store()
    twin = toy.store()
    twin.compiler = Composer(toy.loss().denominator)  # type: ignore[assignment]
    for text in (*WORDS, "low high hush", "hush hush hush", "rise fall hiss low", ""):
        graph, needed = store.get(text)
        wanted, least = twin.get(text)
        assert same(graph, wanted) and needed == least
