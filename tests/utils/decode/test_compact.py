"""Compact lattices: from the search, their paths, and to the disk and back."""

from __future__ import annotations

import gzip
import math
import re
from pathlib import Path
from typing import Any

import kaldifst
import numpy as np
import pytest

from chainstitch.utils.decode.archive import read_lattices, to_text
from chainstitch.utils.decode.compact import best_path, in_order, n_best, prune
from chainstitch.utils.decode.determinise import determinise
from chainstitch.utils.decode.graph import Graph
from chainstitch.utils.decode.lattice import LatticeDecoder, _arcs
from chainstitch.utils.errors import UserError
from tests.utils.decode.small_lattices import all_paths, random_lattice

Best = dict[tuple[int, ...], tuple[float, float, float, tuple[int, ...]]]


def _best_by_words(lattice: Any) -> Best:
    """Of each sequence of words its best path, all paths looked at: cost, graph, acoustic, pdfs."""
    best: Best = {}
    todo: list[Any] = [(lattice.start, 0.0, 0.0, (), ())]
    while todo:
        state, graph, acoustic, words, pdfs = todo.pop()
        final = lattice.final(state)
        if math.isfinite(final.value1):
            g, a = graph + final.value1, acoustic + final.value2
            if g + a < best.get(words, (math.inf,))[0]:
                best[words] = (g + a, g, a, pdfs)
        for arc in _arcs(lattice, state):
            todo.append(
                (
                    arc.nextstate, graph + arc.weight.value1, acoustic + arc.weight.value2,
                    (*words, arc.olabel) if arc.olabel else words,
                    (*pdfs, arc.ilabel - 1) if arc.ilabel else pdfs,
                )
            )  # fmt: skip
    return best


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("grammar", ["trigram", "shared_triphones"])
def test_every_sequence_of_words_in_the_beam_has_one_path_its_best(
    request: pytest.FixtureRequest, grammar: str, seed: int
) -> None:
    graph: Graph = request.getfixturevalue(grammar)
    log_likes = np.random.default_rng(seed).normal(size=(6, graph.num_pdfs)).astype(np.float32)
    raw = LatticeDecoder(graph, beam=30.0, lattice_beam=6.0).decode(log_likes).raw
    best = _best_by_words(raw)
    least = min(best.values())[0]
    for beam in (6.0, 3.0):
        lattice = determinise(raw, beam)
        costs = lattice.costs()
        paths = all_paths(lattice)
        found = {tuple(lattice.words_of(path)): path for path in paths}
        assert len(found) == len(paths)
        assert set(found) >= {words for words, (c, *_) in best.items() if c < least + beam - 1e-3}
        for words, path in found.items():
            cost, graph_cost, acoustic, pdfs = best[words]
            assert costs[path].sum() == pytest.approx(cost, abs=1e-3)
            assert lattice.graph[path].sum() == pytest.approx(graph_cost, abs=1e-3)
            assert lattice.acoustic[path].sum() == pytest.approx(acoustic, abs=1e-3)
            assert tuple(lattice.frames_of(path)) == pdfs


def test_too_many_arcs_narrow_the_beam_to_the_one_that_is_said(
    caplog: pytest.LogCaptureFixture, trigram: Graph
) -> None:
    log_likes = np.random.default_rng(0).normal(size=(6, trigram.num_pdfs)).astype(np.float32)
    raw = LatticeDecoder(trigram, beam=30.0, lattice_beam=6.0).decode(log_likes).raw
    best = _best_by_words(raw)
    least = min(best.values())[0]
    whole, sizes = len(determinise(raw, 6.0)), []
    assert whole > 50 and not caplog.messages
    for most in (8, 20, 40):
        caplog.clear()
        lattice = determinise(raw, 6.0, "utt-7", most)
        (message,) = caplog.messages
        said = re.fullmatch(
            rf"utt-7: the lattice would have more than {most} arcs; "
            r"its beam is ([\d.]+) instead of 6",
            message,
        )
        assert said
        costs, paths = lattice.costs(), all_paths(lattice)
        assert len({arc for path in paths for arc in path}) == len(lattice)  # no dead ends
        found = {tuple(lattice.words_of(path)): path for path in paths}
        assert len(found) == len(paths)
        near = least + float(said[1]) - 6e-3
        assert set(found) >= {words for words, (cost, *_) in best.items() if cost < near}
        for words, path in found.items():
            assert costs[path].sum() == pytest.approx(best[words][0], abs=1e-3)
            assert tuple(lattice.frames_of(path)) == best[words][3]
        sizes.append(len(lattice))
    assert 0 < sizes[0] < sizes[1] < sizes[2] < whole


def test_of_paths_that_no_beam_tells_apart_the_best_alone_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # two ways through 12 words, each 1 or 2, with other pdfs; all cost the same, so there are 2^12
    # sequences and no two of them end in the same subset
    raw, words = kaldifst.Lattice(), 12
    free = kaldifst.LatticeWeight(0.0, 0.0)
    states = [raw.add_state() for _ in range(2 * words + 2)]
    raw.start = states[0]
    for n in range(words):
        for way in (0, 1):
            source = states[2 * n + way] if n else states[0]
            for word in (1, 2):
                pdf = 1 + 2 * word + way
                raw.add_arc(source, kaldifst.LatticeArc(pdf, word, free, states[2 * n + 2 + way]))
    for way in (0, 1):
        raw.set_final(states[2 * words + way], free)
    assert len(determinise(raw, 2.0)) > 2**words
    lattice = determinise(raw, 2.0, "utt-7", 100)
    assert caplog.messages[0].endswith("no beam makes it fewer; the best path alone is kept")
    (path,) = all_paths(lattice)
    assert len(lattice.words_of(path)) == len(lattice.frames_of(path)) == words
    assert lattice.costs()[path].sum() == 0.0
    assert [pdf // 2 for pdf in lattice.frames_of(path)] == lattice.words_of(path)


@pytest.mark.parametrize("seed", range(5))
def test_best_paths_come_in_order_and_pruning_keeps_those_in_the_beam(seed: int) -> None:
    lattice = random_lattice(seed)
    costs = lattice.costs(8.0, 0.5)
    wanted = sorted(float(costs[path].sum()) for path in all_paths(lattice))
    found = [float(costs[path].sum()) for path in n_best(lattice, costs, 10_000)]
    assert found == pytest.approx(wanted)
    assert n_best(lattice, costs, 3) == n_best(lattice, costs, 10_000)[:3]
    kept = set(prune(lattice, costs, 1.0).tolist())
    inside = [p for p in all_paths(lattice) if costs[p].sum() <= wanted[0] + 1.0]
    assert kept == {arc for path in inside for arc in path}


def test_what_is_read_back_is_what_was_written(tmp_path: Path) -> None:
    lattices = {f"utt-{seed}": random_lattice(seed) for seed in range(4)}
    path = tmp_path / "lat.1.gz"
    path.write_bytes(gzip.compress("".join(to_text(n, x) for n, x in lattices.items()).encode()))
    found = dict(read_lattices([path], 4, 9))
    assert list(found) == list(lattices)
    for name, lattice in lattices.items():
        again = found[name]
        paths = {tuple(lattice.words_of(p)): p for p in all_paths(lattice)}
        assert len(again) == len(lattice)
        best, best_again = best_path(lattice, lattice.costs()), best_path(again, again.costs())
        assert again.words_of(best_again) == lattice.words_of(best)
        assert again.frames_of(best_again) == lattice.frames_of(best)
        assert len(all_paths(again)) == len(all_paths(lattice)) and paths


def test_kaldi_s_text_is_read_in_any_order_of_states(tmp_path: Path) -> None:
    path = tmp_path / "lat.1"
    path.write_text("a \n0 2 1 1.5,-20,3_4\n2 1 2 0,5,\n1 0.5,-10,9\n1\n\n".replace("1\n\n", "\n"))
    ((name, lattice),) = read_lattices([path], 4, 9)
    (best,) = all_paths(lattice)
    assert name == "a" and lattice.words_of(best) == [1, 2] and lattice.frames_of(best) == [2, 3, 8]
    assert lattice.costs(10.0)[best].sum() == pytest.approx(2.0 - 2.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n0 1 2 0,0,1\n1 0,0,\n", "ends within a"),
        ("a\n0 1 9 0,0,1\n1 0,0,\n\n", ":2: .*a word of 0 to 4"),
        ("a\n0 1 2 0,0,77\n1 0,0,\n\n", ":2: .*labels of 1 to 9"),
        ("a\n0 1 2 0,0\n\n", ":2: .*graph,acoustic,labels"),
        ("a\n0 1 2 0,inf,3\n\n", ":2: "),
        ("a\n0 1 2 0,0,1\n1 0 2 0,0,1\n1 0,0,\n\n", "lattice of a: it has a cycle"),
        ("a\n0 0,0,\n\na\n0 0,0,\n\n", ":4: .*not there before"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "lat.1.gz"
    path.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(UserError, match=said):
        list(read_lattices([path], 4, 9))


def test_a_lattice_without_arcs_has_no_path() -> None:
    lattice = in_order(1, [], [])
    assert best_path(lattice, lattice.costs()) == [] and n_best(lattice, lattice.costs(), 5) == []
