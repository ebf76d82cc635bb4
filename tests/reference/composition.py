"""The dull twin of composition: dictionaries and lists, one arc after the other."""

from __future__ import annotations

import math

import numpy as np

from chainstitch.nnet.chain.numerator import NumeratorGraph


class Composer:
    """Composes acceptors with one denominator."""

    def __init__(self, denominator):
        self._arcs = {}  # by pdf, then by state
        columns = (denominator.src, denominator.dst, denominator.pdf, denominator.prob.log())
        for s, d, pdf, weight in zip(*(c.tolist() for c in columns), strict=True):
            self._arcs.setdefault(pdf, {}).setdefault(s, []).append((d, weight))
        initial = denominator.initial.tolist()
        self._begin = {}  # by pdf: states after it, log probability
        for pdf, sources in self._arcs.items():
            landed = {}
            for s, arcs in sources.items():
                for d, weight in arcs:
                    landed[d] = landed.get(d, 0.0) + initial[s] * math.exp(weight)
            self._begin[pdf] = {d: math.log(mass) for d, mass in landed.items() if mass > 0}

    def compile(self, acceptor):
        """The composed graph; None if the denominator gives probability zero to all it accepts."""
        index = {}  # (n, s) -> state
        queue = []
        rows = []

        def state(n, s):
            if (n, s) not in index:
                queue.append((n, s))
                index[n, s] = len(queue)  # 0 is the start
            return index[n, s]

        for pdf, to in acceptor.arcs[0].items():
            for d, weight in self._begin.get(pdf, {}).items():
                rows.append((0, state(to, d), pdf, weight))
        done = 0
        while done < len(queue):
            n, s = queue[done]
            done += 1
            for pdf, to in acceptor.arcs[n].items():
                for d, weight in self._arcs.get(pdf, {}).get(s, ()):
                    rows.append((done, state(to, d), pdf, weight))
        final = [False, *(acceptor.final[n] for n, _ in queue)]
        return _trim(rows, final, acceptor.frames)


def _trim(rows, final, frames):
    """Keeps states from which a final one can be reached, in their order."""
    alive = list(final)
    into = {}
    for src, dst, _, _ in rows:
        into.setdefault(dst, []).append(src)
    stack = [i for i, f in enumerate(final) if f]
    while stack:
        for src in into.get(stack.pop(), []):
            if not alive[src]:
                alive[src] = True
                stack.append(src)
    if not alive[0] or not rows:
        return None
    new = np.cumsum(alive) - 1
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    sources, targets, pdfs, weight = columns
    keep = np.array(alive)[targets]  # then their sources are alive, too
    return NumeratorGraph(
        new[sources[keep]].astype(np.int32), new[targets[keep]].astype(np.int32),
        pdfs[keep].astype(np.int32), weight[keep], np.array(final)[alive], frames,
    )  # fmt: skip


def min_frames(graph):
    """Arcs on the shortest path, frame by frame."""
    frames, reached = 0, np.zeros(len(graph.final), bool)
    reached[0] = True
    while not graph.final[reached].any():
        frames, after = frames + 1, np.zeros_like(reached)
        after[graph.dst[reached[graph.src]]] = True
        reached = after
    return frames
