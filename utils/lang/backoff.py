r"""A back-off n-gram model as a table of what follows each history, to ask word by word.

A state is a history h; s(h) is h without its first word. After h the words w that were seen there
have their own cost, -log p(w | h); every other one costs what it costs after s(h), and the back-off
weight of h more:

    cost(w | h) = -log f(w | h)          if (h, w) is in the model,
                = b(h) + cost(w | s(h))  if not;             the end of a sentence likewise.     (1)

The state behind is the longest history in the model that h w ends with. States are rows, and of
each the words that follow it are sorted, so that a word is found by halving: 12 bytes for an n-gram
and 20 for a state, against some 40 and more for the arcs of an FST.

**From ARPA.** N-grams come as they stand in the file, into columns of numbers; order by order they
are sorted, by history and word, and find their history among those of the order below. What is
never asked for is not made: a history behind which nothing was seen is replaced by the one that it
backs off to, whose price is added to the arc. N-grams without their history are left out, as kaldilm
does; so are those with words that are not in the table.

**From G.fst**, the same automaton with back-off arcs (`#0`). The search may take such an arc where
the word was seen, too: its path then costs min over both, not (1). `Search` gives that cost, which
is what is in a lattice.
"""

from __future__ import annotations

import logging
import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from chainstitch.utils.errors import UserError
from chainstitch.utils.lang.arpa import read_checked
from chainstitch.utils.lang.compose import BACKOFF
from chainstitch.utils.lang.fst_check import columns
from chainstitch.utils.lang.ngram import SPECIAL, check_vocabulary

log = logging.getLogger(__name__)

LOG_10 = math.log(10.0)
NONE = -1
BEGIN, END = "<s>", "</s>"

State = TypeVar("State")


class Model(Protocol[State]):
    """What rescoring asks: the state before a sentence, and (next state, cost) of a word."""

    @property
    def start(self) -> State: ...
    def step(self, state: State, word: int) -> tuple[State, float]: ...
    def finish(self, state: State) -> float: ...


@dataclass(frozen=True, eq=False)
class BackoffModel:
    """(1), in tables.

    Attributes:
        start: the state in which a sentence begins.
        first: (states + 1,) where the words that follow a state begin.
        word, cost, following: (n-grams,) the word, its cost, the state behind.
        lower, lower_cost: (states,) s(h), NONE of the empty history; b(h).
        final: (states,) cost of the end of a sentence; infinite where it is not in the model.
    """

    start: int
    first: NDArray[np.int64]
    word: NDArray[np.int32]
    cost: NDArray[np.float32]
    following: NDArray[np.int32]
    lower: NDArray[np.int32]
    lower_cost: NDArray[np.float32]
    final: NDArray[np.float32]

    def step(self, state: int, word: int) -> tuple[int, float]:
        """The state behind a word and its cost; (start, inf) for a word that the model lacks."""
        paid = 0.0
        while state != NONE:
            begin, end = self.first[state], self.first[state + 1]
            at = begin + int(np.searchsorted(self.word[begin:end], word))
            if at < end and self.word[at] == word:
                return int(self.following[at]), paid + float(self.cost[at])
            paid, state = paid + float(self.lower_cost[state]), int(self.lower[state])
        return self.start, math.inf

    def finish(self, state: int) -> float:
        """The cost of the end of a sentence."""
        paid = 0.0
        while state != NONE:
            if self.final[state] < math.inf:
                return paid + float(self.final[state])
            paid, state = paid + float(self.lower_cost[state]), int(self.lower[state])
        return math.inf

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return sum(table.nbytes for table in vars(self).values() if isinstance(table, np.ndarray))


SearchState = tuple[tuple[int, float], ...]


class Search:
    """The least cost over all paths of the automaton, back-off arcs where a word was seen included.

    A state is all states of the model where such a path can be, each with what it costs more than
    the best; those are left out that another one reaches as cheaply by backing off.
    """

    def __init__(self, model: BackoffModel) -> None:
        self.model = model
        self.start: SearchState = ((model.start, 0.0),)

    def step(self, state: SearchState, word: int) -> tuple[SearchState, float]:
        model, reached = self.model, dict[int, float]()
        for at, paid in self._backed_off(state):
            begin, end = model.first[at], model.first[at + 1]
            n = begin + int(np.searchsorted(model.word[begin:end], word))
            if n < end and model.word[n] == word:
                target, total = int(model.following[n]), paid + float(model.cost[n])
                reached[target] = min(total, reached.get(target, math.inf))
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
        final = self.model.final
        return min((paid + float(final[at]) for at, paid in self._backed_off(state)), default=0.0)

    def _backed_off(self, state: SearchState) -> list[tuple[int, float]]:
        return [*state, *self._below(dict(state))]

    def _below(self, state: Mapping[int, float]) -> list[tuple[int, float]]:
        model, found = self.model, []
        for at, paid in state.items():
            while model.lower[at] != NONE:
                paid, at = paid + float(model.lower_cost[at]), int(model.lower[at])
                found.append((at, paid))
        return found


def sentence_cost(model: Model[Any], words: list[int]) -> float:
    """-log p of a sentence."""
    state, total = model.start, 0.0
    for word in words:
        state, cost = model.step(state, word)
        total += cost
    return total + model.finish(state)


def read_grammar(path: Path, words: Mapping[str, int]) -> Search:
    """G.fst of a lang directory.

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
    spoken = np.flatnonzero(~back)
    order = spoken[np.lexsort((label[spoken], source[spoken]))]
    return Search(
        BackoffModel(
            start, np.searchsorted(source[order], np.arange(len(final) + 1)),
            label[order], cost[order], following[order], lower, lower_cost, final,
        )
    )  # fmt: skip


def _check_ends(path: Path, lower: NDArray[np.int32]) -> None:
    at, steps = lower[lower != NONE], 0
    while len(at):
        at, steps = lower[at], steps + 1
        at = at[at != NONE]
        if steps > 100:
            raise UserError(f"{path}: its back-off arcs lead round; run `chainstitch lang` again")


class _Columns:
    """The lines of a checked ARPA file, n-gram by n-gram, in columns by order."""

    def __init__(self, words: Mapping[str, int]) -> None:
        self._words = {word.encode(): number for word, number in words.items() if number}
        self.words: list[array[int]] = []
        self.costs: list[array[float]] = []  # two a row: of the n-gram, of its back-off
        self.listed: list[str] = []
        self.foreign = 0

    def add(self, line: bytes) -> None:
        if line.startswith(b"\\") and len(line.split()) == 1:
            if line.strip().endswith(b"-grams:"):
                self.words.append(array("i"))
                self.costs.append(array("f"))
            return
        if not self.words:  # a line of the header
            return
        fields, order = line.split(), len(self.words)
        if order == 1:
            self.listed.append(fields[1].decode())
        try:
            numbers = [self._words[word] for word in fields[1 : order + 1]]
        except KeyError:
            self.foreign += 1
            return
        self.words[-1].extend(numbers)
        backoff = -LOG_10 * float(fields[order + 1]) if len(fields) > order + 1 else 0.0
        self.costs[-1].extend((-LOG_10 * float(fields[0]), backoff))


def read_arpa(path: Path | str, words: Mapping[str, int]) -> BackoffModel:
    """The model of an ARPA file, plain or .gz.

    Args:
        words: of words.txt; of n-grams with other words only the number is told.

    Raises:
        UserError: no such file, not an ARPA file, or none of its words is in `words`.
    """
    called = f"language model {path}"
    found = _Columns(words)
    read_checked(path, found.add, called)
    check_vocabulary(called, [word for word in found.listed if word not in SPECIAL], words)
    model = _build(called, found, words[BEGIN], words[END])
    log.info(
        "%s: %d n-grams, %d histories, %d MB", called, len(model.word), len(model.lower),
        model.nbytes >> 20,
    )  # fmt: skip
    return model


def _build(called: str, found: _Columns, begin: int, end: int) -> BackoffModel:
    """Order by order: rows of (history, word), and the history that each makes with its word.

    The n-grams of an order that are histories are the states of their order, numbered as sorted,
    after all of the orders below; state 0 is the empty history.
    """
    size = 1 + max((int(np.max(column)) for column in found.words if len(column)), default=0)
    highest = len(found.words)
    # of each order: sorted (history, word) keys, and the first state made of them
    keys: list[NDArray[np.int64]] = []
    offsets = [0, 1]
    lower, lower_cost = [np.array([NONE], np.int32)], [np.zeros(1, np.float32)]
    sources, labels, costs, targets = [], [], [], []
    final = [np.full(1, np.inf, np.float32)]
    lost = 0

    def state_of(columns: NDArray[np.int32]) -> NDArray[np.int64]:
        """The state of each row of words, NONE where there is none."""
        state = np.zeros(len(columns), np.int64)
        for order in range(columns.shape[1]):
            state = _find(keys[order], state * size + columns[:, order], offsets[order + 1], state)
        return state

    for order in range(1, highest + 1):
        column = np.frombuffer(found.words[order - 1], np.int32).reshape(-1, order)
        value = np.frombuffer(found.costs[order - 1], np.float32).reshape(-1, 2)
        history = state_of(column[:, :-1])
        lost += int((history == NONE).sum())
        here = history != NONE
        if not here.all():
            column, value, history = column[here], value[here], history[here]
        key = history * size + column[:, -1]
        order_of = np.argsort(key, kind="stable")
        column, value, history, key = (x[order_of] for x in (column, value, history, key))
        twice = np.flatnonzero(key[1:] == key[:-1])
        if len(twice):
            raise UserError(
                f"{called}: an n-gram of {order} words stands there twice; make it again"
            )
        # the state behind: the longest end of these words that is a history
        behind = np.full(len(column), NONE, np.int64)
        for skipped in range(1, order):
            open_ = np.flatnonzero(behind == NONE)
            behind[open_] = state_of(column[open_, skipped:])
        behind[behind == NONE] = 0
        is_end = column[:, -1] == end
        ends = np.full(offsets[-1] - offsets[-2], np.inf, np.float32)
        ends[history[is_end] - offsets[-2]] = value[is_end, 0]
        final[-1] = ends
        if order < highest:
            lower.append(behind.astype(np.int32))
            lower_cost.append(value[:, 1])
            final.append(np.full(len(column), np.inf, np.float32))
            keys.append(key)
            offsets.append(offsets[-1] + len(column))
            behind = offsets[-2] + np.arange(len(column))
        said = ~is_end & (column[:, -1] != begin)
        sources.append(history[said].astype(np.int32))
        labels.append(column[said, -1])
        costs.append(value[said, 0])
        targets.append(behind[said].astype(np.int32))
        found.words[order - 1], found.costs[order - 1] = array("i"), array("f")
    if lost or found.foreign:
        log.warning(
            "%s: %d n-grams with words that are not in words.txt, and %d without their history, are "
            "left out", called, found.foreign, lost,
        )  # fmt: skip
    return _short_cuts(
        state_of(np.array([[begin]], np.int32))[0] if highest > 1 else 0,
        *(np.concatenate(some) for some in (sources, labels, costs, targets)),
        *(np.concatenate(some) for some in (lower, lower_cost, final)),
    )  # fmt: skip


def _find(
    keys: NDArray[np.int64], wanted: NDArray[np.int64], offset: int, state: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The states of keys, NONE of those that are not there, or whose `state` is NONE."""
    if not len(keys):
        return np.full(len(wanted), NONE)
    at = np.searchsorted(keys, wanted)
    there = (keys[np.minimum(at, len(keys) - 1)] == wanted) & (state != NONE)
    return np.where(there, offset + at, NONE)


def _short_cuts(
    start: int, source: NDArray[np.int32], word: NDArray[np.int32], cost: NDArray[np.float32],
    target: NDArray[np.int32], lower: NDArray[np.int32], lower_cost: NDArray[np.float32],
    final: NDArray[np.float32],
) -> BackoffModel:  # fmt: skip
    """The model, every arc to a history behind which nothing was seen led to where it backs off."""
    first = np.searchsorted(source, np.arange(len(lower) + 1))
    empty = (np.diff(first) == 0) & np.isinf(final) & (lower != NONE)
    while True:
        through = np.flatnonzero(empty[target])
        if not len(through):
            break
        cost[through] += lower_cost[target[through]]
        target[through] = lower[target[through]]
    return BackoffModel(int(start), first, word, cost, target, lower, lower_cost, final)
