"""Minimum Bayes risk against its twins, and its times."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chainstitch.utils.decode.compact import best_path, from_rows
from chainstitch.utils.decode.mbr import closest_path, consensus
from tests.reference import mbr as twin
from tests.utils.decode.small_lattices import all_paths, random_lattice, rows_of

WIDE = 1e3


@pytest.mark.parametrize("seed", range(12))
def test_risk_is_the_recursion_s_and_no_less_than_the_expected_errors(seed: int) -> None:
    lattice = random_lattice(seed)
    costs = lattice.costs(12.0, 0.3)
    rows = rows_of(lattice, costs)
    found = consensus(lattice, costs, WIDE)
    wanted = twin.recursion(rows, lattice.end, found.words)
    assert found.risk == pytest.approx(wanted, abs=2e-4)
    true = twin.expected_errors(twin.paths(rows, lattice.end), found.words)
    assert found.risk >= true - 1e-9
    best = lattice.words_of(best_path(lattice, costs))
    assert found.risk <= twin.recursion(rows, lattice.end, best) + 2e-4


@pytest.mark.parametrize("seed", range(12))
def test_where_paths_never_meet_the_risk_is_the_expected_errors(seed: int) -> None:
    lattice = random_lattice(seed, 9, one_way=True)
    costs = lattice.costs()
    paths = twin.paths(rows_of(lattice, costs), lattice.end)
    found = consensus(lattice, costs, WIDE)
    # the mean over the paths that meet at the end is exact
    assert found.risk == pytest.approx(twin.expected_errors(paths, found.words), abs=2e-4)
    best = lattice.words_of(best_path(lattice, costs))
    assert found.risk <= twin.expected_errors(paths, best) + 2e-4
    assert all(0.0 <= sure <= 1.0 for sure in found.confidence)


def test_confidences_of_a_confusion_network_are_its_probabilities() -> None:
    shares = [{1: 0.7, 2: 0.3}, {3: 0.6, 0: 0.4}, {0: 0.8, 4: 0.2}, {2: 1.0}]
    rows = [
        (n, n + 1, word, -math.log(share), 0.0)
        for n, column in enumerate(shares)
        for word, share in column.items()
    ]
    lattice = from_rows(len(shares), rows, [[] for _ in rows])
    found = consensus(lattice, lattice.costs(), WIDE)
    assert found.words == [1, 3, 2]
    assert found.confidence == pytest.approx([0.7, 0.6, 1.0])
    assert found.risk == pytest.approx(0.3 + 0.4 + 0.2, abs=1e-4)


def test_it_is_not_the_best_path_where_many_agree_on_a_word() -> None:
    # "1 1" is the likeliest, but most say 2 first, and most say 3 then
    shares = {(1, 1): 0.4, (2, 3): 0.35, (2, 4): 0.05, (4, 3): 0.2}
    rows, state = [], 1
    for (one, two), share in shares.items():
        rows += [(0, state, one, -math.log(share), 0.0), (state, 5, two, 0.0, 0.0)]
        state += 1
    rows.sort()
    lattice = from_rows(5, rows, [[] for _ in rows])
    costs = lattice.costs()
    assert lattice.words_of(best_path(lattice, costs)) == [1, 1]
    found = consensus(lattice, costs, WIDE)
    assert found.words in ([2, 3], [1, 3])
    assert found.risk < twin.expected_errors(
        list(zip(shares, map(lambda s: -math.log(s), shares.values()), strict=True)), (1, 1)
    )


@pytest.mark.parametrize("seed", range(8))
def test_the_closest_path_has_the_fewest_edits_then_the_least_cost(seed: int) -> None:
    lattice = random_lattice(seed)
    costs = lattice.costs()
    words = np.random.default_rng(seed).integers(1, 5, 4).tolist()
    path, pairs = closest_path(lattice, costs, words, WIDE)
    ranked = [
        (twin.edit_distance(lattice.words_of(p), words), costs[p].sum()) for p in all_paths(lattice)
    ]
    edits, cost = min(ranked)
    said = lattice.words_of(path)
    assert twin.edit_distance(said, words) == edits
    assert costs[path].sum() == pytest.approx(cost, abs=1e-6)
    paired = [p for p in pairs if p >= 0]
    assert paired == sorted(set(paired)) and all(0 <= p < len(said) for p in paired)
    wrong = sum(said[p] != w for p, w in zip(pairs, words, strict=True) if p >= 0)
    assert wrong + pairs.count(-1) + len(said) - len(paired) == edits
