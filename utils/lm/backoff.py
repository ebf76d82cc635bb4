r"""Back-off weights that make a model add up to one, where probabilities or n-grams have changed.

With the sums over the words w that were seen after h, the n-grams (h, w) of the model,

    b(h) = log (1 - sum p(w | h)) / (1 - sum p(w | h'))                                  (1)

from the lowest order up, as p(w | h') may itself be backed off to. Two cases have no such b:

 * Everything that h' knows was seen after h: both parts of (1) are 0 up to rounding. Then the
   p(w | h) are scaled to one and b is -99. That happens after frequent words in small vocabularies.
 * The p(w | h) leave nothing, though h' knows more words: b is -99. If they sum to more than one by
   more than the rounding of a text file, the model was not one; such histories are counted.
"""

from __future__ import annotations

import logging

import numpy as np

from chainstitch.utils.lm.model import LOG_ZERO, Array, BackoffModel, lower_log_probs

log = logging.getLogger(__name__)

SATURATED = 1e-6  # of the denominator of (1); a true one is at least one count in all counts
ROUNDING = 1e-3  # what the rounding of many probabilities may add to their sum


def left_over(model: BackoffModel, n: int, lower: Array) -> tuple[Array, Array]:
    """Numerator and denominator of (1) for all entries of order n-1, the histories of order n.

    Args:
        lower: log p(w | h') of the n-grams of order n.
    """
    size = len(model.levels[n - 2])
    seen, also = np.zeros(size), np.zeros(size)
    for part in model.blocks(n):
        history = model.histories(n, part)
        first, width = history[0], history[-1] - history[0] + 1  # they increase
        place = history - first
        p = 10.0 ** model.levels[n - 1].logp[part]
        seen[first : first + width] += np.bincount(place, p, width)
        also[first : first + width] += np.bincount(place, 10.0 ** lower[part], width)
    return 1.0 - seen, 1.0 - also


def recompute(model: BackoffModel) -> None:
    """Sets all back-off weights by (1), in place."""
    for n, lower in lower_log_probs(model):
        recompute_order(model, n, lower)


def recompute_order(model: BackoffModel, n: int, lower: Array) -> None:
    """Sets those of the histories of order n; what is below must be as it will be."""
    numerator, denominator = left_over(model, n, lower)
    level, below = model.levels[n - 1], model.levels[n - 2]
    is_history = np.zeros(len(below), dtype=bool)
    for part in model.blocks(n):
        is_history[model.histories(n, part)] = True
    saturated = is_history & (denominator < SATURATED)
    empty = is_history & (numerator <= 1e-12)
    usual = is_history & ~saturated & ~empty
    below.backoff = np.zeros(len(below))
    below.backoff[usual] = np.log10(numerator[usual] / denominator[usual])
    below.backoff[saturated | empty] = LOG_ZERO
    for part in model.blocks(n) if saturated.any() else ():
        history = model.histories(n, part)
        closed = saturated[history]
        level.logp[part][closed] -= np.log10(1.0 - numerator[history[closed]])
    wrong = int((numerator < -ROUNDING).sum())
    if wrong:
        log.warning("after %d histories of %d words probabilities sum to more than 1", wrong, n - 1)
