"""Forward-backward on the CPU: Numba kernels, run by torch's own threads.

After a parallel operation torch's OpenMP threads spin for some 5 ms, so that the next one finds
them awake. Other threads, a pool's or a second OpenMP runtime's, would have to share the cores with
them just then: after a matrix product a small batch took as long on two cores as on one. So blocks
of sequences are handed to those threads themselves. The kernels release the GIL. Compiled code is
cached beside this file (or in Numba's user cache). Equation numbers: forward_backward.py.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chainstitch.nnet.chain.denominator import DenominatorGraph
from chainstitch.nnet.chain.numerator_layout import Layout
from chainstitch.nnet.chain.simd import (
    LANES,
    add,
    exp,
    fma,
    load,
    maximum,
    mul,
    splat,
    store,
    transpose_in,
    transpose_out,
    zeros,
)
from chainstitch.utils.compiled import njit

# of simd.py: Numba's cache of compiled code looks at the time of this file only, so this file has
# to change when that one does; a test compares
SIMD_CRC32 = 3251012064
FASTMATH = {"contract", "reassoc", "nsz"}
LOG_ZERO = np.float32(-np.inf)
LOWEST = np.float32(-1e30)  # that -inf - LOWEST is not a NaN
LEAST_MASS = 1e-30  # A of a frame: what is a millionth of it is still a normal float32
TOLERANCE = 1e-3  # of a frame's posteriors from one
_workspaces: list[np.ndarray] = []  # those that no thread uses at present
_REGION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@cache
def _parallel() -> Callable[..., Any] | None:
    """GOMP_parallel(function, data, threads, flags) of the OpenMP runtime that torch runs on.

    Also Intel's and LLVM's runtimes have it. None where torch was built without OpenMP.
    """
    function = getattr(ctypes.CDLL(torch._C.__file__), "GOMP_parallel", None)
    if function is not None:
        function.argtypes = [_REGION, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        function.restype = None
    return function


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="forward-backward")


def in_threads(run: Callable[[int], None], count: int) -> None:
    """run(0) .. run(count - 1), spread over as many threads as torch uses.

    To Python, torch's threads are new ones at every call: nothing of `threading.local` is left.
    """
    threads = torch.get_num_threads()
    parallel = _parallel()
    if threads <= 1 or count <= 1:
        for i in range(count):
            run(i)
    elif parallel is None:
        list(_pool(threads).map(run, range(count)))
    else:
        turns = iter(range(count))
        errors: list[BaseException] = []

        def work(_: int | None) -> None:
            try:
                for i in turns:  # whoever is free takes the next
                    run(i)
            except BaseException as error:  # would be lost between here and the caller
                errors.append(error)

        # with fewer threads than torch's own count it would end the others and start them anew
        parallel(_REGION(work), None, threads, 0)
        if errors:
            raise errors[0]


def denominator(
    graph: DenominatorGraph, log_likes: np.ndarray, lengths: np.ndarray, leaky: float
) -> tuple[Tensor, Tensor]:
    """`forward_backward` on arrays: log_likes (batch, frames, pdfs) float32, lengths (batch,)."""
    log_likes = np.ascontiguousarray(log_likes)
    batch, _, pdfs = log_likes.shape
    log_z = np.zeros(batch)
    posteriors = np.empty_like(log_likes)
    order = np.argsort(-lengths, kind="stable")  # blocks of similar length
    ends = lengths[order]
    g = graph.groups
    names = ("src", "prob", "arc_start", "group_pdf", "group_dst", "state_start")
    arrays = [g[name] for name in (*names, "out_group", "out_prob", "out_start")]
    initial = graph.initial.numpy().astype(np.float32)
    arguments = (
        *arrays, initial, np.float32(leaky), log_likes, ends, order, log_z, posteriors
    )  # fmt: skip
    frames, groups = int(ends[0]) if batch else 0, len(g["group_pdf"])
    size = frames * (pdfs + groups + 1) + groups + 2 * graph.num_states + pdfs + 2
    kernel: Any = _denominator_block

    def run(block: int) -> None:  # brief: one thread at a time can be in Python
        # kept from block to block: fresh memory would cost more than the sums
        space = _workspaces.pop() if _workspaces else None
        if space is None or len(space) < size:
            space = np.empty((size, LANES), np.float32)
        kernel(*arguments, block, space)
        _workspaces.append(space)

    in_threads(run, math.ceil(batch / LANES))
    return torch.from_numpy(log_z), torch.from_numpy(posteriors)


@njit(nogil=True, fastmath=FASTMATH, boundscheck=False)
def _denominator_block(  # type: ignore[no-untyped-def]
    src, prob, arc_start, group_pdf, group_dst, state_start, out_group, out_prob, out_start,
    initial, leaky, log_likes, ends, rows, log_z, posteriors, block, space,
):  # fmt: skip
    """Equations (4) to (10) for up to LANES sequences, the `block`th.

    rows: the places of all sequences, longest first, in log_likes and in log_z and posteriors,
    which are written; ends: their lengths; space: rows of LANES numbers to work in. log_z is -inf
    where float32 was not enough: nearly all mass of a frame was lost, or posteriors do not sum to
    one; or where log_likes has a NaN or +inf.
    """
    rows = rows[block * LANES : (block + 1) * LANES]
    ends = ends[block * LANES : (block + 1) * LANES]
    size, frames, pdfs = len(rows), ends[0], log_likes.shape[2]
    states, groups = len(initial), len(group_pdf)
    x, space = space[: frames * pdfs], space[frames * pdfs :]  # row n of frame t: t * pdfs + n
    stored, space = space[: frames * groups], space[frames * groups :]  # G of (6), likewise
    onward, space = space[:groups], space[groups:]  # H of one frame
    both, space = space[: 2 * states], space[2 * states :]
    gamma, space = space[:pdfs], space[pdfs:]  # of one frame
    norms, lane = space[:frames], space[frames:]  # A; two rows for one number a lane
    for n in range(size):
        log_z[rows[n]] = math.log(1.0 + leaky)
        posteriors[rows[n], ends[n] :] = 0.0
    alpha = both[:states]  # alpha', normalised: sums to 1 + leaky
    fresh = both[states:]
    one = np.float32(1.0)
    whole = pdfs - pdfs % LANES
    starts = np.empty(LANES, np.int64)  # of a frame of each sequence in log_likes
    for i in range(states):
        store(alpha, i, splat(initial[i] * (one + leaky)))
    for t in range(frames):
        for n in range(LANES):  # what stands past the end is not used
            inside = n < size and t < ends[n]
            starts[n] = (rows[n] * log_likes.shape[1] + t) * pdfs if inside else -1
        for k in range(0, whole, LANES):
            transpose_in(x, t * pdfs + k, log_likes, starts, k)
        for k in range(whole, pdfs):
            for n in range(LANES):
                x[t * pdfs + k, n] = log_likes[rows[n], t, k] if starts[n] >= 0 else LOG_ZERO
        best = splat(LOWEST)
        for k in range(pdfs):
            best = maximum(load(x, t * pdfs + k), best)
        store(lane, 1, best)
        for k in range(pdfs):
            store(x, t * pdfs + k, exp(fma(best, splat(-one), load(x, t * pdfs + k))))
        total = zeros()
        for j in range(states):
            into_state = zeros()
            for g in range(state_start[j], state_start[j + 1]):
                into = zeros()
                for a in range(arc_start[g], arc_start[g + 1]):
                    into = fma(load(alpha, src[a]), splat(prob[a]), into)  # (6)
                store(stored, t * groups + g, into)
                into_state = fma(into, load(x, t * pdfs + group_pdf[g]), into_state)  # (7)
            store(fresh, j, into_state)
            total = add(total, into_state)
        store(norms, t, total)
        for n in range(LANES):
            lane[0, n] = one / norms[t, n] if norms[t, n] > 0 else np.float32(0.0)
        for n in range(size):
            if t < ends[n]:
                mass = norms[t, n]
                gained = math.log(np.float64(mass)) + np.float64(lane[1, n])
                log_z[rows[n]] += gained if mass > LEAST_MASS else -np.inf
        inverse = load(lane, 0)
        for j in range(states):
            store(alpha, j, fma(load(fresh, j), inverse, splat(leaky * initial[j])))  # (4)

    beta = both[:states]  # of (5), leak included
    back = both[states:]  # beta' of (9)
    for i in range(states):
        store(back, i, zeros())
    for t in range(frames - 1, -1, -1):
        begins = False
        for n in range(LANES):
            # beta'_T = 1 / (1 + leaky) for all states makes gamma sum to one
            last = n < size and t == ends[n] - 1
            begins |= last
            lane[0, n] = one / (one + leaky) if last else np.float32(0.0)
            inside = n < size and t < ends[n]
            lane[1, n] = one / norms[t, n] if inside and norms[t, n] > 0 else np.float32(0.0)
            starts[n] = (rows[n] * log_likes.shape[1] + t) * pdfs if inside else -1
        if begins:  # of the others, that is all zero
            for i in range(states):
                store(back, i, add(load(back, i), load(lane, 0)))
        leak = zeros()
        for i in range(states):
            leak = fma(load(back, i), splat(initial[i]), leak)
        leak = mul(leak, splat(leaky))
        for i in range(states):
            store(beta, i, add(load(back, i), leak))  # (5)
        inverse = load(lane, 1)
        for k in range(pdfs):
            store(gamma, k, zeros())
        for g in range(groups):
            pdf = group_pdf[g]
            h = mul(mul(load(x, t * pdfs + pdf), load(beta, group_dst[g])), inverse)  # (8)
            store(onward, g, h)
            store(gamma, pdf, fma(load(stored, t * groups + g), h, load(gamma, pdf)))  # (10)
        for i in range(states):
            into = zeros()
            for a in range(out_start[i], out_start[i + 1]):
                into = fma(load(onward, out_group[a]), splat(out_prob[a]), into)  # (9)
            store(back, i, into)
        seen = zeros()
        for k in range(pdfs):
            seen = add(seen, load(gamma, k))
        store(lane, 0, seen)
        for n in range(size):
            if t < ends[n]:
                if not abs(lane[0, n] - one) < TOLERANCE:
                    log_z[rows[n]] = -np.inf
                for k in range(whole, pdfs):
                    posteriors[rows[n], t, k] = gamma[k, n]
        for k in range(0, whole, LANES):
            transpose_out(posteriors, starts, k, gamma, k)


def numerator(layout: Layout, log_likes: np.ndarray, lengths: np.ndarray) -> tuple[Tensor, Tensor]:
    """`numerator_forward_backward` on arrays; -inf where no path has the sequence's length."""
    size = len(lengths)
    log_z = np.full(size, -np.inf)
    posteriors = np.zeros_like(log_likes)
    arrays = [value.numpy() for value in vars(layout).values()]
    shares = min(torch.get_num_threads(), size)
    kernel: Any = _numerators

    def run(share: int) -> None:
        kernel(*arrays, log_likes, lengths, share, shares, log_z, posteriors)

    in_threads(run, shares)
    return torch.from_numpy(log_z), torch.from_numpy(posteriors)


@njit(nogil=True)
def _numerators(  # type: ignore[no-untyped-def]
    states_at, timed, first_at, first, final,
    in_start, in_state, in_pdf, in_log_prob, out_start, out_state, out_pdf, out_log_prob,
    log_likes, lengths, share, shares, log_z, posteriors,
):  # fmt: skip
    """(1) to (3) with log-sums, for every `shares`-th sequence: one exponential an arc forward, two
    backward; arcs out of states that are not reached cost nothing."""
    for b in range(share, len(lengths), shares):
        base, states = states_at[b], states_at[b + 1] - states_at[b]
        frames = lengths[b]
        y, gamma = log_likes[b], posteriors[b]
        at = first_at[b]
        keep = 1 - timed[b]  # states without a time have an alpha for every frame
        alpha = np.full((keep * frames + 1, states), -np.inf)
        alpha[0, 0] = 0.0
        low, high = 0, states
        for t in range(frames):
            if not keep:
                low, high = first[at + t + 1], first[at + t + 2]
            before, after = alpha[keep * t], alpha[keep * (t + 1)]
            for j in range(low, high):
                top = -np.inf
                for a in range(in_start[base + j], in_start[base + j + 1]):
                    top = max(top, before[in_state[a]] + in_log_prob[a] + y[t, in_pdf[a]])
                if top > -np.inf:
                    mass = 0.0
                    for a in range(in_start[base + j], in_start[base + j + 1]):
                        score = before[in_state[a]] + in_log_prob[a] + y[t, in_pdf[a]]
                        mass += math.exp(score - top)
                    after[j] = top + math.log(mass)
        top = -np.inf
        beta = np.full((1 + keep, states), -np.inf)
        for j in range(low, high):
            if final[base + j]:
                beta[keep * (frames % 2), j] = 0.0
                top = max(top, alpha[keep * frames, j])
        if not top > -np.inf:
            continue
        mass = 0.0
        for j in range(low, high):
            if final[base + j]:
                mass += math.exp(alpha[keep * frames, j] - top)
        log_z[b] = top + math.log(mass)
        for t in range(frames - 1, -1, -1):
            if not keep:
                low, high = first[at + t], first[at + t + 1]
            ahead, back = beta[keep * ((t + 1) % 2)], beta[keep * (t % 2)]
            for i in range(low, high):
                top = -np.inf
                reached = alpha[keep * t, i]
                if reached > -np.inf:
                    for a in range(out_start[base + i], out_start[base + i + 1]):
                        top = max(top, out_log_prob[a] + y[t, out_pdf[a]] + ahead[out_state[a]])
                mass = 0.0
                if top > -np.inf:
                    for a in range(out_start[base + i], out_start[base + i + 1]):
                        score = out_log_prob[a] + y[t, out_pdf[a]] + ahead[out_state[a]]
                        mass += math.exp(score - top)
                        gamma[t, out_pdf[a]] += math.exp(reached + score - log_z[b])
                back[i] = top + math.log(mass) if mass > 0 else -np.inf
