"""How much of backstitch a run has: its alpha rises while the learning rate falls.

To first order in the learning rate nu, a minibatch with the gradient g and the Hessian H moves the
parameters by

    plain         -nu g
    backstitch    -nu g - alpha (1 + alpha) nu^2 H g                                     (1)

as the second step's gradient, at theta + alpha nu g, is g + alpha nu H g. What backstitch adds is
so alpha (1 + alpha) nu^2 H g, of which the run's settings say all but H g. The *strength* of a run
is the sum of alpha (1 + alpha) nu^2 over its iterations, against what it would be with the full
alpha in all of them. A slow start takes more of it than its share of the iterations, as nu^2 is
largest there: 15 of 21 iterations, while nu falls ten-fold, leave 19 %.
"""

from __future__ import annotations

from collections.abc import Sequence


def effect(alpha: float) -> float:
    """alpha (1 + alpha): what (1) has of a minibatch's backstitch."""
    return alpha * (1.0 + alpha)


def strength(alphas: Sequence[float], rates: Sequence[float], full: float) -> float:
    """The strength of a run whose iterations have these alphas and learning rates, from 0 to 1.

    Args:
        alphas, rates: of all iterations.
        full: the alpha after the slow start, > 0.

    >>> strength([0.0, 0.5, 1.0], [1.0, 0.5, 0.5], full=1.0)
    0.22916666666666666
    """
    squares = [rate * rate for rate in rates]
    got = sum(effect(alpha) * square for alpha, square in zip(alphas, squares, strict=True))
    return got / (effect(full) * sum(squares))
