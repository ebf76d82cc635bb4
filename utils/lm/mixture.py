r"""Linear mixtures of models, with the weights that fit a held-out text best.

    p(w | h) = sum_i lambda_i p_i(w | h),    sum_i lambda_i = 1                          (1)

EM on the words of the held-out text, from equal weights until none changes by .001:

    lambda_i <- mean over the words of lambda_i p_i / sum_j lambda_j p_j                 (2)

The mixture is a back-off model, too: it has the n-grams of all, (1) gives their probabilities,
with p_i by back-off where a model lacks one, and its back-off weights are made so that it adds up
(backoff.py). So it is (1) for what one of the models has seen, and nearly (1) for the rest.

A word that one model lacks has the probability 0 there, whether that has <unk> or not: otherwise
the mixture would not add up. Train the models with one --vocab where that is not wanted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.lm import backoff
from chainstitch.utils.lm.model import LOG_ZERO, Array, BackoffModel, Level
from chainstitch.utils.lm.perplexity import numbers_of
from chainstitch.utils.lm.tokens import MISSING, PAD, windows

log = logging.getLogger(__name__)

PRECISION = 1e-3  # what no weight changes by in the last step of EM
MOST_STEPS = 1000


def _joined_words(models: Sequence[BackoffModel]) -> BackoffModel:
    """A model of all words and nothing else."""
    return BackoffModel(list(dict.fromkeys(word for m in models for word in m.words)), [])


def _to_model(joined: BackoffModel, model: BackoffModel) -> Array:
    """The model's number of each word; MISSING and PAD, as indices from the end, stay so."""
    return np.array([model.ids.get(word, MISSING) for word in joined.words] + [MISSING, PAD])


def best_weights(models: Sequence[BackoffModel], text: Path | str) -> tuple[Array, int]:
    """(2): the weights, and after how many steps. Words that no model has are left out.

    Raises:
        UserError: there is no text, or none of its words is in a model.
        UsageError: there is no such file.
    """
    joined = _joined_words(models)
    numbers, maps = numbers_of(joined), [_to_model(joined, model) for model in models]
    order = max(model.order for model in models)
    blocks = []
    for rows in windows(text, numbers, order):
        p = np.stack([10.0 ** m.log_probs(to[rows]) for m, to in zip(models, maps, strict=True)])
        blocks.append(p[:, p.sum(0) > 0])
    p = np.concatenate(blocks, axis=1) if blocks else np.empty((len(models), 0))
    if not p.size:
        raise UserError(f"{text} holds no words of the models; wanted a held-out text")
    weights = np.full(len(models), 1.0 / len(models))
    steps, change = 0, 1.0
    while change >= PRECISION and steps < MOST_STEPS:
        parts = weights[:, None] * p
        new = (parts / parts.sum(0)).mean(1)
        change, weights, steps = float(np.abs(new - weights).max()), new, steps + 1
    return weights, steps


def choose_weights(
    models: Sequence[BackoffModel], heldout: Path | str | None, given: Sequence[float] | None
) -> Array:
    """The weights that are given, or else those that fit the held-out text best.

    Raises:
        UsageError: not one of the two, a weight too few or too many, or their sum is not 1.
        UserError: as `best_weights`.
    """
    if bool(given) == (heldout is not None):
        raise UsageError("give --heldout TEXT or a --weight for each model, one of the two")
    if not given:
        weights, steps = best_weights(models, heldout or "")
        log.info("weights of EM on %s after %d steps", heldout, steps)
        return weights
    if len(given) != len(models):
        raise UsageError(f"{len(given)} weights for {len(models)} models; give one for each")
    if not all(0.0 <= w <= 1.0 for w in given) or abs(sum(given) - 1.0) > 1e-6:
        raise UsageError(f"weights {', '.join(f'{w:g}' for w in given)}: wanted a sum of 1")
    return np.array(given)


def mix(models: Sequence[BackoffModel], weights: Array) -> BackoffModel:
    """The mixture as a back-off model."""
    mixture = _joined_words(models)
    maps = [_to_model(mixture, model) for model in models]
    words = len(mixture.words)
    numbers = [np.array([mixture.ids[word] for word in model.words]) for model in models]
    places: list[Array] = []  # for each model, where its n-grams of the level below went
    for n in range(1, max(model.order for model in models) + 1):
        found = []
        for i, model in enumerate(models):
            if n == 1:
                found.append(numbers[i])
            elif n <= model.order:
                history, word = np.divmod(model.levels[n - 1].keys, len(model.words))
                found.append(places[i][history] * words + numbers[i][word])
            else:
                found.append(np.empty(0, dtype=np.int64))
        keys = np.unique(np.concatenate(found))
        places = [np.searchsorted(keys, own) for own in found]
        level = Level(keys, np.empty(len(keys)), np.zeros(len(keys)))
        mixture.levels.append(level)
        for part in mixture.blocks(n):
            rows = mixture.rows(n, part)
            p = np.zeros(len(rows))
            for model, to, weight in zip(models, maps, weights, strict=True):
                p += weight * 10.0 ** model.log_probs(to[rows])
            level.logp[part] = np.log10(np.maximum(p, 10.0**LOG_ZERO))
        log.info("%d-grams: %d", n, len(keys))
    backoff.recompute(mixture)
    return mixture
