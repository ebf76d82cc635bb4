"""Beam search and sweep of lattice.py through k2, where it is installed: the same contract.

k2's dense intersection wants every arc to take a frame, so HLG's epsilons are removed first; of
two ways without a frame between the same states the cheaper one stays. Its label 0 is an ordinary
column, of which no arc is left, and -1 leads to the one final state. It knows no partial paths (of
k2 1.23.4; later ones can be asked for them): an utterance without a complete one is searched
again, with every state final, as Kaldi sees it. Nor does its beam reach the step to the end: where
it is narrow, lattice.py takes more utterances for partial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chainstitch.utils.arguments import check_numbers
from chainstitch.utils.decode.compact import SEARCH_LMWT
from chainstitch.utils.decode.graph import Graph
from chainstitch.utils.decode.lattice import BOUNDS, Hypothesis, check_log_likes
from chainstitch.utils.optional import load_k2

MAX_ACTIVE_STATES = 2**30  # more than there are: the beam alone decides, as in lattice.py


@dataclass(frozen=True)
class _SearchGraph:
    """What k2 searches.

    Attributes:
        fsa: a `k2.Fsa` of three axes; `graph_arc` of its arcs are their rows in the others.
        arcs: (arcs, 4) int32, as k2 has them: source, destination, label, bits of the score.
        words: of each arc.
    """

    fsa: Any
    arcs: Tensor
    words: list[list[int]]

    @cached_property
    def cost(self) -> NDArray[np.float64]:
        """(arcs,)"""
        return -self.arcs[:, 3].contiguous().view(torch.float32).double().numpy()

    @cached_property
    def num_words(self) -> NDArray[np.int64]:
        """(arcs,)"""
        return np.array([len(words) for words in self.words], np.int64)


@dataclass(frozen=True)
class K2Lattice:
    """What the search kept of one utterance; `frames` and `complete` as `DecodedLattice` has them.

    Attributes:
        fsa: the `k2.Fsa`, or None when there were no frames; its scores are for work.
        graph: what was searched; `fsa.graph_arc` says where each arc is from.
        acoustic_cost: (arcs,) of each arc of `fsa`.
    """

    frames: int
    complete: bool
    graph: _SearchGraph
    fsa: Any
    acoustic_cost: NDArray[np.float64]


class K2Decoder:
    """Decodes utterance by utterance, as `LatticeDecoder` does; one object per thread."""

    def __init__(self, graph: Graph, beam: float = 15.0, lattice_beam: float = 8.0) -> None:
        """
        Args:
            graph, beam, lattice_beam: as `LatticeDecoder` has them.

        Raises:
            ValueError: a beam is not positive.
            UnusableError: k2 is not there, or does not load.
        """
        check_numbers("decoder", BOUNDS, beam=beam, lattice_beam=lattice_beam)
        self._k2 = load_k2()
        self.graph = graph
        self._beams = beam, lattice_beam
        self._complete = self._without_epsilons()

    def decode(self, log_likes: NDArray[np.float32], name: str = "utterance") -> K2Lattice:
        """Searches one utterance; arguments and errors as `LatticeDecoder.decode` has them."""
        check_log_likes(log_likes, self.graph.num_pdfs, name)
        frames = len(log_likes)
        if frames == 0:
            return K2Lattice(0, False, self._complete, None, np.zeros(0))
        graph = self._complete
        fsa = self._search(graph, log_likes)
        complete = fsa.num_arcs > 0
        if not complete:
            graph = self._partial
            fsa = self._search(graph, log_likes)
        if fsa.num_arcs == 0:  # not with finite scores: a state inside a phone can always stay
            raise RuntimeError(f"{name}: the search lost all its paths")
        labels = fsa.labels.numpy()
        spoken = labels > 0
        acoustic_cost = np.zeros(len(labels))
        acoustic_cost[spoken] = -log_likes[fsa.frame.numpy()[spoken], labels[spoken] - 1]
        fsa.lattice_arc = torch.arange(len(labels), dtype=torch.int32)
        return K2Lattice(frames, complete, graph, fsa, acoustic_cost)

    def best_path(
        self, lattice: K2Lattice, lmwt: float = SEARCH_LMWT, wip: float = 0.0
    ) -> Hypothesis:
        """The cheapest path of the lattice; cost and errors as `LatticeDecoder` has them."""
        check_numbers("decoder", BOUNDS, lmwt=lmwt, wip=wip)
        if lattice.fsa is None:
            return Hypothesis(self.graph, [], [], 0.0, 0.0, 0.0, lattice.complete)
        graph, acoustic_cost = lattice.graph, lattice.acoustic_cost
        scale = SEARCH_LMWT / lmwt
        origin = lattice.fsa.graph_arc.numpy()
        costs = graph.cost[origin] + scale * acoustic_cost + wip * graph.num_words[origin]
        lattice.fsa.scores = torch.from_numpy(-costs).float()
        best = self._k2.shortest_path(lattice.fsa, use_double_scores=True)
        path, origin = best.lattice_arc.numpy(), best.graph_arc.numpy()
        labels = [word for arc in origin for word in graph.words[arc]]
        pdfs = [label - 1 for label in best.labels.tolist() if label > 0]
        return Hypothesis(
            self.graph, labels, pdfs, float(costs[path].sum()),
            graph_cost=float(graph.cost[origin].sum()),
            acoustic_cost=float(acoustic_cost[path].sum()),
            complete=lattice.complete,
        )  # fmt: skip

    def _search(self, graph: _SearchGraph, log_likes: NDArray[np.float32]) -> Any:
        beam, lattice_beam = self._beams
        # a constant in a frame changes no path; without it floats have digits to spare
        likes = log_likes - log_likes.max(1, keepdims=True)
        scores = np.pad(likes, ((0, 0), (1, 0)), constant_values=-np.inf)  # label 0 is no pdf
        segment = torch.tensor([[0, 0, len(likes)]], dtype=torch.int32)
        dense = self._k2.DenseFsaVec(torch.from_numpy(scores)[None], segment)
        return self._k2.intersect_dense_pruned(
            graph.fsa, dense, search_beam=beam, output_beam=lattice_beam, min_active_states=0,
            max_active_states=MAX_ACTIVE_STATES, seqframe_idx_name="frame",
        )  # fmt: skip

    def _without_epsilons(self) -> _SearchGraph:
        """HLG as k2 wants it: state 0 first, the final state last, no epsilons."""
        rows, words, scores = _rows(self.graph.hlg)
        arcs = torch.tensor(rows, dtype=torch.int32)
        arcs = torch.cat([arcs, torch.tensor(scores).view(torch.int32)[:, None]], 1)
        fsa = self._k2.Fsa(arcs, aux_labels=torch.tensor(words, dtype=torch.int32))
        fsa = self._k2.connect(self._k2.remove_epsilon(fsa))
        return self._search_graph(fsa.arcs.values(), fsa.aux_labels.tolist())

    @cached_property
    def _partial(self) -> _SearchGraph:
        """The same with every state final, at no cost."""
        arcs, words = self._complete.arcs, self._complete.words
        inside = (arcs[:, 2] >= 0).nonzero().flatten()
        end = int(arcs[:, 1].max())
        final = torch.zeros(end, 4, dtype=torch.int32)
        final[:, 0], final[:, 1], final[:, 2] = torch.arange(end), end, -1
        kept = [words[i] for i in inside.tolist()]
        return self._search_graph(torch.cat([arcs[inside], final]), kept + [[]] * end)

    def _search_graph(self, arcs: Tensor, words: list[list[int]]) -> _SearchGraph:
        order = arcs[:, 0].argsort()
        fsa = self._k2.Fsa(arcs[order])
        fsa.graph_arc = order.int()
        return _SearchGraph(self._k2.create_fsa_vec([self._k2.arc_sort(fsa)]), arcs, words)


def _rows(hlg: Any) -> tuple[list[tuple[int, int, int]], list[int], list[float]]:
    """(source, destination, label), word and score of each arc of HLG, by source, start first."""
    import kaldifst

    end = hlg.num_states
    number = list(range(end))
    number[0], number[hlg.start] = number[hlg.start], 0
    arcs = []
    for s in range(end):
        for a in kaldifst.ArcIterator(hlg, s):
            arcs.append((number[s], number[a.nextstate], a.ilabel, a.olabel, -a.weight.value))
        last = hlg.final(s).value
        if math.isfinite(last):
            arcs.append((number[s], end, -1, -1, -last))
    arcs.sort(key=lambda arc: arc[0])
    src, dst, label, word, score = zip(*arcs, strict=True)
    return list(zip(src, dst, label, strict=True)), list(word), list(score)
