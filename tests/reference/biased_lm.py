"""The model of biased_lm.py by its definition, every count worked out anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from chainstitch.utils.lang.biased_lm import END, START

D = 0.3


def probability(
    sentences: Sequence[Sequence[int]],
    common: Mapping[int, float],
    order: int,
    least: float,
    history: tuple[int, ...],
    word: int,
) -> float:
    """p(word | history)."""
    events = []
    for sentence in sentences:
        words = (START, *sentence, END)
        for n in range(1, len(words)):
            events.append((words[max(0, n + 1 - order) : n], words[n]))

    def often(h: tuple[int, ...]) -> int:
        return sum(e[len(e) - len(h) :] == h for e, _ in events if len(e) >= len(h))

    def kept(h: tuple[int, ...]) -> tuple[int, ...]:
        while len(h) > 1 and often(h) < least:
            h = h[1:]
        return h

    placed = [(kept(h), w) for h, w in events]

    @cache
    def seen(h: tuple[int, ...]) -> dict[int, float]:
        """c(h, w) before the discount: own events, and one for each longer history before w."""
        found: dict[int, float] = {}
        for e, w in placed:
            if e == h:
                found[w] = found.get(w, 0.0) + 1.0
        longer = {e[-len(h) - 1 :] for e, _ in placed if len(e) > len(h)}
        for g in longer:
            if g[1:] == h:
                for w in seen(g):
                    found[w] = found.get(w, 0.0) + 1.0
        return found

    def p(h: tuple[int, ...]) -> float:
        counts = seen(h)
        if not h:
            whole = sum(counts.values())
            total = whole * (1.0 + sum(common.values()))
            return (counts.get(word, 0.0) + common.get(word, 0.0) * whole) / total
        total = sum(counts.values())
        own = max(counts.get(word, 0.0) - D, 0.0) / total
        return own + D * len(counts) / total * p(h[1:])

    return p(history)
