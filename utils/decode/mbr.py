r"""The words with the fewest expected errors, and how sure each is: minimum Bayes risk.

After Xu, Povey, Mangu and Zhu 2011, "Minimum Bayes Risk decoding and system combination based on a
recursion for edit distance". Symbols: a lattice with states n = 0 ... N in order, arcs a from s(a)
with word w(a), p(a | n) the probability that a path through n came by arc a; a hypothesis
R = r(1) ... r(Q) with an empty word between any two words and at both ends; l(w, r) = 1 if w != r,
0 if w = r.

**Naive.** The risk of R is the mean, over all paths, of the edit distance between the path's words
and R; the paths are as probable as exp(-cost) says. One would try every R.

**Recursion.** Let A(n, q) stand for the mean edit distance between what is said up to n and
r(1) ... r(q):

    B(a, q) = min { A(s, q - 1) + l(w, r(q)),  A(s, q) + l'(w, 0),  B(a, q - 1) + l(0, r(q)) }     (1)
    A(n, q) = sum over arcs a into n of p(a | n) B(a, q)                                            (2)

with A(0, q) = the number of words in r(1) ... r(q), and B(a, 0) = A(s, 0) + l'(w, 0). It takes the
least of means where it should take the mean of leasts, so that A(N, Q) is the risk or a little more
(it is the risk where one path only leads to each state). l' is l plus a trifle (MORE): of two
alignments as good as each other the one that does without an insertion is taken.

**Statistics.** Going backwards through (1) and (2), what each of the three ways carries says how
probable it is that the word at position q is w: gamma(q, w). The word with the largest gamma at
each q gives a new R with a smaller A(N, Q), or the same. One begins with the best path, and stops
when nothing changes. gamma(q, r(q)) is the confidence of r(q).

Paths beyond BEAM of the best are left out first (Kaldi's scripts have `lattice-prune --beam=7`).

(Kaldi: sausages.cc.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainstitch.utils.compiled import njit
from chainstitch.utils.decode.compact import CompactLattice, Costs, best_path, excess, prune

BEAM = 7.0
MORE = 1e-5
ROUNDS = 100  # it has never been seen to take more than ten

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Consensus:
    """What MBR found.

    Attributes:
        words: ids of words; confidence: of each, 0 to 1.
        risk: A(N, Q), the expected number of errors.
    """

    words: list[int]
    confidence: list[float]
    risk: float


def consensus(lattice: CompactLattice, costs: Costs, beam: float = BEAM) -> Consensus:
    """The words with the least risk; `costs` of the arcs at a point of the sweep."""
    if not len(lattice):
        return Consensus([], [], 0.0)
    # by target: all arcs into a state stand together, and come from states that are done
    arcs = prune(lattice, costs, beam)
    arcs = arcs[np.argsort(lattice.dst[arcs], kind="stable")]
    src, dst = lattice.src[arcs].astype(np.int64), lattice.dst[arcs].astype(np.int64)
    ids = np.unique(np.concatenate([[0], lattice.word[arcs]]))
    word = np.searchsorted(ids, lattice.word[arcs])
    share = _shares(src, dst, costs[arcs], lattice.end)
    found = np.searchsorted(ids, lattice.words_of(best_path(lattice, costs)))
    for _ in range(ROUNDS):
        said = _spaced(found)
        risk, gamma = _statistics(src, dst, word, share, said, lattice.end, len(ids))
        # of words as probable as each other the last one, as Kaldi
        best = gamma.shape[1] - 1 - gamma[:, ::-1].argmax(1)
        found = best[best > 0]
        if np.array_equal(best, said) or np.array_equal(_spaced(found), said):
            break
    sure = gamma[np.arange(len(best)), best][best > 0].clip(0.0, 1.0)
    return Consensus(ids[found].tolist(), sure.tolist(), float(risk))


def _spaced(words: Ints) -> Ints:
    said = np.zeros(2 * len(words) + 1, np.int64)
    said[1::2] = words
    return said


@njit()
def _shares(src: Ints, dst: Ints, cost: Costs, end: int) -> Costs:
    """p(a | n) of each arc a into n."""
    alpha = np.full(end + 1, -np.inf)
    alpha[0] = 0.0
    share = np.empty(len(src))
    begin = 0
    while begin < len(src):
        stop, most = begin, -np.inf
        while stop < len(src) and dst[stop] == dst[begin]:
            share[stop] = alpha[src[stop]] - cost[stop]
            most = max(most, share[stop])
            stop += 1
        total = 0.0
        for arc in range(begin, stop):
            share[arc] = np.exp(share[arc] - most)
            total += share[arc]
        for arc in range(begin, stop):
            share[arc] /= total
        alpha[dst[begin]] = most + np.log(total)
        begin = stop
    return share


@njit()
def _along(
    distance: NDArray[np.float64], s: int, w: int, said: Ints, row: NDArray[np.float64], way: Ints
) -> None:
    """(1): B(a, q) for all q into `row`, and which of the three ways was taken into `way`."""
    extra = 0.0 if w == 0 else 1.0 + MORE
    row[0] = distance[s, 0] + extra
    for q in range(1, len(said) + 1):
        r = said[q - 1]
        same = distance[s, q - 1] + (0.0 if w == r else 1.0)
        inserted = distance[s, q] + extra
        deleted = row[q - 1] + (0.0 if r == 0 else 1.0)
        if same <= inserted and same <= deleted:
            row[q], way[q] = same, 1
        elif inserted <= deleted:
            row[q], way[q] = inserted, 2
        else:
            row[q], way[q] = deleted, 3


@njit()
def _statistics(
    src: Ints, dst: Ints, word: Ints, share: Costs, said: Ints, end: int, num_words: int
) -> tuple[float, Any]:
    """A(N, Q) and gamma (positions, words)."""
    size = len(said)
    distance = np.zeros((end + 1, size + 1))
    for q in range(1, size + 1):
        distance[0, q] = distance[0, q - 1] + (0.0 if said[q - 1] == 0 else 1.0)
    row, way = np.zeros(size + 1), np.zeros(size + 1, np.int64)
    for arc in range(len(src)):
        _along(distance, src[arc], word[arc], said, row, way)
        for q in range(size + 1):
            distance[dst[arc], q] += share[arc] * row[q]

    carried = np.zeros((end + 1, size + 1))
    gamma = np.zeros((size, num_words))
    carried[end, size] = 1.0
    for arc in range(len(src) - 1, -1, -1):
        s, n = src[arc], dst[arc]
        _along(distance, s, word[arc], said, row, way)
        here = 0.0  # what came by deletions from the position above
        for q in range(size, 0, -1):
            here += share[arc] * carried[n, q]
            if way[q] == 1:
                carried[s, q - 1] += here
                gamma[q - 1, word[arc]] += here
                here = 0.0
            elif way[q] == 2:
                carried[s, q] += here
                here = 0.0
            else:
                gamma[q - 1, 0] += here
        carried[s, 0] += here + share[arc] * carried[n, 0]
    here = 0.0
    for q in range(size, 0, -1):
        here += carried[0, q]
        gamma[q - 1, 0] += here
    return distance[end, size], gamma


@njit()
def _closest(
    src: Ints, dst: Ints, word: Ints, excess: Costs, words: Ints, end: int
) -> tuple[Any, Any]:
    """For each position of `words` at the end, the way back: arc, and what was done with it."""
    size = len(words)
    least = np.full((end + 1, size + 1), np.inf)
    by, way = np.full((end + 1, size + 1), -1), np.zeros((end + 1, size + 1), np.int64)
    least[0, 0] = 0.0
    n = 0
    for state in range(end + 1):
        while n < len(src) and dst[n] == state:
            s, w = src[n], word[n]
            for q in range(size + 1):
                skipped = least[s, q] + excess[n] + (0.0 if w == 0 else EDIT)
                if skipped < least[state, q]:
                    least[state, q], by[state, q], way[state, q] = skipped, n, 2
                if q and w:
                    other = 0.0 if w == words[q - 1] else EDIT
                    if least[s, q - 1] + excess[n] + other < least[state, q]:
                        least[state, q] = least[s, q - 1] + excess[n] + other
                        by[state, q], way[state, q] = n, 1
            n += 1
        for q in range(1, size + 1):
            if least[state, q - 1] + EDIT < least[state, q]:
                least[state, q], way[state, q] = least[state, q - 1] + EDIT, 3
    return by, way


EDIT = 1e6  # more than all that a path can cost in excess of the best


def closest_path(
    lattice: CompactLattice, costs: Costs, words: list[int], beam: float = BEAM
) -> tuple[list[int], list[int]]:
    """The path with the fewest edits to `words`, of these the cheapest; and, of each of `words`,
    which of the path's words it is paired with, or -1.
    """
    arcs = prune(lattice, costs, beam)
    arcs = arcs[np.argsort(lattice.dst[arcs], kind="stable")]
    src, dst = lattice.src[arcs].astype(np.int64), lattice.dst[arcs].astype(np.int64)
    word, said = lattice.word[arcs].astype(np.int64), np.array(words, np.int64)
    by, way = _closest(src, dst, word, excess(lattice, costs)[arcs], said, lattice.end)
    state, q = lattice.end, len(words)
    path: list[int] = []
    pairs = [-1] * len(words)
    while (state, q) != (0, 0):
        done = way[state, q]
        if done == 3:
            q -= 1
            continue
        if done == 1:
            q -= 1
            pairs[q] = len(path)
        path.append(int(by[state, q + (done == 1)]))
        state = src[path[-1]]
    path.reverse()
    place = np.cumsum(word[path] > 0) - 1  # arc of the path -> number of its word
    pairs = [p if p < 0 else int(place[len(path) - 1 - p]) for p in pairs]
    return arcs[path].tolist(), pairs
