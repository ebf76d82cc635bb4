r"""From the lattice of the search, an arc for each frame and many ways to say the same words, to
one in which every sequence of words has one path: its best, with that path's pdfs.

This is the determinisation of Povey et al. 2012, "Generating exact lattices in the WFST framework".
A *subset* is where all partial paths of the same words can be: a list of

    (state q of the search's lattice, what its best such path costs more than the common part, and
     the pdfs behind the common part).                                                       (1)

From a subset, for each word w that leaves one of its states, the states behind w and all that can
be reached from those without a word (the *closure*; of several ways to a state the cheapest stays)
are the next subset. Of it only states that a word leaves, or where the sentence may end, matter.
What all of (1) have in common, the cost of the cheapest and the longest common beginning of the
pdfs, goes to the arc; equal subsets are one state of the result.

It grows without bound if it keeps what lies outside the beam: words of one path, then of another,
that no path within the beam has together. So subsets come off a queue, best first, at

    f = cost to the subset + min over (1) of (its cost + beta(q)),                           (2)

beta(q) being the cheapest way from q to the end, and whatever has f > best + beam is not made. As f
never falls on the way, a subset has its least f when its turn comes, and what is made is what paths
within the beam need.

All costs are those of the search (lmwt 10). At another lmwt another way to say the same words may
be the cheaper one; it is gone, as it is with Kaldi.

Where even that is too much (MOST), the arcs made so far hold all that lies below the f of the next
subset in the queue: it is made again with a beam just below that, in which this subset, and what
else has its f, is not. Where so many paths cost as little as the best that no beam tells them apart
(or MOST is too few for the best), the best path alone is what remains.

Costs are in float64. Two subsets are equal if states and pdfs are, and costs to SAME: the sums of
two paths, in another order, differ in the last digits.
"""

from __future__ import annotations

import heapq
import logging
from typing import Any

import numpy as np
from numba import types
from numba.typed import Dict

from chainstitch.utils.compiled import njit
from chainstitch.utils.decode.compact import CompactLattice, in_order
from chainstitch.utils.decode.pdf_strings import (
    LABEL,
    LENGTH,
    SHORTER,
    behind,
    common,
    longer,
    room,
    spelled,
)
from chainstitch.utils.decode.search_lattice import Floats, Ints, search_arrays, state_order

log = logging.getLogger(__name__)

SAME = 1e-4
MOST = 300_000  # arcs of a lattice; where there would be more the beam is made smaller
SLACK = 1e-6  # of the beam, for rounding


def determinise(
    lattice: Any, beam: float, name: str = "a lattice", most: int = MOST
) -> CompactLattice:
    """The compact lattice of a `kaldifst.Lattice` of the search.

    Args:
        beam: what costs more than the best path by more is left out.
        name: of the utterance, for messages.
        most: about how many arcs it may have; where there are more the beam is narrowed.
    """
    start, counts, final, pdf, word, weight, target = search_arrays(lattice)
    first = np.concatenate([[0], np.cumsum(counts)])

    inputs = (start, first, target, word, pdf, weight, final)
    arcs, costs, made, book, within = _determinise(*inputs, beam, most)
    if within < beam:
        narrower = within >= 0.0
        if narrower:
            arcs, costs, made, book, again = _determinise(*inputs, within, 2 * most)
            narrower = again == within
        if narrower:
            how = f"its beam is {within:.2f} instead of {beam:g}"
        else:
            how = "no beam makes it fewer; the best path alone is kept"
            inputs = _best_alone(*inputs)
            arcs, costs, made, book, _ = _determinise(*inputs, 0.0, len(inputs[2]) + 1)
        log.warning("%s: the lattice would have more than %d arcs; %s", name, most, how)
    arcs, costs = arcs[:made], costs[:made]
    end = int(arcs[:, :2].max(initial=0)) + 1
    arcs[arcs[:, 1] < 0, 1] = end
    rows = [(*a, *c) for a, c in zip(arcs[:, :3].tolist(), costs.tolist(), strict=True)]
    labels, shorter = book[:, LABEL].tolist(), book[:, SHORTER].tolist()
    return in_order(end, rows, [spelled(s, labels, shorter) for s in arcs[:, 3].tolist()])


def _best_alone(
    start: int, first: Ints, target: Ints, word: Ints, pdf: Ints, weight: Floats, final: Floats
) -> tuple[Any, ...]:
    """A search's lattice with the arcs of a best path only."""
    path, end = _best_arcs(start, first, target, weight, final)
    path = np.sort(path)  # as the states that they leave
    states = len(first) - 1
    counts = np.bincount(np.searchsorted(first, path, "right") - 1, minlength=states)
    one_end = np.where((np.arange(states) == end)[:, None], final, np.inf)
    first = np.concatenate([[0], np.cumsum(counts)])
    return start, first, target[path], word[path], pdf[path], weight[path], one_end


@njit()
def _total(costs: Floats, row: int) -> Any:
    return costs[row, 0] + costs[row, 1]


@njit()
def _to_end(order: Ints, first: Ints, target: Ints, weight: Floats, final: Floats) -> Floats:
    """beta of (2) of each state."""
    beta = np.empty(len(order))
    for n in range(len(order) - 1, -1, -1):
        q = order[n]
        beta[q] = _total(final, q)
        for arc in range(first[q], first[q + 1]):
            beta[q] = min(beta[q], _total(weight, arc) + beta[target[arc]])
    return beta


@njit()
def _best_arcs(
    start: int, first: Ints, target: Ints, weight: Floats, final: Floats
) -> tuple[Ints, int]:
    """The arcs of a cheapest path, and the state where it ends."""
    beta = _to_end(state_order(first, target), first, target, weight, final)
    path, count, q = np.empty(len(first), np.int64), 0, start
    while _total(final, q) > beta[q]:
        best = first[q]
        for arc in range(first[q], first[q + 1]):
            if _total(weight, arc) + beta[target[arc]] == beta[q]:
                best = arc
        path[count], q = best, target[best]
        count += 1
    return path[:count], q


@njit()
def _closure(
    at: int, last: int, order: Ints, rank: Ints, first: Ints, target: Ints, word: Ints, pdf: Ints,
    weight: Floats, matters: Any, mark: Ints, now: int, cost: Floats, string: Ints, book: Ints,
    known: Any, found: Ints, beta: Floats, most: float,
) -> tuple[Ints, Ints]:  # fmt: skip
    """The book, and the states that matter among those that are reached without a word.

    `mark` is `now` for states that were reached, `cost` and `string` say how; the first of them, in
    their order, is `at`, and the last `last`.
    """
    count = 0
    while at <= last:
        q = order[at]
        at += 1
        if mark[q] != now:
            continue
        if matters[q]:
            found[count] = q
            count += 1
        for arc in range(first[q], first[q + 1]):
            d = target[arc]
            if word[arc] != 0:
                continue
            total = _total(cost, q) + _total(weight, arc)
            if total + beta[d] > most or (mark[d] == now and total >= _total(cost, d)):
                continue
            mark[d] = now
            cost[d, 0], cost[d, 1] = cost[q, 0] + weight[arc, 0], cost[q, 1] + weight[arc, 1]
            book, string[d] = longer(book, known, string[q], pdf[arc])
            last = max(last, rank[d])
    return book, found[:count]


@njit()
def _make_common(
    subset: Ints, cost: Floats, string: Ints, book: Ints, known: Any
) -> tuple[Ints, float, float, int]:
    """The book, and what the states of a subset have in common, which is taken from each."""
    best, prefix = subset[0], string[subset[0]]
    for n in range(1, len(subset)):
        q = subset[n]
        if _total(cost, q) < _total(cost, best):
            best = q
        prefix = common(book, prefix, string[q])
    graph, acoustic = cost[best, 0], cost[best, 1]
    for n in range(len(subset)):
        q = subset[n]
        cost[q, 0] -= graph
        cost[q, 1] -= acoustic
        book, string[q] = behind(book, known, string[q], prefix)
    return book, graph, acoustic, prefix


@njit()
def _is(
    subset: Ints, cost: Floats, string: Ints, subsets: Ints, costs: Floats, begin: int, end: int
) -> bool:
    """Whether a subset is the one in rows begin ... end - 1 of the table."""
    if end - begin != len(subset):
        return False
    for n in range(len(subset)):
        q, row = subset[n], begin + n
        if subsets[row, 0] != q or subsets[row, 1] != string[q]:
            return False
        if abs(costs[row, 0] - cost[q, 0]) > SAME or abs(costs[row, 1] - cost[q, 1]) > SAME:
            return False
    return True


@njit()
def _determinise(
    start: int, first: Ints, target: Ints, word: Ints, pdf: Ints, weight: Floats, final: Floats,
    beam: float, most: int,
) -> tuple[Any, ...]:  # fmt: skip
    """Arcs (source, target or -1 for the end, word, string), their costs, their number, the book;
    and `beam`, or where there are more than `most` arcs a smaller one for which the arcs that are
    there suffice; negative where there is none.
    """
    states = len(first) - 1
    order = state_order(first, target)
    rank, beta = np.empty(states, np.int64), _to_end(order, first, target, weight, final)
    matters = np.zeros(states, np.bool_)
    for n in range(states):
        q = order[n]
        rank[q], matters[q] = n, _total(final, q) < np.inf
        for arc in range(first[q], first[q + 1]):
            matters[q] |= word[arc] != 0
    limit = beta[start] + beam + SLACK

    book = np.zeros((1024, 3), np.int64)
    book[0, LENGTH] = 1
    known = Dict.empty(types.int64, types.int64)

    # (1), one subset behind the other: state and string, costs
    subsets, costs = np.zeros((1024, 2), np.int64), np.zeros((1024, 2))
    # of each subset: where its rows begin, the next one with its hash, whether it was left
    index, count = np.zeros((1024, 3), np.int64), 0
    forward = np.zeros((1024, 1))
    by_hash = Dict.empty(types.int64, types.int64)
    arcs, arc_costs, made = np.zeros((1024, 4), np.int64), np.zeros((1024, 2)), 0
    mark, now = np.zeros(states, np.int64), 0
    cost, string = np.zeros((states, 2)), np.zeros(states, np.int64)
    found = np.empty(states, np.int64)
    # what leaves a subset: word, state and string; costs
    leaving, leaving_costs = np.zeros((1024, 3), np.int64), np.zeros((1024, 2))

    source, left = -1, 1  # the start is made as if a word led to it
    leaving[0, 1] = start
    queue = [(0.0, -1)]
    heapq.heappop(queue)
    ahead = 0.0
    while True:
        by_word = np.argsort(leaving[:left, 0])
        so_far = 0.0 if source < 0 else forward[source, 0]
        n = 0
        while n < left:
            this, ahead, at, last = leaving[by_word[n], 0], np.inf, states, 0
            now += 1
            while n < left and leaving[by_word[n], 0] == this:
                row = by_word[n]
                q, n = leaving[row, 1], n + 1
                if mark[q] != now or _total(leaving_costs, row) < _total(cost, q):
                    mark[q], string[q] = now, leaving[row, 2]
                    cost[q, 0], cost[q, 1] = leaving_costs[row, 0], leaving_costs[row, 1]
                    ahead = min(ahead, _total(cost, q) + beta[q])
                    at, last = min(at, rank[q]), max(last, rank[q])
            if so_far + ahead > limit:
                continue
            book, subset = _closure(
                at, last, order, rank, first, target, word, pdf, weight, matters, mark, now, cost,
                string, book, known, found, beta, limit - so_far,
            )  # fmt: skip
            graph, acoustic, prefix = 0.0, 0.0, 0
            if source >= 0:
                book, graph, acoustic, prefix = _make_common(subset, cost, string, book, known)
            key = np.int64(len(subset))
            for k in range(len(subset)):
                q = subset[k]
                key = (key * 1000003 + q * 8191 + string[q]) & 0x7FFFFFFFFFFFFFF
            same = by_hash[key] if key in by_hash else -1  # noqa: SIM401  no get in Numba
            while same >= 0:
                begin, end = index[same, 0], index[same + 1, 0]
                if _is(subset, cost, string, subsets, costs, begin, end):
                    break
                same = index[same, 1]
            if same < 0:
                same, count = count, count + 1
                index, forward = room(index, count), room(forward, count)
                row = index[same, 0]
                for k in range(len(subset)):
                    q = subset[k]
                    subsets, costs = room(subsets, row), room(costs, row)
                    subsets[row, 0], subsets[row, 1] = q, string[q]
                    costs[row, 0], costs[row, 1] = cost[q, 0], cost[q, 1]
                    row += 1
                index[count, 0] = row
                index[same, 1] = by_hash[key] if key in by_hash else -1  # noqa: SIM401  no get in Numba
                by_hash[key] = same
                forward[same, 0] = np.inf
            if so_far + graph + acoustic < forward[same, 0] and index[same, 2] == 0:
                forward[same, 0] = so_far + graph + acoustic
                heapq.heappush(queue, (so_far + ahead, same))
            if source >= 0:
                arcs, arc_costs = room(arcs, made), room(arc_costs, made)
                arcs[made, 0], arcs[made, 1], arcs[made, 2], arcs[made, 3] = (
                    source, same, this, prefix,
                )  # fmt: skip
                arc_costs[made, 0], arc_costs[made, 1] = graph, acoustic
                made += 1
        source = -1
        while len(queue) and source < 0:
            ahead, source = heapq.heappop(queue)
            if index[source, 2]:
                source = -1
        if source < 0 or made > most:
            within = beam if source < 0 else ahead - beta[start] - 2 * SLACK
            return arcs, arc_costs, made, book, within
        index[source, 2] = 1
        left, least, end = 0, np.inf, -1
        for row in range(index[source, 0], index[source + 1, 0]):
            q = subsets[row, 0]
            if _total(costs, row) + _total(final, q) < least:
                least, end = _total(costs, row) + _total(final, q), row
            for arc in range(first[q], first[q + 1]):
                if word[arc] == 0:
                    continue
                leaving, leaving_costs = room(leaving, left), room(leaving_costs, left)
                leaving[left, 0], leaving[left, 1] = word[arc], target[arc]
                book, leaving[left, 2] = longer(book, known, subsets[row, 1], pdf[arc])
                leaving_costs[left, 0] = costs[row, 0] + weight[arc, 0]
                leaving_costs[left, 1] = costs[row, 1] + weight[arc, 1]
                left += 1
        if forward[source, 0] + least <= limit:
            arcs, arc_costs = room(arcs, made), room(arc_costs, made)
            arcs[made, 0], arcs[made, 1], arcs[made, 2] = source, -1, 0
            arcs[made, 3] = subsets[end, 1]
            arc_costs[made, 0] = costs[end, 0] + final[subsets[end, 0], 0]
            arc_costs[made, 1] = costs[end, 1] + final[subsets[end, 0], 1]
            made += 1
