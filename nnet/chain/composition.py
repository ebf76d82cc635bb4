"""Composing an acceptor with the denominator, compiled: what `NumeratorCompiler` runs.

The pairs (n, s) of numerator.py are numbered in the order in which they are met, breadth first,
arcs of a pair in the order of the acceptor's pdfs and, for each, of the denominator's arcs. An open
hash table over n * states + s finds the number of a pair. Arcs of the denominator stand by (source,
pdf), so that those of one pdf out of a state are found by halving. Then pairs from which no end can
be reached are cut off, by a search backwards, and the others keep their order.

tests/reference/composition.py is the same with dictionaries.
"""

from __future__ import annotations

import numpy as np

from chainstitch.utils.compiled import njit

EMPTY = -1
SLOTS = 1 << 10  # of the hash table, to begin with
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: Fibonacci hashing


@njit(nogil=True)
def compose(  # type: ignore[no-untyped-def]
    num_states, out_start, out_pdf, out_dst, out_weight, begin_start, begin_dst, begin_weight,
    arc_start, arc_pdf, arc_to, arc_weight, final,
):  # fmt: skip
    """(src, dst, pdf, weight) of the arcs and (final,) of the states; no arcs: no path.

    Args:
        num_states: of the denominator.
        out_start: (states + 1,) into out_pdf, out_dst, out_weight: its arcs by (source, pdf).
        begin_start: (pdfs + 1,) into begin_dst, begin_weight: where each pdf may lead to first.
        arc_start: (acceptor's states + 1,) into arc_pdf, arc_to, arc_weight; final: whether each
            may be last.
    """
    keys, values = np.full(SLOTS, EMPTY, np.int64), np.empty(SLOTS, np.int32)
    queue, count = np.empty(256, np.int64), 0
    src, dst = np.empty(1024, np.int32), np.empty(1024, np.int32)
    pdf, weight = np.empty(1024, np.int32), np.empty(1024, np.float64)
    arcs = 0
    done = 0  # the number of the pair whose arcs are made; 0: the start
    while done <= count:
        n, s = 0, 0
        if done:
            n, s = queue[done - 1] // num_states, queue[done - 1] % num_states
        for k in range(arc_start[n], arc_start[n + 1]):
            label = arc_pdf[k]
            if done:
                low, high = out_start[s], out_start[s + 1]
                end = high
                while low < high:
                    middle = (low + high) // 2
                    if out_pdf[middle] < label:
                        low = middle + 1
                    else:
                        high = middle
            elif label + 1 < len(begin_start):
                low, end = begin_start[label], begin_start[label + 1]
            else:
                low, end = 0, 0
            while low < end and (not done or out_pdf[low] == label):
                to = out_dst[low] if done else begin_dst[low]
                key = arc_to[k] * num_states + to
                slot = _slot(keys, key)
                if keys[slot] == EMPTY:
                    if count == len(queue):
                        queue = _longer(queue)
                    queue[count] = key
                    count += 1
                    keys[slot], values[slot] = key, count
                    number = count
                    if 2 * count > len(keys):
                        keys, values = _rehashed(queue[:count], 2 * len(keys))
                else:
                    number = values[slot]
                if arcs == len(src):
                    src, dst, pdf = _longer(src), _longer(dst), _longer(pdf)
                    weight = _longer(weight)
                src[arcs], dst[arcs], pdf[arcs] = done, number, label
                weight[arcs] = arc_weight[k] + (out_weight[low] if done else begin_weight[low])
                arcs += 1
                low += 1
        done += 1
    last = np.zeros(count + 1, np.bool_)
    for i in range(count):
        last[i + 1] = final[queue[i] // num_states]
    return _trim(src[:arcs], dst[:arcs], pdf[:arcs], weight[:arcs], last)


@njit(nogil=True)
def _slot(keys, key):  # type: ignore[no-untyped-def]
    """Where a key is, or would be."""
    mask = len(keys) - 1
    slot = np.int64((np.uint64(key) * MULTIPLIER) >> np.uint64(32)) & mask
    while keys[slot] != EMPTY and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@njit(nogil=True)
def _rehashed(queue, size):  # type: ignore[no-untyped-def]
    keys, values = np.full(size, EMPTY, np.int64), np.empty(size, np.int32)
    for i in range(len(queue)):
        slot = _slot(keys, queue[i])
        keys[slot], values[slot] = queue[i], i + 1
    return keys, values


@njit(nogil=True)
def _longer(array):  # type: ignore[no-untyped-def]
    longer = np.empty(2 * len(array), array.dtype)
    longer[: len(array)] = array
    return longer


@njit(nogil=True)
def _trim(src, dst, pdf, weight, final):  # type: ignore[no-untyped-def]
    """Keeps states from which a final one can be reached, in their order."""
    states, arcs = len(final), len(src)
    start = np.zeros(states + 1, np.int64)  # arcs by the state that they enter
    for a in range(arcs):
        start[dst[a] + 1] += 1
    for i in range(states):
        start[i + 1] += start[i]
    place, sources = start.copy(), np.empty(arcs, np.int32)
    for a in range(arcs):
        sources[place[dst[a]]] = src[a]
        place[dst[a]] += 1
    alive = final.copy()
    stack, height = np.empty(states, np.int32), 0
    for i in range(states):
        if alive[i]:
            stack[height] = i
            height += 1
    while height:
        height -= 1
        at = stack[height]
        for a in range(start[at], start[at + 1]):
            if not alive[sources[a]]:
                alive[sources[a]] = True
                stack[height] = sources[a]
                height += 1
    new, kept = np.empty(states, np.int32), 0
    for i in range(states):
        new[i] = kept
        if alive[i]:
            kept += 1
    count = 0
    if alive[0]:
        for a in range(arcs):
            if alive[dst[a]]:  # then so is its source
                src[count], dst[count] = new[src[a]], new[dst[a]]
                pdf[count], weight[count] = pdf[a], weight[a]
                count += 1
    return (
        src[:count].copy(), dst[:count].copy(), pdf[:count].copy(), weight[:count].copy(),
        final[alive],
    )  # fmt: skip


@njit(nogil=True)
def shortest(src, dst, final):  # type: ignore[no-untyped-def]
    """Arcs on the shortest path from state 0 to a final one; -1 if there is none."""
    states, arcs = len(final), len(src)
    start = np.zeros(states + 1, np.int64)
    for a in range(arcs):
        start[src[a] + 1] += 1
    for i in range(states):
        start[i + 1] += start[i]
    place, targets = start.copy(), np.empty(arcs, np.int32)
    for a in range(arcs):
        targets[place[src[a]]] = dst[a]
        place[src[a]] += 1
    far, queue = np.full(states, -1, np.int32), np.empty(states, np.int32)
    far[0], queue[0], count, at = 0, 0, 1, 0
    while at < count:
        i = queue[at]
        at += 1
        if final[i]:
            return far[i]
        for a in range(start[i], start[i + 1]):
            to = targets[a]
            if far[to] < 0:
                far[to] = far[i] + 1
                queue[count] = to
                count += 1
    return -1
