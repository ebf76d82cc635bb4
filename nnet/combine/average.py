"""Combining the last models of a run: running averages, the best of which is kept.

For n = 1, 2, ... the parameters of the last n models are averaged uniformly (newest first),
batch-norm statistics are computed afresh, and the objective on held-out examples is measured; the n
with the best one wins. It ends before the oldest model where PATIENCE averages in a row were no
better than the best: the older a model, the further it pulls the average away. Simple and
deterministic. (Kaldi's combination of 2019 and later; the
paper's is in optimised.py.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from torch import Tensor

logger = logging.getLogger(__name__)

State = dict[str, Tensor]

PATIENCE = 5  # averages in a row without a better objective


def running_average(
    models: Iterable[State], evaluate: Callable[[State], float]
) -> tuple[State, list[float]]:
    """The best of the averages of the first 1, 2, ... models.

    Args:
        models: state_dicts, newest first; integer entries are taken from the newest.
        evaluate: objective of a state (higher is better); called once per n.

    Returns:
        The best average, and the objective for every n that was tried.

    Raises:
        ValueError: no model.
    """
    mean: State = {}
    best: State = {}
    scores: list[float] = []
    for n, state in enumerate(models, 1):
        if not mean:
            mean = {k: v.double() if v.is_floating_point() else v.clone() for k, v in state.items()}
        else:
            for key, value in state.items():
                if value.is_floating_point():
                    mean[key] = mean[key] + (value.double() - mean[key]) / n
        candidate = {k: v.to(state[k].dtype) for k, v in mean.items()}
        score = evaluate(candidate)
        if not scores or score > max(scores):
            best = {k: v.clone() for k, v in candidate.items()}
        scores.append(score)
        logger.info("average of the last %d models: objective %.5f", n, score)
        if n - (1 + scores.index(max(scores))) >= PATIENCE:
            break
    if not scores:
        raise ValueError("combine: no model to combine")
    return best, scores
