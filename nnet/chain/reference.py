"""Forward-backward as (1) to (5) of forward_backward.py say it: logs, float64, arc by arc.

Slow, on any device, and exact whatever the inputs are: the yardstick of the other back ends, and
where they send the sequences that probabilities in float32 cannot hold.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from chainstitch.nnet.chain.denominator import DenominatorGraph


def denominator(
    graph: DenominatorGraph, log_likes: Tensor, lengths: Tensor, leaky: float
) -> tuple[Tensor, Tensor]:
    """log Z (batch,) and posteriors, in float64; -inf and zeros where there is no path."""
    device = log_likes.device
    src, dst, pdf = (t.to(device) for t in (graph.src, graph.dst, graph.pdf))
    log_prob, log_initial = graph.prob.to(device).log(), graph.initial.to(device).log()
    y, ends = log_likes.double(), lengths.to(device)[:, None]
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
