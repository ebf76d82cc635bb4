"""Minimisation: fewer states, every pdf string as probable as before, nothing lost."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chainstitch.nnet.chain import DenominatorGraph, forward_backward
from chainstitch.nnet.chain.minimise import minimised


def graph_of(arcs, final, start):
    columns = (torch.tensor(column) for column in zip(*arcs, strict=True))
    final = torch.tensor(final, dtype=torch.float64)
    return DenominatorGraph.from_arcs(*columns, final, start, 4)


def random_arcs(rng, states):
    arcs = [(i, (i + 1) % states, 0, 0.25) for i in range(states)]
    for _ in range(3 * states):
        i, j = rng.integers(0, states, 2).tolist()
        arcs.append((i, j, int(rng.integers(0, 4)), float(rng.choice([0.125, 0.25]))))
    return arcs, rng.choice([0.0, 0.5], states).tolist()


def copied(rng, arcs, final, copies):
    """The same graph with every state `copies` times; arcs go to any copy."""
    states = len(final)
    many = [
        (i + states * k, j + states * int(rng.integers(copies)), n, p)
        for i, j, n, p in arcs
        for k in range(copies)
    ]
    return many, final * copies


@pytest.mark.parametrize("seed", range(6))
def test_states_of_one_future_become_one_and_path_sums_stay(seed):
    rng = np.random.default_rng(seed)
    arcs, final = random_arcs(rng, 5)
    many, ends = copied(rng, arcs, final, 3)
    fewer, kept, start = minimised(many, ends, 0)
    assert len(kept) <= 5 and len(fewer) <= len(arcs)
    y = torch.from_numpy(rng.normal(size=(3, 7, 4))).float()
    lengths = torch.tensor([7, 5, 1])
    for leaky in (0.0, 0.1):
        wanted = forward_backward(graph_of(many, ends, 0), y, lengths, leaky, "reference")
        found = forward_backward(graph_of(fewer, kept, start), y, lengths, leaky, "reference")
        torch.testing.assert_close(found[0], wanted[0], atol=1e-12, rtol=1e-12)
        torch.testing.assert_close(found[1], wanted[1], atol=1e-6, rtol=0)


def test_equal_arcs_into_states_that_become_one_both_count():
    arcs = [(0, 1, 0, 0.25), (0, 2, 0, 0.25), (1, 0, 1, 0.5), (2, 0, 1, 0.5)]
    fewer, final, start = minimised(arcs, [0.0, 0.0, 0.0])
    assert len(final) == 2
    assert sorted((n, p) for s, _, n, p in fewer if s == start) == [(0, 0.25), (0, 0.25)]


def test_different_ends_keep_states_apart():
    arcs = [(0, 1, 0, 0.25), (0, 2, 1, 0.25), (1, 0, 1, 0.5), (2, 0, 1, 0.5)]
    _, final, _ = minimised(arcs, [0.0, 0.5, 0.25])
    assert sorted(final) == [0.0, 0.25, 0.5]


def test_states_that_the_start_does_not_reach_go():
    _, final, start = minimised([(1, 1, 0, 0.5), (0, 1, 0, 0.5)], [0.5, 0.5], start=1)
    assert final == [0.5] and start == 0
