r"""A small language model of a few sentences, which expects them and can be surprised.

It finds out whether an utterance says what its transcript has: the sentences are those of some
utterances, and a few common words can be said in between. Cleanup decodes training data by it. It
is another estimator than that of `chainstitch lm` (utils/lm) on purpose: Kaldi's for cleanup, made
anew for each hundred words, where counts are too few for discounts of their own.

Let c(h, w) be how often word w came after history h, the longest that order N allows (N - 1 words,
or all since `<s>`), and h' be h without its first word. The form is interpolated Kneser-Ney with
one discount D, in which rare histories are given up first:

 1. For h of two words or more, the longest first: let t(h) be how often h was a history, or the end
    of a longer one. If t(h) < M, then c(h', w) += c(h, w) for all w, and h is gone.
 2. For h of one word or more, the longest first, and each w that came after it:

        c(h, w) -= D,      b(h) += D,      c(h', w) += 1.                                        (1)

 3. A common word w, of share q(w) in all training data, is put in at the bottom: with C the sum of
    c((), w) over all words, c((), w) += q(w) C.                                                 (2)

 4. With C(h) = b(h) + sum_w c(h, w), the model is

        p(w | h) = c(h, w) / C(h) + b(h) / C(h) p(w | h'),                                       (3)

    which for a word that never came after h is its back-off arc's b(h) / C(h) and p(w | h').
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

START, END = -1, -2  # of a sentence; words are ids above 0
History = tuple[int, ...]
Counts = dict[History, dict[int, float]]


@dataclass(frozen=True)
class BiasedModel:
    """Attributes: c(h, w), and b(h)."""

    counts: Counts
    backoff: dict[History, float]

    def total(self, history: History) -> float:
        """C(h)."""
        return self.backoff.get(history, 0.0) + sum(self.counts[history].values())

    def probability(self, history: History, word: int) -> float:
        """(3); of a history that is in the model."""
        total = self.total(history)
        own = self.counts[history].get(word, 0.0) / total
        if not history:
            return own
        return own + self.backoff[history] / total * self.probability(history[1:], word)


def estimate(
    sentences: Iterable[Sequence[int]],
    common: Mapping[int, float],
    order: int = 4,
    discount: float = 0.3,
    min_count: float = 10,
) -> BiasedModel:
    """The model of sentences of word ids.

    Args:
        common: word -> its share of all words, q; may hold others than the sentences.
        min_count: M.

    Raises:
        ValueError: there is no sentence; order below 2; a discount not between 0 and 1.
    """
    if order < 2 or not 0.0 < discount < 1.0:
        raise ValueError(f"wanted order 2 or more, discount in (0, 1); found {order}, {discount}")
    counts: list[Counts] = [defaultdict(lambda: defaultdict(float)) for _ in range(order)]
    for sentence in sentences:
        words = (START, *sentence, END)
        for n in range(1, len(words)):
            history = words[max(0, n + 1 - order) : n]
            counts[len(history)][history][words[n]] += 1.0
    if not counts[1] and not any(counts[2:]):
        raise ValueError("a model wants one sentence or more")
    _give_up_rare(counts, min_count)
    backoff = {}
    for length in range(order - 1, 0, -1):
        for history, after in counts[length].items():
            lower = counts[length - 1][history[1:]]
            for word in after:
                after[word] -= discount
                lower[word] += 1.0
            backoff[history] = discount * len(after)
    bottom = counts[0][()]
    whole = sum(bottom.values())
    for word, share in common.items():
        bottom[word] += share * whole
    return BiasedModel({h: dict(after) for level in counts for h, after in level.items()}, backoff)


def _give_up_rare(counts: list[Counts], min_count: float) -> None:
    """Step 1."""
    often: Counter[History] = Counter()
    for level in counts[2:]:
        for history, after in level.items():
            for begin in range(len(history) - 1):
                often[history[begin:]] += sum(after.values())  # type: ignore[assignment]
    for length in range(len(counts) - 1, 1, -1):
        for history in [h for h in counts[length] if often[h] < min_count]:
            for word, count in counts[length].pop(history).items():
                counts[length - 1][history[1:]][word] += count


def to_fst(model: BiasedModel, backoff_label: int) -> Any:
    """G: a state for each history, starting after `<s>`; costs are -log of (3).

    Args:
        backoff_label: the input label of back-off arcs, of cost -log b(h) / C(h).
    """
    import kaldifst

    g = kaldifst.StdVectorFst()
    states = {history: g.add_state() for history in sorted(model.counts, key=lambda h: (len(h), h))}
    g.start = states[(START,)]
    for history, state in states.items():
        total = model.total(history)
        for word in model.counts[history]:
            cost = -math.log(model.probability(history, word))
            if word == END:
                g.set_final(state, cost)
                continue
            following = (*history, word)
            while following not in states:
                following = following[1:]
            g.add_arc(state, kaldifst.StdArc(word, word, cost, states[following]))
        if history:
            cost = -math.log(model.backoff[history] / total)
            lower = states[history[1:]]
            g.add_arc(state, kaldifst.StdArc(backoff_label, 0, cost, lower))
    kaldifst.arcsort(g, "ilabel")
    return g
