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
that they leave, so that each sum stays in a register, and handles one block in a thread. `gpu.py`
has one program for each sequence.

**What it costs**, per frame and sequence, with A arcs, G groups, S states and N pdfs; in brackets
for a graph of 35,588, 6,040, 3,001 and 2,023:

                 flops                             bytes: from memory        picked from the cache
    1 naive      8 A                       [285 k] 32 A + 8 S       [1163 k] 44 A          [1566 k]
    2 renormal.  8 A + 3 S + 2 N           [298 k] as 1             [1163 k] as 1
    3 leaky      8 A + 8 S + 2 N           [313 k] as 1             [1163 k] as 1
    4 factored   4 A + 7 G + 8 S + 2 N     [213 k] 16 A / b + 8 G + 16 N     8 A + 8 G     [333 k]
                                                   b 16:              [116 k]

An arc is 16 bytes (two states, a pdf, a probability) and read in both directions; (1) picks up
alpha, x and the sum that it adds to, (2) with (3) also beta and gamma. In the factored form it is 8
bytes, read by b sequences at once, and all it picks up is alpha or H. What has to go through memory
are G (written once, read once), the log-likelihoods (read, kept as x, read again) and the
posteriors; alpha, beta and H of one frame stay in the cache.

The floor is the slowest of the three ways, for that graph and 50 frames of

                                        arithmetic     memory          cache
    64 sequences, one CPU core          6.8 ms         14.9 ms         10.7 ms
    (100 Gflop/s, 25 and 100 GB/s)
    128 sequences, H100                 0.02 ms        0.14 ms         1.05 ms
    (67 Tflop/s, 3.35 and 5.5 TB/s)

where on the H100 b is 1, x is computed again (12 N instead of 16 N bytes) and every program reads
the arcs from the L2 cache: that is what bounds it; more sequences a program would be the remedy.
One core of an AMD EPYC took 45 ms, 3 times its floor: 225 us a frame of 16 sequences, of which
36 us a direction go to the arcs (1 ns each).

**The numerator** is the same sum on one small graph per sequence; its states reach only a few pdfs,
far below the best one when the network is wrong, so it runs in the log domain, (1) to (3) with
log-sums, without leak: `numerator.py`.

Naive float64 twin: tests/reference/forward_backward.py.
"""

from __future__ import annotations

import logging
import math
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from chainstitch.nnet.chain import reference
from chainstitch.nnet.chain.backends import BACKENDS, path_sums
from chainstitch.nnet.chain.denominator import DenominatorGraph
from chainstitch.nnet.chain.self_test import TOLERANCE, self_test
from chainstitch.nnet.loss.nonfinite import NonFiniteError
from chainstitch.utils.arguments import check_numbers

logger = logging.getLogger(__name__)

# nats; float64 holds sums of so many to 1e-7. What is larger when the best pdf of each frame is
# taken out of it says that weights of arcs were lost beside it
LARGEST = reference.LARGEST
BOUNDS = {"leaky": "[0, inf)"}


def forward_backward(
    graph: DenominatorGraph,
    log_likes: Tensor,
    lengths: Tensor,
    leaky: float = 0.1,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Log of the total path probability and the pdf posteriors, per sequence.

    log Z is differentiable with respect to log_likes, once: the posteriors *are* the derivative.

    Args:
        graph: the denominator.
        log_likes: (batch, frames, pdfs) unnormalised log-likelihoods, float32; of any finite size,
            as long as a path of the graph is within 1e9 of the best pdfs of all frames together;
            -inf forbids a pdf.
        lengths: (batch,) whole numbers, frames of each sequence, 1 <= length <= frames.
        leaky: lambda >= 0 of (4); Kaldi's recipes use 0.1.
        backend: "cpu" (Numba; tensors on a GPU are copied to the host and back), "gpu" (Triton; not
            measured on one yet), "reference" (float64, arc by arc, slow), "k2" (through k2, leaky=0
            only) or "auto": see `resolved`.

    Returns:
        log_z: (batch,) float64, log(1 + leaky) included.
        posteriors: like log_likes, zero past each length.

    Raises:
        TypeError: no graph, or tensors of another kind.
        ValueError: shapes do not fit, leaky < 0, an unknown backend, or one that cannot run here.
        NonFiniteError: a NaN or +inf, a sequence that no path of the graph can carry, or only one
            that is farther from the best pdfs than float64 can say.
    """
    log_z, posteriors, _ = counted(graph, log_likes, lengths, leaky, backend)
    return differentiable(log_likes, log_z, posteriors), posteriors


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
    if not isinstance(graph, DenominatorGraph):
        raise TypeError(f"forward_backward wants a DenominatorGraph, found {type(graph).__name__}")
    check_arguments(log_likes, lengths, graph.num_pdfs)
    check_numbers("forward_backward", BOUNDS, leaky=leaky)
    backend = resolved(backend, log_likes.device)
    likes = log_likes.detach()
    again = 0
    log_z, posteriors = path_sums(backend, graph, likes, lengths, leaky)
    if not math.isfinite(log_z.sum()):  # the only wait for a GPU
        lost = (log_z == -torch.inf).nonzero().flatten().cpu()
        if len(lost) and backend != "reference":
            again = len(lost)
            longest = int(lengths[lost].max())
            again_likes = likes[lost, :longest].to(log_z.device)
            log_z[lost], exact = reference.denominator(graph, again_likes, lengths[lost], leaky)
            posteriors[lost, :longest] = exact.to(posteriors)
        bad = (~torch.isfinite(log_z)).nonzero().flatten().tolist()
        if bad:
            raise NonFiniteError(
                f"forward_backward: no finite path sum for sequences {bad} of the batch; the "
                "network's output holds a NaN or an infinity, no path of the graph is as long as "
                f"the sequence, or all are more than {LARGEST:g} nats from the best pdfs",
                bad,
            )
    return log_z.to(log_likes.device), posteriors.to(log_likes.device), again


def resolved(backend: str, device: torch.device) -> str:
    """What "auto" means for tensors of `device`: on a GPU "gpu", if that works there, else "cpu".

    Whether it works is tried once, on a graph of three states, and a warning says why not.
    """
    if backend != "auto":
        return backend
    return "gpu" if device.type == "cuda" and _gpu_works(str(device)) else "cpu"


@cache
def _gpu_works(device: str) -> bool:
    try:
        error = self_test("gpu", device)
        why = f"its self-test is off by {error:.1e}" if not error < TOLERANCE else ""
    except Exception as failure:  # whatever a compiler may raise
        why = f"{type(failure).__name__}: {failure}"
    if why:
        logger.warning("LF-MMI runs on the CPU, as the Triton kernel fails on %s: %s", device, why)
    return not why


def differentiable(log_likes: Tensor, log_z: Tensor, posteriors: Tensor) -> Tensor:
    """log_z (batch,), whose derivative with respect to log_likes is known to be `posteriors`."""
    return _PathSum.apply(log_likes, log_z, posteriors)  # type: ignore[no-any-return,no-untyped-call]


class _PathSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, log_likes: Tensor, log_z: Tensor, posteriors: Tensor) -> Tensor:
        ctx.save_for_backward(posteriors)
        return log_z.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (posteriors,) = ctx.saved_tensors
        return posteriors * gradient.to(posteriors)[:, None, None], None, None


def check_arguments(log_likes: Tensor, lengths: Tensor, pdfs: int | None = None) -> list[int]:
    """The lengths, where log_likes is (batch, frames, pdfs) and lengths (batch,) fits it.

    Raises:
        TypeError: log_likes are no dense floating-point numbers, or lengths no whole ones.
        ValueError: they do not fit.
    """
    dense = isinstance(log_likes, Tensor) and log_likes.layout == torch.strided
    if not dense or not log_likes.is_floating_point():
        raise TypeError(f"log_likes wants a dense tensor of floats, found {_kind(log_likes)}")
    whole = isinstance(lengths, Tensor) and lengths.dtype != torch.bool
    if not whole or lengths.is_floating_point() or lengths.is_complex():
        raise TypeError(f"lengths wants a tensor of whole numbers, found {_kind(lengths)}")
    if log_likes.dim() != 3 or pdfs not in (None, log_likes.shape[2]):
        raise ValueError(
            f"log_likes must be (batch, frames, {'pdfs' if pdfs is None else pdfs}) for this graph,"
            f" got {tuple(log_likes.shape)}"
        )
    if lengths.shape != log_likes.shape[:1]:
        raise ValueError(
            f"lengths must be ({log_likes.shape[0]},), one per sequence, got {tuple(lengths.shape)}"
        )
    ends: list[int] = lengths.tolist()
    if ends and not (min(ends) >= 1 and max(ends) <= log_likes.shape[1]):
        raise ValueError(
            f"lengths must lie in 1..{log_likes.shape[1]}, got {min(ends)}..{max(ends)}"
        )
    return ends


def _kind(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{value.dtype}" if value.layout == torch.strided else f"{value.dtype}, {value.layout}"
