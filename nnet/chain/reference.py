"""Forward-backward as (1) to (5) of forward_backward.py say it: logs, float64, arc by arc.

Slow, on any device, and exact: the yardstick of the other back ends, and where they send the
sequences that probabilities in float32 cannot hold.

Beside a log Z of -1e35 the log of a probability is nothing, and in float64 all paths would be alike
(posteriors then sum to the number of arcs). So where log Z is that large, the best pdf of each
frame is taken out, as (2) of forward_backward.py does, and added again in the end. A path's parts
are no larger than the whole, as all of them then have one sign; so what is lost is told by the rest
of log Z, and it is NaN where that is still too large.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from chainstitch.nnet.chain.denominator import DenominatorGraph

LARGEST = 1e9  # nats; beside it, float64 has 1e-7 left


def denominator(
    graph: DenominatorGraph, log_likes: Tensor, lengths: Tensor, leaky: float
) -> tuple[Tensor, Tensor]:
    """log Z (batch,) and posteriors, in float64; -inf and zeros where there is no path.

    NaN where float64 is not enough, and where log_likes has a NaN.
    """
    y = log_likes.double()
    log_z, posteriors = _path_sums(graph, y, lengths, leaky)
    far = (log_z.isfinite() & (log_z.abs() > LARGEST)).nonzero().flatten()
    if len(far):
        y, ends = y[far], lengths.to(y.device)[far]
        best = y[..., graph.pdf.unique().to(y.device)].amax(2, keepdim=True)
        inside = torch.arange(y.shape[1], device=y.device) < ends[:, None]
        best = torch.where(inside[..., None] & best.isfinite(), best, 0.0)
        rest, posteriors[far] = _path_sums(graph, y - best, ends, leaky)
        log_z[far] = torch.where(rest.abs() > LARGEST, torch.nan, rest + best.flatten(1).sum(1))
    return log_z, posteriors


def _path_sums(
    graph: DenominatorGraph, y: Tensor, lengths: Tensor, leaky: float
) -> tuple[Tensor, Tensor]:
    device = y.device
    src, dst, pdf = (t.to(device) for t in (graph.src, graph.dst, graph.pdf))
    log_prob, log_initial = graph.prob.to(device).log(), graph.initial.to(device).log()
    ends = lengths.to(device)[:, None]
    batch, frames, _ = y.shape
    states = graph.num_states

    def leak(alpha: Tensor) -> Tensor:  # (4)
        if not leaky:
            return alpha
        return torch.logaddexp(
            alpha, math.log(leaky) + alpha.logsumexp(1, keepdim=True) + log_initial
        )

    def leak_back(beta: Tensor) -> Tensor:  # (5)
        if not leaky:
            return beta
        return torch.logaddexp(beta, math.log(leaky) + (beta + log_initial).logsumexp(1, True))

    alphas = [leak(log_initial.expand(batch, -1))]
    for t in range(frames):
        scores = alphas[-1][:, src] + log_prob + y[:, t, pdf]
        alphas.append(torch.where(t < ends, leak(_log_sum(scores, dst, states)), alphas[-1]))  # (1)
    log_z = alphas[-1].logsumexp(1)
    posteriors = torch.zeros_like(y)
    beta = torch.zeros_like(alphas[-1])
    for t in reversed(range(frames)):
        after = log_prob + y[:, t, pdf] + leak_back(beta)[:, dst]
        inside = (t < ends) & (log_z > -math.inf)[:, None]
        mass = torch.where(inside, (alphas[t][:, src] + after - log_z[:, None]).exp(), 0.0)
        posteriors[:, t].index_add_(1, pdf, mass)  # (3)
        beta = torch.where(t < ends, _log_sum(after, src, states), beta)  # (2)
    return log_z, posteriors


def _log_sum(scores: Tensor, index: Tensor, size: int) -> Tensor:
    """log of the sums of exp(scores) (batch, arcs) that share an index: (batch, size)."""
    where = index.expand_as(scores)
    top = scores.new_full((len(scores), size), -math.inf).scatter_reduce(1, where, scores, "amax")
    top = torch.where(top > -math.inf, top, 0.0)
    sums = torch.zeros_like(top).index_add(1, index, (scores - top[:, index]).exp())
    return top + sums.log()
