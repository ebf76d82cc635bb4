"""A model of fewer words.

N-grams with a word that goes, go; what single words lose goes to <unk>, as whoever says a word that
is not in the list says <unk> from now on, or to all words alike where the model has none; and the
back-off weights are made anew. Words of the list that the model lacks are not added: it knows
nothing of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np

from chainstitch.utils.errors import UserError
from chainstitch.utils.lm import backoff
from chainstitch.utils.lm.model import END, LOG_ZERO, START, UNKNOWN, BackoffModel, subset

log = logging.getLogger(__name__)


def limit(model: BackoffModel, vocabulary: Iterable[str]) -> None:
    """Takes all words but those of the vocabulary, <s>, </s> and <unk> out of a model, in place.

    Raises:
        UserError: none of the vocabulary is in the model.
    """
    wanted = {word.encode() for word in vocabulary}
    known = wanted & set(model.ids)
    if not known:
        raise UserError(
            f"none of the {len(wanted)} words of the vocabulary is in the model; words are "
            "compared as written: upper and lower case?"
        )
    if len(known) < len(wanted):
        log.warning("the model lacks %d words of the vocabulary", len(wanted) - len(known))
    stays = np.array([w in wanted or w in (START, END, UNKNOWN) for w in model.words])
    lost = (10.0 ** model.levels[0].logp[~stays]).sum()
    kept = [stays]
    for n in range(2, model.order + 1):
        history, word = np.divmod(model.levels[n - 1].keys, len(model.words))
        kept.append(kept[-1][history] & stays[word])
    subset(model, kept, [word for word, s in zip(model.words, stays, strict=True) if s])
    logp = model.levels[0].logp
    if UNKNOWN in model.ids:
        unknown = model.ids[UNKNOWN]
        logp[unknown] = np.log10(10.0 ** logp[unknown] + lost)
    else:
        logp -= np.log10((10.0**logp).sum())
        np.maximum(logp, LOG_ZERO, out=logp)
    backoff.recompute(model)
