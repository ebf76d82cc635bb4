"""The oracle path has the fewest errors of all, and of those with as few it is the cheapest."""

from __future__ import annotations

import numpy as np
import pytest

from chainstitch.utils.decode.graph import Graph
from chainstitch.utils.decode.lattice import LatticeDecoder
from chainstitch.utils.decode.oracle import oracle_path
from chainstitch.utils.score.wer import align
from tests.reference.lattice_paths import paths


def scores(seed: int, frames: int, pdfs: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 1.0, (frames, pdfs)).astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_best_of_all_paths(trigram: Graph, seed: int) -> None:
    lattice = LatticeDecoder(trigram, 30.0, 3.0).decode(scores(seed, 6, trigram.num_pdfs))
    generator = np.random.default_rng(seed)
    words = sorted(n for n, word in trigram.words.items() if word in ("ab", "abc", "c", "ba"))
    reference = [int(w) for w in generator.choice(words, generator.integers(0, 5))]
    found = oracle_path(lattice.raw, reference)

    def errors(labels: list[int]) -> int:
        return align("u", [str(w) for w in reference], [str(w) for w in labels]).counts.errors

    everything = paths(lattice.raw)
    assert len(everything) > 1
    least = min((errors(labels), cost) for labels, _, cost in everything)
    assert found.errors == errors(found.labels) == least[0]
    cost = min(c for *path, c in everything if path == [found.labels, found.pdfs])
    assert cost == pytest.approx(least[1], abs=1e-4)
    assert len(found.pdfs) == 6


def test_the_transcript_itself_is_found_where_it_is_not_the_best_path(trigram: Graph) -> None:
    decoder = LatticeDecoder(trigram, 30.0, 4.0)
    lattice = decoder.decode(scores(3, 6, trigram.num_pdfs))
    best = decoder.best_path(lattice).labels
    others = [labels for labels, _, _ in paths(lattice.raw) if labels and labels != best]
    assert oracle_path(lattice.raw, others[-1]).labels == others[-1]


def test_a_lattice_without_an_end_is_refused() -> None:
    import kaldifst

    lattice = kaldifst.Lattice()
    lattice.start = lattice.add_state()
    with pytest.raises(ValueError, match="no path"):
        oracle_path(lattice, [1])
