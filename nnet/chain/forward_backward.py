"""Exact forward-backward over a graph of pdfs: the sum of all paths, and its derivative.

Given log-likelihoods y_t(n) of pdf n at frame t and a graph with arcs i -> j carrying a pdf n and a
probability p_ij, we want, per sequence of T frames,

    Z = sum over paths of initial(i_0) prod_t p x_t(pdf)          x_t(n) = exp(y_t(n))

and gamma_t(n) = d log Z / d y_t(n), the probability that a path has pdf n at frame t, which sums to
one per frame. Four versions, each a change of the last.

**1. Naive.** alpha_0 = initial; beta_T = 1:

    alpha_t+1(j) = sum over arcs i->j of alpha_t(i) p_ij x_t(n)                         (1)
    beta_t(i)    = sum over arcs i->j of p_ij x_t(n) beta_t+1(j)                        (2)
    gamma_t(n)   = sum over arcs with pdf n of alpha_t(i) p_ij x_t(n) beta_t+1(j) / Z   (3)

Right, and useless: x and alpha leave the range of floating point after a few frames.

**2. Renormalised.** Take m_t = max_n y_t(n) out of x_t, and keep alpha summing to one by dividing
by A_t = sum_j alpha_t(j) as it is made; log Z = sum_t (m_t + log A_t). beta absorbs the same
factors, so that nothing needs logs and gamma needs no Z. Within a frame, float32 holds what is
within some 80 nats of the best.

**3. Leaky.** A chunk of an utterance does not begin and end where a graph path does, and a finite
graph can drive itself into a corner. At every frame (before the first and after the last included)
let a fraction lambda of the probability leave to the initial distribution pi:

    alpha'_t = alpha_t + lambda A_t pi                                                  (4)
    beta_t   = beta'_t + lambda sum_i pi_i beta'_t(i)                                   (5)

with the primed quantities used on the right of (1) and made on the left of (2). At t = T this adds
the constant log(1 + lambda) to log Z. It is as if epsilon arcs led from every state to every state.
(Kaldi chain-denominator.h.)

**4. Factored.** Arcs that share destination j and pdf n share x_t(n). Group them: with g = (j, n),

    G_t(g)       = sum over the group's arcs of alpha'_t(i) p_ij                        (6)
    alpha_t+1(j) = sum over the groups of j of G_t(g) x_t(n_g)                          (7)
    H_t(g)       = x_t(n_g) beta_t+1(j_g)                                               (8)
    beta'_t(i)   = sum over arcs i in g of p_ij H_t(g)                                  (9)
    gamma_t(n)   = sum over groups with pdf n of G_t(g) H_t(g)                          (10)

so an arc costs one multiply-add forward and one backward and never touches x; posteriors need no
arcs. In the chain topology there are two groups per state (enter, loop) while a state has tens of
arcs. Both (6) and (9) are one sparse matrix times a dense block of sequences. `cpu.py` keeps 16
sequences innermost, in one vector (simd.py), reads for (9) a copy of the arcs sorted by the state
that they leave, so that each sum stays in a register, and handles one block in a thread.

Per frame and sequence: 4 flops an arc, 7 a group, 6 a state. Bytes: G is stored (4 a group and
frame and sequence, written once, read once), x likewise (4 a pdf); the arcs (8 bytes each) are read
twice per frame for 16 sequences; alpha and H, which they pick rows from, stay in the cache (64
bytes a state, 64 a group). For a graph of 3000 states, 6000 groups, 36000 arcs and 2000 pdfs that
is per frame and block 3 Mflop, 1.6 MB from memory and 0.6 MB from the cache: 30 us and 60 us at
100 Gflop/s and 25 GB/s, the floor for one core. Measured: 225 us, of which 36 us a direction go to
the arcs (1 ns each).

The numerator is the same sum on one small graph per sequence; its states reach only a few pdfs, far
below the best one when the network is wrong, so it runs in the log domain, (1) to (3) with
log-sums, without leak: `numerator.py` and `log_domain` in cpu.py.

Naive float64 twin: tests/reference/forward_backward.py.
"""

from __future__ import annotations

import math
import os

import torch
from torch import Tensor

from chainstitch.nnet.chain.denominator import DenominatorGraph


class NonFiniteError(FloatingPointError):
    """Network output without a finite path sum; `sequences` are the numbers in the batch."""

    def __init__(self, message: str, sequences: list[int]) -> None:
        super().__init__(message)
        self.sequences = sequences


BACKENDS = ("auto", "cpu", "gpu", "reference")


def forward_backward(
    graph: DenominatorGraph,
    log_likes: Tensor,
    lengths: Tensor,
    leaky: float = 0.1,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Log of the total path probability and the pdf posteriors, per sequence.

    Not differentiable by autograd itself: the posteriors *are* the derivative (`ChainLoss` uses
    them).

    Args:
        graph: the denominator.
        log_likes: (batch, frames, pdfs) unnormalised log-likelihoods, float32; any finite size;
            -inf forbids a pdf.
        lengths: (batch,) frames of each sequence, 1 <= length <= frames.
        leaky: lambda >= 0 of (4); Kaldi's recipes use 0.1.
        backend: "cpu" (Numba), "gpu" (Triton; not measured on one yet), "reference" (float64, arc
            by arc, slow) or "auto", which is "cpu". For "cpu", tensors on a GPU are copied to the
            host and back.

    Returns:
        log_z: (batch,) float64, log(1 + leaky) included.
        posteriors: like log_likes, zero past each length.

    Raises:
        ValueError: shapes do not fit, leaky < 0, an unknown backend, or "gpu" where it cannot run.
        NonFiniteError: a NaN or +inf, or a sequence that no path of the graph can carry.
    """
    return counted(graph, log_likes, lengths, leaky, backend)[:2]


def counted(
    graph: DenominatorGraph,
    log_likes: Tensor,
    lengths: Tensor,
    leaky: float = 0.1,
    backend: str = "auto",
) -> tuple[Tensor, Tensor, int]:
    """`forward_backward`, and how many sequences were done again in the log domain.

    Those are the ones in which, at some frame, what is left of all paths is less than 1e-30 of what
    was, or whose posteriors then do not sum to one: float32 has too few digits down there.
    """
    if backend not in BACKENDS:
        raise ValueError(
            f"forward_backward: backend {backend!r} is not one of {', '.join(BACKENDS)}"
        )
    check_arguments(log_likes, lengths, graph.num_pdfs)
    if leaky < 0:
        raise ValueError(f"forward_backward: leaky must be >= 0, got {leaky}")
    likes = log_likes.detach()
    again = 0
    if backend == "reference":
        from chainstitch.nnet.chain import reference

        log_z, exact = reference.denominator(graph, likes, lengths, leaky)
        posteriors = exact.to(likes.dtype)
    else:
        if backend == "gpu":
            log_z, posteriors = _gpu(graph, likes, lengths, leaky)
        else:
            from chainstitch.nnet.chain import cpu  # late: imports Numba

            likes = likes.float().cpu()
            log_z, posteriors = cpu.denominator(graph, likes.numpy(), lengths.cpu().numpy(), leaky)
    if not math.isfinite(log_z.sum()):
        if backend != "reference":
            lost = (log_z == -torch.inf).nonzero().flatten().cpu()
            again = len(lost)
        if again:
            from chainstitch.nnet.chain import reference

            longest = int(lengths[lost].max())
            log_z[lost], exact = reference.denominator(
                graph, likes[lost, :longest], lengths[lost], leaky
            )
            posteriors[lost, :longest] = exact.float()
        bad = (~torch.isfinite(log_z)).nonzero().flatten().tolist()
        if bad:
            raise NonFiniteError(
                f"forward_backward: no finite path sum for sequences {bad} of the batch; the "
                "network's output holds a NaN or an infinity, or no path of the graph is as long "
                "as the sequence",
                bad,
            )
    return log_z.to(log_likes.device), posteriors.to(log_likes.device), again


def _gpu(
    graph: DenominatorGraph, likes: Tensor, lengths: Tensor, leaky: float
) -> tuple[Tensor, Tensor]:
    if likes.device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise ValueError(
            f"forward_backward: backend 'gpu' wants tensors on a GPU, found {likes.device}; use "
            "backend='cpu'"
        )
    try:
        from chainstitch.nnet.chain import gpu
    except ImportError as error:
        raise ValueError(
            f"forward_backward: backend 'gpu' wants triton ({error}); `pip install triton`"
        ) from None
    return gpu.denominator(graph, likes, lengths, leaky)


def check_arguments(log_likes: Tensor, lengths: Tensor, pdfs: int) -> None:
    """Raises ValueError unless log_likes is (batch, frames, pdfs) and lengths (batch,) fits it."""
    if log_likes.dim() != 3 or log_likes.shape[2] != pdfs:
        raise ValueError(
            f"log_likes must be (batch, frames, {pdfs}) for this graph, "
            f"got {tuple(log_likes.shape)}"
        )
    if lengths.shape != log_likes.shape[:1]:
        raise ValueError(
            f"lengths must be ({log_likes.shape[0]},), one per sequence, got {tuple(lengths.shape)}"
        )
    ends = lengths.tolist()
    if ends and not (min(ends) >= 1 and max(ends) <= log_likes.shape[1]):
        raise ValueError(
            f"lengths must lie in 1..{log_likes.shape[1]}, got {min(ends)}..{max(ends)}"
        )
