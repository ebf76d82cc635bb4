"""Chunks: inside the utterance, of the lengths asked for, cheap, spread as the text says."""

from __future__ import annotations

from itertools import combinations_with_replacement, pairwise

import numpy as np
import pytest

from chainstitch.utils.data.chunks import ChunkSplitter
from chainstitch.utils.errors import UsageError


def cost(frames, split):
    spare = frames - sum(split)
    return 2 * spare if spare > 0 else -spare


@pytest.mark.parametrize("frames", [34, 47, 60, 90, 133, 200, 351])
def test_chunks_lie_inside_in_order_and_cost_at_most_twice_the_best(frames):
    splitter, generator = ChunkSplitter("140,100,160"), np.random.default_rng(0)
    a, b, c = splitter.lengths
    assert (a, b, c) == (47, 34, 54)
    best = min(
        cost(frames, split)
        for n in range(frames // a + 2)
        for k in range(3)
        for others in combinations_with_replacement((a, b, c), k)
        if (split := (a,) * n + others) and max(split) <= frames
    )
    seen = set()
    for _ in range(50):
        chunks = splitter.split(frames, generator)
        lengths = [n for _, n in chunks]
        seen.add(tuple(lengths))
        assert cost(frames, lengths) <= 2 * best
        assert chunks[0][0] >= 0 and chunks[-1][0] + chunks[-1][1] <= frames
        for (first, length), (second, _) in pairwise(chunks):
            assert first < second
            if sum(lengths) <= frames:
                assert first + length <= second
        if sum(lengths) > frames:  # overlapping ones cover all
            assert chunks[0][0] == 0 and chunks[-1][0] + chunks[-1][1] == frames
        assert lengths in (sorted(lengths), sorted(lengths, reverse=True))
    if frames == 133:
        assert len(seen) > 1


def test_an_utterance_of_a_chunk_s_length_is_that_chunk():
    splitter = ChunkSplitter("150", 3)
    assert splitter.split(50, np.random.default_rng(1)) == [(0, 50)]


def test_utterances_shorter_than_the_shortest_chunk_have_none():
    assert ChunkSplitter("140,100,160").split(33, np.random.default_rng(0)) == []


def test_gaps_are_spread():
    splitter, generator = ChunkSplitter("30", 3), np.random.default_rng(0)
    begins = [splitter.split(13, generator)[0][0] for _ in range(200)]
    assert set(begins) == {0, 1, 2, 3}


@pytest.mark.parametrize("text", ["", "a,b", "0", "-3", "140,,100"])
def test_other_texts_are_refused(text):
    with pytest.raises(UsageError, match="140,100,160"):
        ChunkSplitter(text)
