r"""A lattice with another language model: the old one's costs taken out, the new one's put in.

In the lattice all paths that lead to a state may have different words behind them, and what a word
costs depends on those. So its states are split by what the models remember,

    (q, s, s') --w--> (q', step(s, w), step'(s', w)),   graph' = graph - cost(w | s) + cost'(w | s')

and only what the lattice asks for is looked up: the models themselves are tables
(lm/automaton.py), and never an FST. The result has one path for every sequence of words again, as
both models know only one way through.

What the lattice lacks the new model cannot bring back: it should be wide (--lattice-beam).

(Kaldi: lattice-lmrescore --lm-scale=-1.0 and lattice-lmrescore-const-arpa.)
"""

from __future__ import annotations

import math
from typing import Any

from chainstitch.utils.decode.compact import CompactLattice, in_order
from chainstitch.utils.lm.automaton import Model


def rescore(lattice: CompactLattice, old: Model[Any], new: Model[Any]) -> CompactLattice:
    """The lattice with the costs of `new` instead of those of `old`.

    Paths with a word that one of them lacks are left out.
    """
    columns = (lattice.dst, lattice.word, lattice.graph, lattice.acoustic)
    dst, word, graph, acoustic = (column.tolist() for column in columns)
    first, pdfs = lattice.first.tolist(), lattice.pdfs.tolist()
    leaving: dict[int, list[int]] = {}
    for arc, state in enumerate(lattice.src.tolist()):
        leaving.setdefault(state, []).append(arc)

    number: dict[tuple[int, Any, Any], int] = {(0, old.start, new.start): 0}
    todo = list(number)
    steps: dict[tuple[Any, Any, int], tuple[Any, Any, float]] = {}
    rows, kept = [], []
    while todo:
        state, before, before_new = place = todo.pop()
        for arc in leaving.get(state, []):
            asked = before, before_new, word[arc]
            if asked not in steps:
                steps[asked] = _step(old, new, *asked)
            after, after_new, change = steps[asked]
            if dst[arc] == lattice.end:
                change += new.finish(after_new) - old.finish(after)
                after = after_new = None
            if not math.isfinite(change):
                continue
            target = dst[arc], after, after_new
            if target not in number:
                number[target] = len(number)
                todo.append(target)
            rows.append(
                (number[place], number[target], word[arc], graph[arc] + change, acoustic[arc])
            )
            kept.append(pdfs[first[arc] : first[arc + 1]])
    end = number.get((lattice.end, None, None))
    if end is None:
        return in_order(1, [], [])
    return in_order(end, *_trim(end, rows, kept))


def _step(
    old: Model[Any], new: Model[Any], before: Any, before_new: Any, word: int
) -> tuple[Any, Any, float]:
    if not word:
        return before, before_new, 0.0
    after, cost = old.step(before, word)
    after_new, cost_new = new.step(before_new, word)
    return after, after_new, cost_new - cost


def _trim(end: int, rows: list[Any], pdfs: list[list[int]]) -> tuple[list[Any], list[list[int]]]:
    """Without the arcs that do not lead to the end."""
    into: dict[int, list[int]] = {}
    for source, target, *_ in rows:
        into.setdefault(target, []).append(source)
    alive, todo = {end}, [end]
    while todo:
        for source in into.get(todo.pop(), []):
            if source not in alive:
                alive.add(source)
                todo.append(source)
    kept = [n for n, row in enumerate(rows) if row[1] in alive]
    return [rows[n] for n in kept], [pdfs[n] for n in kept]
