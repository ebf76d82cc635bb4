"""Bootstrap over utterances (Bisani and Ney, 2004), by kaldialign, for runs that differ by seed.

Seeds are pooled: utterance u counts with the errors and words of all runs added up, and is drawn as
one unit. (Listing every run's copy of u as an utterance of its own would narrow the interval by
sqrt(runs) although no new speech was heard.) So the interval is about another sample of utterances;
the spread between seeds is told apart, by their standard deviation. Speakers are not resampled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import kaldialign

REPLICATIONS = 10_000
SEED = 0


def half_width(errors: Sequence[int], words: Sequence[int]) -> float | None:
    """Half the 95 % confidence interval of the WER in per cent: 1.96 bootstrap standard deviations.

    Args:
        errors, words: of each utterance, added up over runs.

    Returns:
        None when one cannot be had: fewer than two utterances, or resamples without a word.
    """
    if len(errors) < 2:
        return None
    refs, hyps = _stand_ins(errors, words)
    found = kaldialign.bootstrap_wer_ci(refs, hyps, replications=REPLICATIONS, seed=SEED)
    if not (math.isfinite(found["wer"]) and math.isfinite(found["ci95"])):
        return None
    return float(100.0 * found["ci95"])


def probability_better(
    base: Sequence[int], other: Sequence[int], words: Sequence[int], runs: tuple[int, int]
) -> float:
    """The share of resamples in which `other` makes fewer errors per run than `base` (a tie: no).

    Args:
        base, other: errors of each utterance, added up over the runs of either system.
        words: of each utterance, once.
        runs: how many runs `base` and `other` add up.
    """
    common = math.lcm(*runs)
    pooled = [common * count for count in words]
    refs, base_hyps = _stand_ins([common // runs[0] * count for count in base], pooled)
    _, hyps = _stand_ins([common // runs[1] * count for count in other], pooled)
    found = kaldialign.bootstrap_wer_ci(refs, base_hyps, hyps, replications=REPLICATIONS, seed=SEED)
    return float(found["p_s2_improv_over_s1"])


def _stand_ins(
    errors: Sequence[int], words: Sequence[int]
) -> tuple[list[list[int]], list[list[int]]]:
    """References and hypotheses with just these counts, as kaldialign takes sequences only."""
    refs = [[0] * count for count in words]
    hyps = [[1] * e + [0] * max(0, n - e) for e, n in zip(errors, words, strict=True)]
    return refs, hyps
