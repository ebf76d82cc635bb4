"""The phone language model of the denominator: an n-gram with exact maximum-likelihood counts.

LF-MMI sums over *all* phone strings, so its graph must be small. Kaldi's answer
(chain/language-model.cc): a 4-gram without any smoothing or backoff arcs, in which a trigram that
was never seen has probability 0 and the graph stays sparse; and whose number of 4-gram states is
cut by merging the histories that matter least into their suffix.

A **state** is a history: the last up to n-1 phones, the sentence start counting as phone 0. With
counts C(h, p) of phone p (0: the end) after history h, the probability is C(h, p) / sum over p.

**Pruning.** States with a full history of n-1 phones may be merged, wholly, into the state of the
one-shorter history: counts are added up. With L(C) = sum C(p) log C(p) - C log C (the
log-likelihood of a state's own data), merging h into its suffix s costs
L(h) + L(s) - L(h + s) >= 0. We merge the cheapest first until the number of states is (number of
histories that are never merged) + `num_extra_states`. A cost changes when other histories are
merged into the same s, so candidates wait in a heap and are priced again when they come up.

Unlike Kaldi's four passes with falling targets, the heap always merges the currently cheapest one;
the kept states agree except near the target.
"""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

logger = logging.getLogger(__name__)

MAX_STATES = 100_000  # Kaldi's largest recipes have some thousands
END = 0  # the symbol of both sentence start (in histories) and sentence end (as a successor)

History = tuple[int, ...]
Counts = dict[int, int]


@dataclass(frozen=True)
class PhoneLM:
    """States 0..n-1 (0: sentence start) with arcs (phone, probability, next state).

    Attributes:
        histories: per state, its phones (END stands for the sentence start).
        arcs: per state, a list of (phone, probability, next state), phones ascending.
        final: per state, the probability of ending; arcs and final sum to one.
    """

    histories: list[History]
    arcs: list[list[tuple[int, float, int]]]
    final: list[float]

    def log_prob(self, phones: Sequence[int]) -> float:
        """Natural log-probability of a whole sentence (its end included); -inf if impossible."""
        state, total = 0, 0.0
        for phone in phones:
            found = [(p, to) for symbol, p, to in self.arcs[state] if symbol == phone]
            if not found:
                return -math.inf
            total += math.log(found[0][0])
            state = found[0][1]
        return total + math.log(self.final[state]) if self.final[state] > 0 else -math.inf


def estimate_phone_lm(
    sentences: Iterable[Sequence[int]],
    order: int = 4,
    no_prune_order: int = 3,
    num_extra_states: int = 2000,
) -> PhoneLM:
    """Estimates the phone LM from phone sequences (phones >= 1).

    Args:
        sentences: phone ids of the training transcripts, silences included.
        order: n; histories have up to n - 1 phones.
        no_prune_order: states of histories up to this order minus one are never merged.
        num_extra_states: how many longer-history states are kept.

    Raises:
        ValueError: no sentence, a phone below 1, orders out of range, or more than MAX_STATES
            states, found before any merging.
    """
    if not 1 <= no_prune_order <= order or num_extra_states < 0:
        raise ValueError(
            "phone LM wants 1 <= no_prune_order <= order and num_extra_states >= 0; got "
            f"{order=}, {no_prune_order=}, {num_extra_states=}"
        )
    counts = _count(sentences, order)
    _check_size(counts, no_prune_order, num_extra_states)
    merged = _prune(counts, order, no_prune_order, num_extra_states)
    return _compile(counts, merged, order)


def _count(sentences: Iterable[Sequence[int]], order: int) -> dict[History, Counts]:
    counts: dict[History, Counts] = {}
    for sentence in sentences:
        history: History = (END,)[: order - 1]
        for phone in (*sentence, END):
            if phone != END and phone < 1:
                raise ValueError(f"phone LM: phone ids start at 1, found {phone}")
            row = counts.setdefault(history, {})
            row[phone] = row.get(phone, 0) + 1
            history = _shorten((*history, phone), order)
    if not counts:
        raise ValueError("phone LM: no training sentence; the transcripts are empty")
    return counts


def _check_size(counts: dict[History, Counts], no_prune_order: int, num_extra: int) -> None:
    found, basic = len(counts), len(_basic(counts, no_prune_order))
    states = min(found, basic + num_extra)
    logger.info("phone LM: %d histories, %d of them never merged, %d kept", found, basic, states)
    if states > MAX_STATES:
        # two groups a state, 16 sequences of 4 bytes: see forward_backward.py
        gigabytes = states * 2 * 150 * 16 * 4 / 1e9
        raise ValueError(
            f"phone LM: {states} states ({basic} histories up to order {no_prune_order} and "
            f"{states - basic} longer ones) are more than {MAX_STATES}; forward-backward over 150 "
            f"frames would take about {gigabytes:.0f} GB in each thread. Lower num_extra_states "
            "(2000 is usual) or no_prune_order (3)"
        )


def _basic(counts: dict[History, Counts], no_prune_order: int) -> set[History]:
    """Histories that are never merged: the short ones, and the suffixes of the others."""
    basic = {h for h in counts if len(h) < no_prune_order}
    return basic | {h[len(h) - no_prune_order + 1 :] for h in counts if len(h) >= no_prune_order}


def _shorten(history: History, order: int) -> History:
    return history[len(history) - (order - 1) :] if len(history) > order - 1 else history


def _log_likelihood(row: Counts) -> float:
    total = sum(row.values())
    return sum(c * math.log(c) for c in row.values()) - (total * math.log(total) if total else 0.0)


def _cost(row: Counts, suffix_row: Counts) -> float:
    """Log-likelihood lost by merging; an empty suffix state costs nothing, rare states go first."""
    if not suffix_row:
        return 1e-15 * sum(row.values())
    both = dict(suffix_row)
    for phone, c in row.items():
        both[phone] = both.get(phone, 0) + c
    return _log_likelihood(row) + _log_likelihood(suffix_row) - _log_likelihood(both)


def _prune(
    counts: dict[History, Counts], order: int, no_prune_order: int, num_extra: int
) -> set[History]:
    """Merges histories into their suffixes within `counts`; returns the ones that are gone."""
    gone: set[History] = set()
    target = len(_basic(counts, no_prune_order)) + num_extra
    # from the longest histories down, so that nothing longer still needs the context
    for length in range(order - 1, no_prune_order - 1, -1):
        heap = [
            (_cost(row, counts.get(h[1:], {})), h) for h, row in counts.items() if len(h) == length
        ]
        heapq.heapify(heap)
        while heap and len(counts) > target:
            old_cost, h = heapq.heappop(heap)
            cost = _cost(counts[h], counts.get(h[1:], {}))
            if cost > old_cost and heap and cost > heap[0][0]:
                heapq.heappush(heap, (cost, h))
                continue
            suffix = counts.setdefault(h[1:], {})
            for phone, c in counts.pop(h).items():
                suffix[phone] = suffix.get(phone, 0) + c
            gone.add(h)
    return gone


def _compile(counts: dict[History, Counts], merged: set[History], order: int) -> PhoneLM:
    def state_history(history: History) -> History:
        history = _shorten(history, order)
        while history in merged or history not in counts:
            if not history:
                raise AssertionError("a history without any state: counting is wrong")
            history = history[1:]
        return history

    start = state_history((END,)[: order - 1])
    histories = [start, *sorted(h for h in counts if h != start)]
    index = {h: i for i, h in enumerate(histories)}
    arcs, final = [], []
    for h in histories:
        row = counts[h]
        total = sum(row.values())
        arcs.append(
            [
                (p, c / total, index[state_history((*h, p))])
                for p, c in sorted(row.items())
                if p != END
            ]
        )
        final.append(row.get(END, 0) / total)
    return PhoneLM(histories, arcs, final)
