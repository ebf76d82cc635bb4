"""G.fst of a lang directory, to ask word by word: what decoding took for the language model.

It is a back-off model as an automaton, with arcs of the label `#0` for backing off. The search may
take such an arc where the word was seen, too: a path then costs the least of all ways, and not what
the model says, (1) of lm/automaton.py. `Search` gives that cost, which is what is in a lattice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from chainstitch.utils.errors import UserError
from chainstitch.utils.lang.compose import BACKOFF
from chainstitch.utils.lang.fst_check import columns
from chainstitch.utils.lm.automaton import Automaton
from chainstitch.utils.lm.model import NONE, Array

SearchState = tuple[tuple[int, float], ...]


class Search:
    """The least cost over all paths of the automaton, back-off arcs where a word was seen included.

    A state is all states of the model where such a path can be, each with what it costs more than
    the best; those are left out that another one reaches as cheaply by backing off.
    """

    def __init__(self, model: Automaton) -> None:
        self.model = model
        self.start: SearchState = ((model.start, 0.0),)

    def step(self, state: SearchState, word: int) -> tuple[SearchState, float]:
        """The state behind a word and its cost; (start, inf) for a word that the model lacks."""
        reached = self._reached(state, self.model.numbers[word])
        if not reached:
            return self.start, math.inf
        least = min(reached.values())
        kept = {
            at: paid
            for at, paid in reached.items()
            if all(paid < other for where, other in self._below(reached) if where == at)
        }
        return tuple(sorted((at, round(paid - least, 5)) for at, paid in kept.items())), least

    def finish(self, state: SearchState) -> float:
        """The cost of the end of a sentence."""
        return min(self._reached(state, self.model.end).values(), default=math.inf)

    def _reached(self, state: SearchState, number: int) -> dict[int, float]:
        """The states behind a word, or the end, and the least cost of each."""
        model, reached = self.model, dict[int, float]()
        for at, paid in [*state, *self._below(dict(state))]:
            n = model.find(at, number)
            if n != NONE:
                target, total = int(model.following[n]), paid + float(model.cost[n])
                reached[target] = min(total, reached.get(target, math.inf))
        return reached

    def _below(self, state: Mapping[int, float]) -> list[tuple[int, float]]:
        model, found = self.model, []
        for at, paid in state.items():
            while model.lower[at] != NONE:
                paid, at = paid + float(model.lower_cost[at]), int(model.lower[at])
                found.append((at, paid))
        return found


def read_grammar(path: Path, words: Mapping[str, int]) -> Search:
    """G.fst of a lang directory.

    Args:
        words: its words.txt.

    Raises:
        UserError: it is missing, damaged or no grammar.
    """
    start, first, (label, _, cost, following), final = columns(path, "chainstitch lang")
    source = np.repeat(np.arange(len(final)), np.diff(first))
    back = label == words[BACKOFF]
    if len(np.unique(source[back])) != back.sum():
        raise UserError(f"{path}: a state has two back-off arcs; run `chainstitch lang` again")
    lower = np.full(len(final), NONE, np.int32)
    lower_cost = np.zeros(len(final), np.float32)
    lower[source[back]], lower_cost[source[back]] = following[back], cost[back]
    _check_ends(path, lower)
    # the end of a sentence is a word of its own, whose number no label has
    end = 1 + max(int(label.max(initial=0)), max(words.values()))
    stops = np.flatnonzero(np.isfinite(final))
    number = np.concatenate([label[~back], np.full(len(stops), end)])
    keys = np.concatenate([source[~back], stops]) * (end + 1) + number
    order = np.argsort(keys, kind="stable")
    costs = np.concatenate([cost[~back], final[stops]]).astype(np.float32)
    behind = np.concatenate([following[~back], stops]).astype(np.int32)
    return Search(
        Automaton(
            int(start), end + 1, list(range(end)), end,
            keys[order], costs[order], behind[order], lower, lower_cost,
        )
    )  # fmt: skip


def _check_ends(path: Path, lower: Array) -> None:
    at, steps = lower[lower != NONE], 0
    while len(at):
        at, steps = lower[at], steps + 1
        at = at[at != NONE]
        if steps > 100:
            raise UserError(f"{path}: its back-off arcs lead round; run `chainstitch lang` again")
