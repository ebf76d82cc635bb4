r"""Growing a context tree: Gaussian likelihood, automatic questions, best split first.

**Splitting.** With the statistics s(l, p, r, c) of clustering.py, a leaf of the phone p with the
contexts C has the log-likelihood L(sum of s over C), and a question q that cuts C in two gains

    g(q, C) = L(s(C & q)) + L(s(C - q)) - L(s(C)).                                              (1)

The naive form: try all questions at all leaves, split where (1) is largest, start again. As the
best question of a leaf does not depend on the other leaves, each is found once and waits in a heap;
a split only adds those of the two new leaves. Of questions that gain the same (they differ in
contexts without data) the first one is taken: the class, then sets of phones on the left, then on
the right, large ones before small ones. Only contexts with data count in (1): the others have
their leaf by the same questions.

**Merging.** Leaves of one phone, wherever they are in its tree, are merged bottom up as long as
that loses less than the worst split gained; and for each leaf merged away another split is made,
until there are as many leaves as were asked for. So N >= `leaves` are grown, and the cheapest
N - `leaves` merges taken, each of which loses less than any split gained. (Kaldi's build-tree with
--cluster-thresh=-1 merges as far as that goes and ends with fewer leaves than it was told.)

As Kaldi's `chain/build_tree.sh` with the roots that `prepare_lang.sh` writes ("shared split", one
set a phone): one root a phone, the class a question like another, no leaf for two phones, the same
sets asked for on both sides. `context_width` is Kaldi's --context-width, with its
--central-position=1. Not done: its --thresh of 300 (here `min_gain`, 0).
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chainstitch.utils.hmm.clustering import (
    VARIANCE_FLOOR,
    Array,
    log_likelihood,
    merges,
    phone_sets,
)
from chainstitch.utils.hmm.tree import CLASS, LEAF, Tree
from chainstitch.utils.hmm.tree_statistics import Statistics

logger = logging.getLogger(__name__)

_SAME = 1e-12  # gains this close, relative to the log-likelihood, are rounding


@dataclass(frozen=True)
class Growth:
    """How a tree came to be.

    Attributes:
        split: leaves before merging; merged: pairs of them that were made one.
        frames: how many frames the statistics are of.
        before, after: log-likelihood per frame with one Gaussian a phone, and with the leaves.
    """

    split: int
    merged: int
    frames: int
    before: float
    after: float


def build_tree(
    stats: Statistics,
    phones: Sequence[str],
    leaves: int,
    min_gain: float = 0.0,
    merge: bool = True,
    floor: float = VARIANCE_FLOOR,
    context_width: int = 2,
) -> tuple[Tree, Growth]:
    """Grows a tree with exactly `leaves` leaves, or with as many as the data allow (logged).

    Args:
        stats: of phones 1..P (tree_statistics.py).
        phones: names of phones 1..P.
        min_gain: splits that gain no more log-likelihood than this are not made.
        merge: whether leaves are merged after splitting.
        context_width: 2 to ask about the phone on the left, 3 for both sides.

    Raises:
        ValueError: fewer leaves than phones, statistics of other phones or without frames, or
            another context width.
    """
    if context_width not in (2, 3):
        raise ValueError(f"context_width is {context_width}; wanted 2 (left) or 3 (both sides)")
    contexts = sorted(context for context, row in stats.items() if row[0] > 0)
    if not all(context[1] > 0 and max(context[:3]) <= len(phones) for context in contexts):
        raise ValueError(f"tree: statistics of other phones than 1..{len(phones)}")
    if leaves < len(phones):
        raise ValueError(
            f"{leaves} leaves for {len(phones)} phones: wanted at least one leaf a phone"
        )
    if not contexts:
        raise ValueError("tree: there are no frames to grow it from")
    seen, rows = np.array(contexts), np.stack([stats[context] for context in contexts])
    by_phone = np.zeros((len(phones), rows.shape[1]))
    np.add.at(by_phone, seen[:, 1] - 1, rows)
    frames = int(by_phone[:, 0].sum())
    silent = [name for p, name in enumerate(phones) if not by_phone[p, 0]]
    if silent:
        logger.warning("tree: %d phones have no data: %s", len(silent), ", ".join(silent[:5]))
    sets = np.zeros((0, len(phones) + 1), bool)
    for members in phone_sets(by_phone, floor):
        sets = np.vstack([sets, np.isin(np.arange(len(phones) + 1), list(members))])
    growing = _Growing(seen, rows, sets, context_width, min_gain, floor)
    number = growing.grow(leaves)
    if number < leaves:
        logger.warning(
            "tree: %d leaves instead of %d: no question gains more than %g at any of them; ask "
            "for fewer leaves or align more data", number, leaves, min_gain,
        )  # fmt: skip
    elif merge:
        while (lack := leaves - number + len(growing.merges(number))) > 0:
            more = growing.grow(number + lack)
            if more == number or more - len(growing.merges(more)) > leaves:
                break
            number = more
    pairs = growing.merges(number)[: max(0, number - leaves)]
    tree, after = growing.tree(list(phones), number, pairs)
    before = float(log_likelihood(by_phone, floor).sum())
    growth = Growth(number, len(pairs), frames, before / frames, after / frames)
    return tree, growth


@dataclass
class _Node:
    phone: int
    contexts: NDArray[np.int64]  # those that lead here, of the ones with data
    total: Array
    yes: NDArray[np.bool_]  # (contexts,) what they answer to the question
    question: int = LEAF  # the best one; `below` are the nodes that it leads to
    below: tuple[int, int] = (-1, -1)


class _Growing:
    """Splits the forest of stumps, best first; its first P + 2 k nodes are those after k splits."""

    def __init__(
        self, contexts: NDArray[np.int64], rows: Array, sets: NDArray[np.bool_],
        context_width: int, min_gain: float, floor: float,
    ) -> None:  # fmt: skip
        self.contexts, self.rows, self.sets = contexts, rows, sets
        self.context_width, self.min_gain, self.floor = context_width, min_gain, floor
        self.num_phones = int(sets.shape[1]) - 1
        self.nodes: list[_Node] = []
        self.gains: list[float] = []  # of the splits made
        self._order: list[int] = []  # which nodes they split
        self._heap: list[tuple[float, int]] = []
        for phone in range(1, self.num_phones + 1):
            self._add(phone, np.flatnonzero(contexts[:, 1] == phone))

    def grow(self, leaves: int) -> int:
        """Splits until there are so many leaves; how many there are then."""
        while self.num_phones + len(self.gains) < leaves and self._heap:
            gain, number = heapq.heappop(self._heap)
            node = self.nodes[number]
            node.below = (len(self.nodes), len(self.nodes) + 1)
            self.gains.append(-gain)
            self._order.append(number)
            self._add(node.phone, node.contexts[node.yes])
            self._add(node.phone, node.contexts[~node.yes])
        return min(leaves, self.num_phones + len(self.gains))

    def merges(self, leaves: int) -> list[tuple[int, int]]:
        """Pairs of the first `leaves` leaves to merge, cheapest first; new ones are numbered on."""
        gains = self.gains[: leaves - self.num_phones]
        if not gains:
            return []
        nodes = [self.nodes[n] for n in self._leaves(leaves)]
        found = merges(np.stack([n.total for n in nodes]), [n.phone for n in nodes], self.floor)
        cheap = itertools.takewhile(lambda merge: merge[0] < min(gains), found)
        return [(i, j) for _, i, j in cheap]

    def tree(
        self, phones: list[str], leaves: int, pairs: Sequence[tuple[int, int]]
    ) -> tuple[Tree, float]:
        """The tree with the first `leaves` leaves, some of them merged, and its log-likelihood."""
        numbers = self._leaves(leaves)
        clusters = [[n] for n in numbers]
        for i, j in pairs:
            clusters.append(clusters[i] + clusters[j])
            clusters[i] = clusters[j] = []
        made = [c for c in clusters if c]
        likelihood = sum(
            float(log_likelihood(np.sum([self.nodes[n].total for n in c], axis=0), self.floor))
            for c in made
        )
        cluster_of = {n: k for k, members in enumerate(made) for n in members}
        # numbered phone by phone, in the order of the answers, yes first
        pdfs: dict[int, int] = {}
        stack = list(range(self.num_phones))[::-1]
        while stack:
            n = stack.pop()
            if n in cluster_of:
                pdfs.setdefault(cluster_of[n], len(pdfs))
            else:
                stack += self.nodes[n].below[::-1]
        kept = range(2 * leaves - self.num_phones)
        columns = np.full((4, len(kept)), -1, np.int64)
        for n in kept:
            node = self.nodes[n]
            if n in cluster_of:
                columns[:, n] = LEAF, -1, -1, pdfs[cluster_of[n]]
            else:
                columns[:, n] = node.question, *node.below, -1
        return Tree(phones, self.sets, *columns), likelihood

    def _leaves(self, leaves: int) -> list[int]:
        splits = leaves - self.num_phones
        split = set(self._order[:splits])
        return [n for n in range(self.num_phones + 2 * splits) if n not in split]

    def _answers(self, contexts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(questions, contexts): who says yes, to the questions in the order of `Tree.question`."""
        left, _, right, pdf_class = self.contexts[contexts].T
        sides = [left, right][: self.context_width - 1]
        return np.vstack([pdf_class == 0, *(self.sets[:, side] for side in sides)])

    def _add(self, phone: int, contexts: NDArray[np.int64]) -> None:
        """Adds a leaf with its best question, (1), where that gains enough."""
        own, answers = self.rows[contexts], self._answers(contexts)
        node = _Node(phone, contexts, own.sum(axis=0), answers[CLASS])
        self.nodes.append(node)
        chosen = answers.astype(np.float64)
        yes, no = chosen @ own, (1.0 - chosen) @ own
        whole = float(log_likelihood(node.total, self.floor))
        gains = log_likelihood(yes, self.floor) + log_likelihood(no, self.floor) - whole
        gains[(yes[:, 0] == 0) | (no[:, 0] == 0)] = 0.0
        rounding = _SAME * abs(whole)
        if gains.max() > max(self.min_gain, rounding):
            node.question = int(np.argmax(gains >= gains.max() - rounding))
            node.yes = answers[node.question]
            heapq.heappush(self._heap, (-float(gains.max()), len(self.nodes) - 1))
