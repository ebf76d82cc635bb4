"""Perplexity of a model on a text: how many words it wavers between, in the mean.

A sentence's end is predicted like a word, <s> is not. A word that the model lacks (OOV) is scored
as <unk> where the model has that, and left out of the sums where it has not; then no history that
it stands in is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chainstitch.utils.errors import UserError
from chainstitch.utils.lm.model import END, UNKNOWN, BackoffModel
from chainstitch.utils.lm.tokens import Closed, windows


@dataclass
class Score:
    """Sums over a text.

    Attributes:
        logp: log10 of all that was scored; `oov_logp` that of OOVs.
        oov: words without a number of their own, a written <unk> included.
        scores_oov: as <unk>.
    """

    sentences: int = 0
    words: int = 0
    oov: int = 0
    logp: float = 0.0
    oov_logp: float = 0.0
    scores_oov: bool = True

    @property
    def perplexity(self) -> float:
        """Of all that was scored."""
        scored = self.words + self.sentences - (0 if self.scores_oov else self.oov)
        return float(10.0 ** (-self.logp / max(1, scored)))

    @property
    def perplexity_known(self) -> float:
        """Without the OOVs."""
        known = self.words + self.sentences - self.oov
        return float(10.0 ** (-(self.logp - self.oov_logp) / max(1, known)))

    def __str__(self) -> str:
        how = "scored as <unk>" if self.scores_oov else "left out"
        also = f", {self.perplexity_known:.8g} without them" if self.oov and self.scores_oov else ""
        return (
            f"{self.sentences} sentences, {self.words} words, {self.oov} of them OOV, {how}; "
            f"perplexity {self.perplexity:.8g}{also}"
        )


def numbers_of(model: BackoffModel) -> Closed:
    """What texts are read with for a model.

    Raises:
        UserError: a word is not UTF-8.
    """
    numbers = Closed({word.decode(): n for word, n in model.ids.items()})
    numbers.other = model.ids.get(UNKNOWN, numbers.other)
    return numbers


def perplexity(model: BackoffModel, text: Path | str) -> Score:
    """The perplexity of a model on a text of any size.

    Raises:
        UserError: there is no text.
        UsageError: there is no such file.
    """
    numbers = numbers_of(model)
    score = Score(scores_oov=UNKNOWN in model.ids)
    for rows in windows(text, numbers, model.order):
        predicted = rows[:, -1]
        logp = model.log_probs(rows)
        oov = predicted == numbers.other
        score.sentences += int((predicted == model.ids[END]).sum())
        score.words += len(rows)
        score.oov += int(oov.sum())
        score.oov_logp += float(logp[oov].sum()) if score.scores_oov else 0.0
        score.logp += float(logp[np.isfinite(logp)].sum())
    score.words -= score.sentences
    if not score.sentences:
        raise UserError(f"{text} holds no words; wanted a text, a sentence a line")
    return score
