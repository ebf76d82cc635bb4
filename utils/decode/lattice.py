r"""Beam search over HLG into a lattice, and the best path of a lattice at a point of the sweep.

The search (kaldi-decoder's LatticeSimpleDecoder) runs once per utterance, with acoustic scale 1.
What is tuned afterwards, on the lattice, follows Kaldi's scoring scripts:

    cost = graph + (10 / lmwt) acoustic + wip * words,    acoustic = -sum of log-likes,

where "graph" is the cost of HLG (grammar, silences, log 2 per frame of topology). lmwt 10 is the
scale of the search.

How far the sweep reaches: a lattice keeps the paths that are within `lattice_beam` of the best one
*at lmwt 10, wip 0*. A path whose cost there is worse by more is gone, whatever another point would
make of it; the further a point is from lmwt 10, the more likely its best path is missing. A larger
`lattice_beam` (and a `beam` well above it) buys range with time and memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainstitch.utils.arguments import check_numbers
from chainstitch.utils.decode.compact import SEARCH_LMWT
from chainstitch.utils.decode.graph import Graph
from chainstitch.utils.decode.times import word_times
from chainstitch.utils.errors import UserError

BOUNDS = {"beam": "(0, inf)", "lattice_beam": "(0, inf)", "lmwt": "(0, inf)", "wip": "any"}


@dataclass(frozen=True)
class Hypothesis:
    """The best path at one point of the sweep.

    Attributes:
        labels: of the words, in `graph.words`; pdfs: one of each frame.
        cost: as above; `graph_cost` and `acoustic_cost` are its first two parts, unscaled.
        complete: whether it reached the end of a sentence.
    """

    graph: Graph = field(repr=False, compare=False)
    labels: list[int]
    pdfs: list[int]
    cost: float
    graph_cost: float
    acoustic_cost: float
    complete: bool

    @property
    def words(self) -> list[str]:
        """What was said."""
        return [self.graph.words[label] for label in self.labels]

    @property
    def times(self) -> list[tuple[int, int]]:
        """(first frame, last frame + 1) of each word, in output frames; each time worked out anew,
        as few of a sweep's paths are asked for them."""
        return word_times(self.pdfs, self.labels, self.graph, self.complete)


class DecodedLattice:
    """What the search kept of one utterance.

    Attributes:
        frames: how many output frames were decoded.
        complete: whether a path reached the end of a sentence; if not, the paths are partial ones.
    """

    def __init__(self, lattice: Any, frames: int, complete: bool) -> None:
        self.frames, self.complete = frames, complete
        self._by_wip = {0.0: lattice}  # None for an utterance without frames

    @property
    def raw(self) -> Any:
        """The `kaldifst.Lattice` (weights: graph, acoustic), or None when there were no frames."""
        return self._by_wip[0.0]

    def with_penalty(self, wip: float) -> Any:
        """The lattice with `wip` added to the graph cost of every word."""
        if wip not in self._by_wip:
            self._by_wip[wip] = _add_penalty(self.raw, wip)
        return self._by_wip[wip]


class LatticeDecoder:
    """Decodes utterance by utterance; one object per thread.

    Example:
        decoder = LatticeDecoder(load_graph(exp, lang))
        lattice = decoder.decode(log_likes, "utt-1")
        print(*decoder.best_path(lattice, lmwt=9.0, wip=0.5).words)
    """

    def __init__(self, graph: Graph, beam: float = 15.0, lattice_beam: float = 8.0) -> None:
        """
        Args:
            graph: from `load_graph`.
            beam: paths worse than the best one of a frame by more are given up.
            lattice_beam: paths worse than the best one of the utterance by more are not kept.

        Raises:
            ValueError: a beam is not positive and finite.
        """
        import kaldi_decoder

        check_numbers("decoder", BOUNDS, beam=beam, lattice_beam=lattice_beam)
        self.graph = graph
        config = kaldi_decoder.LatticeSimpleDecoderConfig(beam=beam, lattice_beam=lattice_beam)
        self._search = kaldi_decoder.LatticeSimpleDecoder(graph.hlg, config)

    def decode(self, log_likes: NDArray[np.float32], name: str = "utterance") -> DecodedLattice:
        """Searches one utterance.

        Args:
            log_likes: (frames, num_pdfs), natural logarithm, normalised or not.
            name: what errors call it.

        Raises:
            UserError: numbers that are not finite or too large, or not one column per pdf of the
                graph.
        """
        import kaldi_decoder

        check_log_likes(log_likes, self.graph.num_pdfs, name)
        frames = len(log_likes)
        if frames == 0:
            return DecodedLattice(None, 0, complete=False)
        # Despite its name DecodableCtc knows no blank: label i reads column i - 1.
        scores = kaldi_decoder.DecodableCtc(np.ascontiguousarray(log_likes, dtype=np.float32))
        complete = bool(self._search.decode(scores))
        found, lattice = self._search.get_raw_lattice()
        if not found:  # a state inside a phone can always stay, if scores can be added up
            raise UserError(
                f"{name}: the search lost all its paths, as the network's output goes to "
                f"{np.abs(log_likes).max():g}; the model or its features are broken"
            )
        return DecodedLattice(lattice, frames, complete)

    def best_path(
        self, lattice: DecodedLattice, lmwt: float = SEARCH_LMWT, wip: float = 0.0
    ) -> Hypothesis:
        """The cheapest path of the lattice.

        Raises:
            ValueError: lmwt is not positive, or one of them not finite.
        """
        import kaldifst

        check_numbers("decoder", BOUNDS, lmwt=lmwt, wip=wip)
        if lattice.raw is None:
            return Hypothesis(self.graph, [], [], 0.0, 0.0, 0.0, lattice.complete)
        scale = SEARCH_LMWT / lmwt
        scaled = kaldifst.Lattice(lattice.with_penalty(wip))
        kaldifst.scale_lattice([[1.0, 0.0], [0.0, scale]], scaled)
        best = kaldifst.shortest_path(scaled)
        _, inputs, labels, weight = kaldifst.get_linear_symbol_sequence(best)
        graph, acoustic = weight.value1, weight.value2
        return Hypothesis(
            self.graph, labels, [i - 1 for i in inputs], graph + acoustic,
            graph_cost=graph - wip * len(labels), acoustic_cost=acoustic / scale,
            complete=lattice.complete,
        )  # fmt: skip


def check_log_likes(log_likes: NDArray[np.float32], num_pdfs: int, name: str) -> None:
    """Raises UserError unless log_likes is (frames, num_pdfs) and finite."""
    if log_likes.ndim != 2 or log_likes.shape[1] != num_pdfs:
        raise UserError(
            f"{name}: the network's output is {log_likes.shape}, the graph wants "
            f"{num_pdfs} pdfs; give the --lang that the model was trained with"
        )
    if not np.isfinite(log_likes).all():
        bad = int(np.sum(~np.isfinite(log_likes)))
        raise UserError(
            f"{name}: {bad} of {log_likes.size} log-likelihoods are not finite; the "
            "model or its features are broken"
        )


def _arcs(lattice: Any, state: int) -> Iterator[Any]:
    # kaldifst.ArcIterator refuses lattices; this is what it wraps for other FSTs.
    from kaldifst.lib._kaldifst import _ArcIteratorLattice

    arcs = _ArcIteratorLattice(lattice, state)
    while not arcs.done:
        yield arcs.value
        arcs.next()


def _add_penalty(lattice: Any, wip: float) -> Any:
    import kaldifst

    result = kaldifst.Lattice()
    result.reserve_states(lattice.num_states)
    for _ in range(lattice.num_states):
        result.add_state()
    result.start = lattice.start
    for state in range(lattice.num_states):
        result.set_final(state, lattice.final(state))
        for arc in _arcs(lattice, state):
            if arc.olabel:
                weight = kaldifst.LatticeWeight(arc.weight.value1 + wip, arc.weight.value2)
                arc = kaldifst.LatticeArc(arc.ilabel, arc.olabel, weight, arc.nextstate)
            result.add_arc(state, arc)
    return result
