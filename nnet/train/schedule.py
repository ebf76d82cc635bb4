"""What changes from iteration to iteration: learning rate, backstitch scale, limits, shrinking.

One *iteration* is a fixed amount of data, so these are functions of the data processed. Dropout has
a notation of its own in dropout_schedule.py; iterations of several jobs are in iterations.py.
Source: Kaldi steps/nnet3/chain/train.py and libs/nnet3/train (kaldi-facts 3.5, 4.2, 4.3).
"""

from __future__ import annotations

import math


def exponential(initial: float, final: float, processed: float, total: float) -> float:
    """initial at processed = 0, final at processed = total, exponential in between.

    >>> round(exponential(1e-3, 1e-4, 50, 100), 6)
    0.000316
    """
    if initial <= 0 or final <= 0:
        raise ValueError(f"learning rates must be positive, got {initial} and {final}")
    fraction = min(1.0, processed / total) if total > 0 else 1.0
    return initial * math.exp(fraction * math.log(final / initial))


def slow_start(scale: float, iteration: int, num_iterations: int = 15) -> float:
    """Backstitch's alpha, rising linearly from 0 over the first iterations (paper, section 4.7).

    >>> slow_start(1.0, 3), slow_start(1.0, 20)
    (0.2, 1.0)
    """
    return scale * iteration / num_iterations if iteration < num_iterations else scale


def first_iteration_max_change(max_change: float, iteration: int) -> float:
    """The global limit: divided by sqrt(2) in iteration 0, when the network is all noise."""
    return max_change / math.sqrt(2.0) if iteration == 0 else max_change


def shrinkage(shrink: float, proportional_shrink: float, lr: float, saturated: bool) -> float:
    """What all parameters are multiplied by before an iteration.

    `shrink` counts only where sigmoid and tanh units are `saturated` (saturation.py), which Kaldi
    takes for granted in iteration 0; the proportional part always.

    Raises:
        ValueError: proportional_shrink * lr is half or more.

    >>> [shrinkage(0.9, 20.0, 1e-3, saturated) for saturated in (True, False)]
    [0.9, 0.98]
    """
    base = 1.0 - proportional_shrink * lr
    if not base > 0.5:
        raise ValueError(
            f"proportional shrink {proportional_shrink} at a learning rate of {lr} would multiply "
            f"the parameters by {base}; it must be above 0.5"
        )
    return min(shrink, base) if saturated else base
