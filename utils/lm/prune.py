r"""Pruning: n-grams go whose absence changes little; two measures of how little.

Symbols as in model.py; N(h) and D(h) are numerator and denominator of (1) in backoff.py, and b'(h)
is the back-off weight that h would have without (h, w). Single words are never pruned.

*Relative entropy* (A. Stolcke, Entropy-based pruning of backoff language models, 1998), what SRILM
does: by how much, relatively, the model's own perplexity grows,

    10^b'(h) = (N(h) + p(w | h)) / (D(h) + p(w | h'))                                    (1)
    score = 10^[-P(h) (p(w | h) (log p(w | h') + b'(h) - log p(w | h)) + N(h) (b'(h) - b(h)))] - 1

An n-gram stays if its score is the threshold or more, or if it is the history of one that stays.
P(h) is the product along h's own prefixes; where h begins with <s> it begins with P(</s>), as often
as sentences end. No score depends on what else goes: the highest order is pruned first, and what
(1) asks for is in lower ones. So with *rank* for the largest score among an n-gram and those that
it is the history of, those stay whose rank is high enough, and a model of at most M n-grams is had
by the threshold that M of them reach, without a search.

*Weighted difference*, what IRSTLM does, and with it the recipes of AMI:

    score = P(h w) (log p(w | h) - b(h) - log p(w | h'))                                 (2)

An n-gram stays if its score is above the threshold and its history stays; P(h w) is the product
along the prefixes of (h, w), and 1 for <s>. Whatever is less likely than backing off would make it
goes. Here the lowest order is pruned first, and its back-off weights made anew: the next order is
compared with what it will then back off to.

Thresholds of the one mean other sizes in the other. On the first 20,000 sentences of the Penn
Treebank (157,814 bigrams, 307,946 trigrams), 1e-7 keeps 149,123 and 176,256 by (1), 140,954 and
144,264 by (2): just those that IRSTLM's prune-lm keeps, if it is given the trigrams sorted by their
histories. Of a file that is not so sorted it reads a part, without a word.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from chainstitch.utils.errors import UsageError
from chainstitch.utils.lm import backoff
from chainstitch.utils.lm.model import END, START, Array, BackoffModel, lower_log_probs, subset

log = logging.getLogger(__name__)

ENTROPY, DIFFERENCE = "relative-entropy", "weighted-difference"
LEAST = 1e-99  # what logarithms are taken of


@dataclass(frozen=True)
class Pruning:
    """What is pruned, and how far: by one of the two.

    Attributes:
        method: ENTROPY or DIFFERENCE.
        threshold: of the score; None: not given.
        ngrams: at most so many of all orders together; None: not given.
    """

    method: str = ENTROPY
    threshold: float | None = None
    ngrams: int | None = None

    def __post_init__(self) -> None:
        """Raises UsageError where it cannot be."""
        if self.method not in (ENTROPY, DIFFERENCE):
            raise UsageError(f"method {self.method!r} is unknown; wanted {ENTROPY} or {DIFFERENCE}")
        if (self.threshold is None) == (self.ngrams is None):
            raise UsageError("give a threshold (1e-7, say) or a number of n-grams, one of the two")
        if self.threshold is not None and not self.threshold >= 0:
            raise UsageError(f"threshold {self.threshold}: wanted 0 or more, 1e-7 say")
        if self.ngrams is not None and self.method == DIFFERENCE:
            raise UsageError(
                f"how much {DIFFERENCE} leaves is not known beforehand; give it a threshold, or "
                f"take {ENTROPY} for a number of n-grams"
            )


def prune(model: BackoffModel, wanted: Pruning) -> None:
    """Prunes a model in place.

    Raises:
        UsageError: there are more words than n-grams may stay.
    """
    if wanted.method == DIFFERENCE:
        _by_difference(model, wanted.threshold or 0.0)
        return
    ranks = _ranks(model, _entropy_scores(model))
    if wanted.ngrams is not None:
        least = np.nextafter(_threshold_of(model, ranks, wanted.ngrams), np.inf)
    else:
        least = wanted.threshold
    subset(model, [_all(model, 1), *(rank >= least for rank in ranks)])
    backoff.recompute(model)


def _all(model: BackoffModel, n: int) -> Array:
    return np.ones(len(model.levels[n - 1]), dtype=bool)


def _entropy_scores(model: BackoffModel) -> list[Array]:
    """(1) for the orders from 2 up."""
    reach = model.levels[0].logp.copy()  # log P of the entries of a level, here of single words
    if START in model.ids and END in model.ids:
        reach[model.ids[START]] = reach[model.ids[END]]
    scores = []
    for n, lower in lower_log_probs(model):
        numerator, denominator = backoff.left_over(model, n, lower)
        level, below = model.levels[n - 1], model.levels[n - 2]
        score, next_reach = np.empty(len(level)), np.empty(len(level))
        for part in model.blocks(n):
            h, logp, low = model.histories(n, part), level.logp[part], lower[part]
            above = np.maximum(numerator[h] + 10.0**logp, LEAST)
            new = np.log10(above / np.maximum(denominator[h] + 10.0**low, LEAST))
            change = 10.0**logp * (low + new - logp) + numerator[h] * (new - below.backoff[h])
            score[part] = np.expm1(np.log(10.0) * -(10.0 ** reach[h]) * change)
            next_reach[part] = reach[h] + logp
        scores.append(score)
        reach = next_reach
        log.info("%d-grams: %d have their scores", n, len(level))
    return scores


def _ranks(model: BackoffModel, scores: list[Array]) -> list[Array]:
    """The largest score among each n-gram and those that it is the history of; over `scores`."""
    for n in range(model.order, 2, -1):
        np.maximum.at(scores[n - 3], model.histories(n), scores[n - 2])
    return scores


def _threshold_of(model: BackoffModel, ranks: list[Array], ngrams: int) -> float:
    """The least rank that must be exceeded for at most so many n-grams to stay."""
    free = ngrams - len(model.words)
    if free < 0:
        raise UsageError(
            f"{ngrams} n-grams are too few: the model has {len(model.words)} words, and single "
            "words are not pruned; ask for more, or limit the vocabulary first"
        )
    every = np.concatenate([np.empty(0), *ranks])
    gone = len(every) - free
    return float(np.partition(every, gone - 1)[gone - 1]) if gone > 0 else -np.inf


def _by_difference(model: BackoffModel, threshold: float) -> None:
    """(2), order by order."""
    reach = model.levels[0].logp.copy()  # as above
    if START in model.ids:
        reach[model.ids[START]] = 0.0
    for n in range(2, model.order + 1):
        level, below = model.levels[n - 1], model.levels[n - 2]
        lower = next(low for m, low in lower_log_probs(model) if m == n)
        next_reach = reach[model.histories(n)] + level.logp
        score = 10.0**next_reach * (level.logp - below.backoff[model.histories(n)] - lower)
        kept = [_all(model, m) for m in range(1, model.order + 1)]
        kept[n - 1] = score > threshold
        for m in range(n + 1, model.order + 1):  # none stays without its history
            kept[m - 1] = kept[m - 2][model.histories(m)]
        subset(model, kept)
        backoff.recompute_order(model, n, lower[kept[n - 1]])
        reach = next_reach[kept[n - 1]]
        log.info("%d-grams: %d of %d stay", n, len(model.levels[n - 1]), len(score))
