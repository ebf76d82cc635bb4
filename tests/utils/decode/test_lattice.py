"""The search finds what a dull Viterbi finds, at its cost; the sweep follows its formula."""

from __future__ import annotations

import itertools
import math
from typing import Any

import kaldifst
import numpy as np
import pytest
from numpy.typing import NDArray

from chainstitch.utils.decode.graph import Graph
from chainstitch.utils.decode.lattice import LatticeDecoder, _arcs
from chainstitch.utils.decode.via_k2 import K2Decoder, K2Lattice
from chainstitch.utils.errors import UserError
from chainstitch.utils.hmm import topology
from tests.k2.needed import needs_k2

Array = NDArray[np.float32]
GRAPHS = ["uniform", "trigram", "tree", "shared", "triphones", "shared_triphones"]
DecoderClass = type[LatticeDecoder] | type[K2Decoder]


@pytest.fixture(
    name="Decoder",
    params=[
        pytest.param(LatticeDecoder, id="kaldi"),
        pytest.param(K2Decoder, id="k2", marks=needs_k2),
    ],
)
def decoder_class(request: pytest.FixtureRequest) -> DecoderClass:
    """Each decoder in turn: what follows holds of both."""
    chosen: DecoderClass = request.param
    return chosen


def _scores(seed: int, frames: int, pdfs: int, spread: float = 2.0) -> Array:
    return np.random.default_rng(seed).normal(0.0, spread, (frames, pdfs)).astype(np.float32)


def _homophones(words: list[str]) -> list[str]:
    """The same list for all words that sound alike."""
    return ["c" if word == "see" else word for word in words]


def _viterbi(hlg: Any, log_likes: Array) -> tuple[float, list[int]]:
    """The cheapest complete path over all states, in float64, without pruning: the twin."""
    arcs = [
        (s, a.nextstate, a.ilabel, a.olabel, float(a.weight.value))
        for s in range(hlg.num_states)
        for a in kaldifst.ArcIterator(hlg, s)
    ]
    silent = [a for a in arcs if a[2] == 0]
    spoken = [a for a in arcs if a[2] != 0]
    Front = dict[int, tuple[float, list[int]]]

    def relax(front: Front) -> Front:
        changed = True
        while changed:
            changed = False
            for s, d, _, word, weight in silent:
                if s in front and front[s][0] + weight < front.get(d, (math.inf, []))[0] - 1e-12:
                    front[d] = (front[s][0] + weight, front[s][1] + [word] * (word > 0))
                    changed = True
        return front

    front = relax({hlg.start: (0.0, [])})
    for row in log_likes.astype(np.float64):
        new: Front = {}
        for s, d, label, word, weight in spoken:
            if s in front:
                cost = front[s][0] + weight - row[label - 1]
                if cost < new.get(d, (math.inf, []))[0]:
                    new[d] = (cost, front[s][1] + [word] * (word > 0))
        front = relax(new)
    ends = [(c + hlg.final(s).value, words) for s, (c, words) in front.items()]
    return min(ends, key=lambda end: end[0])


def _spelled(graph: Graph, log_likes: Array, longest: int) -> tuple[float, list[str]]:
    """The best sentence of a uniform loop, from lexicon and topology alone, no FST."""
    costs = -log_likes.astype(np.float64)
    prons = [(w, p) for w, ps in graph.pronunciations.items() for p in ps]
    word_cost = math.log(len(graph.pronunciations) + 1)
    best = (math.inf, [""])
    for number in range(longest + 1):
        for chosen in itertools.product(prons, repeat=number):
            for silences in itertools.product([(), (graph.silence,)], repeat=number + 1):
                phones = list(silences[0])
                for (_, pron), silence in zip(chosen, silences[1:], strict=True):
                    phones += [*pron, *silence]
                if len(phones) > len(costs) or not phones:
                    continue
                contexts = topology.in_context(phones)
                inside = np.full(len(phones), math.inf)
                for t, row in enumerate(costs):
                    before = np.concatenate([[0.0 if t == 0 else math.inf], inside[:-1]])
                    pdfs = np.array([graph.leaves.pdfs(*context) for context in contexts])
                    entry, loop = row[pdfs].T
                    inside = np.minimum(before + entry, inside + loop)
                cost = inside[-1] + len(costs) * math.log(2.0)
                cost += (number + 1) * (word_cost + math.log(2.0))
                if cost < best[0]:
                    best = (cost, [graph.words[w] for w, _ in chosen])
    return best


@pytest.mark.parametrize("grammar", GRAPHS)
@pytest.mark.parametrize("seed", range(8))
def test_best_path_is_viterbi_s(
    Decoder: DecoderClass, request: pytest.FixtureRequest, grammar: str, seed: int
) -> None:
    graph: Graph = request.getfixturevalue(grammar)
    log_likes = _scores(seed, 3 + 3 * seed, graph.num_pdfs)
    decoder = Decoder(graph, beam=60.0, lattice_beam=4.0)
    lattice = decoder.decode(log_likes)
    best = decoder.best_path(lattice)
    cost, labels = _viterbi(graph.hlg, log_likes)
    assert lattice.complete
    assert best.cost == pytest.approx(cost, abs=1e-3)
    assert _homophones(best.words) == _homophones([graph.words[label] for label in labels])
    assert best.cost == pytest.approx(best.graph_cost + best.acoustic_cost, abs=1e-9)


@pytest.mark.parametrize("leaves", ["uniform", "tree", "triphones"])
@pytest.mark.parametrize("seed", range(6))
def test_graph_s_costs_are_those_of_lexicon_silences_and_topology(
    Decoder: DecoderClass, request: pytest.FixtureRequest, seed: int, leaves: str
) -> None:
    graph: Graph = request.getfixturevalue(leaves)
    log_likes = _scores(seed, 4, graph.num_pdfs)
    decoder = Decoder(graph, beam=80.0)
    best = decoder.best_path(decoder.decode(log_likes))
    cost, words = _spelled(graph, log_likes, longest=4)
    # determinisation takes weights to 1/1024 each, so each word and the end are a little off
    assert best.cost == pytest.approx(cost, abs=5e-4 * (len(words) + 1))
    assert _homophones(best.words) == _homophones(words)


def _speak(graph: Graph, phones: list[int], frames: int) -> Array:
    """Log-likes that strongly prefer these phones, each `frames` long."""
    path = [
        graph.leaves.pdfs(*context)[n > 0]
        for context in topology.in_context(phones)
        for n in range(frames)
    ]
    log_likes = np.full((len(path), graph.num_pdfs), -9.0, dtype=np.float32)
    log_likes[np.arange(len(path)), path] = 0.0
    return log_likes


@pytest.mark.parametrize("leaves", ["uniform", "tree", "triphones"])
def test_spoken_words_are_found_with_their_times(
    Decoder: DecoderClass, request: pytest.FixtureRequest, leaves: str
) -> None:
    sil, a, b, c = 1, 2, 3, 4
    graph: Graph = request.getfixturevalue(leaves)
    decoder = Decoder(graph)
    lattice = decoder.decode(_speak(graph, [sil, b, c, a, a, b, sil, a, b, c, sil], 3))
    best = decoder.best_path(lattice)
    assert best.words == ["ba", "ab", "abc"]
    assert best.times == [(3, 12), (12, 18), (21, 30)]
    assert lattice.complete


def _all_paths(lattice: Any) -> list[tuple[float, float, list[int]]]:
    """(graph cost, acoustic cost, words) of every path."""
    return _paths_of_k2(lattice) if isinstance(lattice, K2Lattice) else _paths(lattice.raw)


def _paths_of_k2(lattice: K2Lattice) -> list[tuple[float, float, list[int]]]:
    leaving: dict[int, list[tuple[int, float, float, list[int]]]] = {}
    rows = zip(
        lattice.fsa.arcs.values().tolist(), lattice.fsa.graph_arc.tolist(), lattice.acoustic_cost,
        strict=True,
    )  # fmt: skip
    for (src, dst, _, _), origin, acoustic in rows:
        cost, words = float(lattice.graph.cost[origin]), lattice.graph.words[origin]
        leaving.setdefault(src, []).append((dst, cost, acoustic, words))
    found, todo = [], [(0, 0.0, 0.0, list[int]())]
    while todo:
        state, graph, acoustic, words = todo.pop()
        if state not in leaving:  # the one final state, as all paths are complete
            found.append((graph, acoustic, words))
        for dst, g, a, said in leaving.get(state, []):
            todo.append((dst, graph + g, acoustic + a, words + said))
    return found


def _paths(lattice: Any) -> list[tuple[float, float, list[int]]]:
    found, todo = [], [(lattice.start, 0.0, 0.0, ())]
    while todo:
        state, graph, acoustic, words = todo.pop()
        final = lattice.final(state)
        if math.isfinite(final.value1):
            found.append((graph + final.value1, acoustic + final.value2, list(words)))
        for arc in _arcs(lattice, state):
            said = (*words, arc.olabel) if arc.olabel else words
            weight = arc.weight
            todo.append((arc.nextstate, graph + weight.value1, acoustic + weight.value2, said))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_sweep_follows_its_formula_on_every_path_of_the_lattice(
    Decoder: DecoderClass, trigram: Graph, seed: int
) -> None:
    decoder = Decoder(trigram, beam=30.0, lattice_beam=6.0)
    lattice = decoder.decode(_scores(seed, 5, trigram.num_pdfs, spread=1.0))
    paths = _all_paths(lattice)
    assert 20 < len(paths) < 200_000
    chosen = set()
    for lmwt, wip in itertools.product((1.0, 7.0, 10.0, 17.0, 50.0), (-3.0, 0.0, 0.5, 4.0)):
        costs = [g + 10.0 / lmwt * a + wip * len(w) for g, a, w in paths]
        least = min(costs)
        best = decoder.best_path(lattice, lmwt, wip)
        assert best.cost == pytest.approx(least, abs=1e-3), (lmwt, wip)
        parts = best.graph_cost + 10.0 / lmwt * best.acoustic_cost + wip * len(best.words)
        assert best.cost == pytest.approx(parts, abs=1e-3)
        fitting = [w for c, (_, _, w) in zip(costs, paths, strict=True) if c < least + 1e-3]
        assert best.words in [[trigram.words[label] for label in labels] for labels in fitting]
        chosen.add(tuple(best.words))
    assert len(chosen) > 1  # the sweep has something to choose from
    again = decoder.best_path(lattice)  # the lattice is as it was
    assert again.cost == pytest.approx(min(g + a for g, a, _ in paths), abs=1e-3)


def test_one_decoder_serves_many_utterances(Decoder: DecoderClass, uniform: Graph) -> None:
    decoder = Decoder(uniform)
    first = decoder.decode(_scores(1, 30, uniform.num_pdfs))
    before = decoder.best_path(first)
    decoder.decode(_scores(2, 10, uniform.num_pdfs))
    assert decoder.best_path(first) == before
    assert decoder.best_path(decoder.decode(_scores(1, 30, uniform.num_pdfs))) == before


def test_utterance_too_short_for_its_word_is_partial(Decoder: DecoderClass, uniform: Graph) -> None:
    decoder = Decoder(uniform, beam=5.0)
    lattice = decoder.decode(_speak(uniform, [3], 2))  # only "ba" begins with B
    assert not lattice.complete
    best = decoder.best_path(lattice, 10.0, 0.5)
    assert len(best.words) == len(best.times) <= 1
    assert math.isfinite(best.cost)


def test_utterance_without_frames_is_empty(Decoder: DecoderClass, uniform: Graph) -> None:
    decoder = Decoder(uniform)
    lattice = decoder.decode(np.zeros((0, uniform.num_pdfs), np.float32))
    assert (lattice.frames, lattice.complete) == (0, False)
    best = decoder.best_path(lattice, 7.0, 1.0)
    assert (best.words, best.times, best.cost) == ([], [], 0.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_name_the_utterance(
    Decoder: DecoderClass, uniform: Graph, bad: float
) -> None:
    log_likes = _scores(0, 5, uniform.num_pdfs)
    log_likes[3, 2] = bad
    with pytest.raises(UserError, match="utt-7: 1 of 40 log-likelihoods are not finite"):
        Decoder(uniform).decode(log_likes, "utt-7")


def test_output_of_another_model_is_refused(Decoder: DecoderClass, uniform: Graph) -> None:
    with pytest.raises(UserError, match="the graph wants 8 pdfs; give the --lang"):
        Decoder(uniform).decode(_scores(0, 5, 10))


def test_silly_settings_are_refused(Decoder: DecoderClass, uniform: Graph) -> None:
    with pytest.raises(ValueError, match="beam wants above 0"):
        Decoder(uniform, beam=0.0)
    decoder = Decoder(uniform)
    lattice = decoder.decode(_scores(0, 5, 8))
    with pytest.raises(ValueError, match="lmwt"):
        decoder.best_path(lattice, 0.0)
