r"""The chain topology: one emitting state per phone, two pdfs, as short as one output frame.

Phone p (p = 1..P, 0 is epsilon) emits its *entry* pdf in the frame in which it begins and its
*loop* pdf in every later one; after each frame it stays or leaves, with probability 1/2 each
(Kaldi, `steps/nnet3/chain/gen_topo.py`):

    entry(p) = 2 (p - 1),    loop(p) = 2 (p - 1) + 1,    P phones have 2 P pdfs.

So a phone of d frames costs d log 2, whatever d is: a path over T frames pays T log 2 in all, and
the two halves matter only as the price of one frame.

With a context tree the two pdfs are leaves of the tree instead, and may depend on the phones before
and behind: `Leaves` is that table.

**The phone behind is not known yet** when p begins. All graphs here settle that in one way: a phone
begins together with a guess of what follows, one of the sets into which the phones that can follow
fall by the pdfs that p has before them (`Leaves.by_right`), and goes on with a phone of that set
only. Each string of phones has one string of guesses that comes true, so that no path is counted
twice. Without context on the right there is one set, and nothing to guess. (Kaldi's C puts phones
off by one instead, and ends a sentence with an extra symbol, `$`.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

LOOP_PROBABILITY = 0.5  # of staying in the phone; 1 - 0.5 of leaving it


def entry_pdf(phone: int) -> int:
    """The pdf of the first frame of a phone (phones count from 1, pdfs from 0)."""
    return 2 * (phone - 1)


def loop_pdf(phone: int) -> int:
    """The pdf of every frame of a phone but its first."""
    return 2 * (phone - 1) + 1


def num_pdfs(num_phones: int) -> int:
    """How many pdfs phones 1..num_phones have together."""
    return 2 * num_phones


@dataclass(frozen=True, eq=False)
class Leaves:
    """Which pdfs a phone has: of its own alone, or by the phones on its left and on its right.

    Attributes:
        table: (L, P, R, 2) pdfs; [left, phone - 1, right] is (entry, loop). L and R are P + 1, 0
            being the beginning or the end of the sentence, or 1 where that side does not matter.
        num_pdfs: leaves of the tree, those included that the table does not use.
    """

    table: np.ndarray
    num_pdfs: int

    def __post_init__(self) -> None:
        shape = self.table.shape
        sides = {1, shape[1] + 1} if len(shape) == 4 else set()
        if not {*shape[::2]} <= sides or shape[3] != 2 or not shape[1]:
            raise ValueError(
                f"leaves: the table must be (L, P, R, 2), L and R 1 or P + 1, got {shape}"
            )
        if self.table.dtype.kind not in "iu":
            raise ValueError(f"leaves: the table wants whole numbers, got {self.table.dtype}")
        if int(self.table.min()) < 0 or int(self.table.max()) >= self.num_pdfs:
            raise ValueError(
                f"leaves: pdfs must lie in 0..{self.num_pdfs - 1}, got {self.table.min()}.."
                f"{self.table.max()}"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Leaves):
            return NotImplemented
        return self.num_pdfs == other.num_pdfs and np.array_equal(self.table, other.table)

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    @property
    def num_phones(self) -> int:
        return int(self.table.shape[1])

    @property
    def context_width(self) -> int:
        """1: the phone alone, 2: with the one on its left, 3: with those on both sides."""
        lefts, _, rights, _ = self.table.shape
        return 3 if rights > 1 else 2 if lefts > 1 else 1

    def pdfs(self, left: int, phone: int, right: int) -> tuple[int, int]:
        """(entry, loop) of `phone` between `left` and `right`."""
        found = self._asked.get((left, phone, right))
        if found is None:
            lefts, _, rights, _ = self.table.shape
            row = self.table[left if lefts > 1 else 0, phone - 1, right if rights > 1 else 0]
            found = self._asked[left, phone, right] = (int(row[0]), int(row[1]))
        return found

    @cached_property
    def _asked(self) -> dict[tuple[int, int, int], tuple[int, int]]:
        """What `pdfs` has found: an array is slow to ask for one row at a time."""
        return {}

    def entry(self, left: int, phone: int, right: int) -> int:
        """The pdf of the first frame of `phone` between `left` and `right`."""
        return self.pdfs(left, phone, right)[0]

    def loop(self, left: int, phone: int, right: int) -> int:
        """The pdf of the other frames of `phone` between `left` and `right`."""
        return self.pdfs(left, phone, right)[1]

    def by_right(
        self, left: int, phone: int, rights: Iterable[int]
    ) -> dict[tuple[int, int], tuple[int, ...]]:
        """`rights` (0: the end), ascending, by the (entry, loop) of `phone` before them."""
        if self.table.shape[2] == 1:  # one group, so the first of `rights` may stand for all
            members = tuple(sorted(rights))
            return {self.pdfs(left, phone, 0): members} if members else {}
        groups: dict[tuple[int, int], tuple[int, ...]] = {}
        for right in sorted(rights):
            key = self.pdfs(left, phone, right)
            groups[key] = (*groups.get(key, ()), right)
        return groups


def in_context(phones: Sequence[int]) -> list[tuple[int, int, int]]:
    """(left, phone, right) of each phone of a sentence.

    >>> in_context([4, 2])
    [(0, 4, 2), (4, 2, 0)]
    """
    return list(zip([0, *phones], phones, [*phones[1:], 0], strict=False))


def monophones(num_phones: int) -> Leaves:
    """No context: the pdfs of the module's text."""
    pdfs = num_pdfs(num_phones)
    return Leaves(np.arange(pdfs).reshape(1, num_phones, 1, 2), pdfs)


def hmm_fst(num_phones: int, disambig: Sequence[int] = (), leaves: Leaves | None = None) -> Any:
    """H, with the tree's context in it: a `kaldifst.StdVectorFst` from pdfs to phones.

    Kaldi makes H and C apart and composes them. Here a state of one kind stands between two phones:
    it knows the one that is over, l (0 at the start), and the set R of those that may follow, the
    guess of the module's text. One of the other kind lies inside phone p and knows its loop leaf k:

        (l, R)    -> (p, k, S)   entry + 1 : p      0          p of R begins
        (p, k, S) -> (p, k, S)   k + 1     : eps    log 2      it stays
        (p, k, S) -> (p, S)      eps       : eps    log 2      it is over
        (l, R)    -> (l, R)      eps       : d      0          for each disambiguation symbol d

    There is one S for each pair (entry, k) that p has after l. (l, R) is final if the end, 0, is in
    R; the start is (0, all). The l that the table makes no difference between are one state. So
    without a tree there are 1 + P states: (0, all), and one inside each phone. Guesses that the
    phones after do not bear out end nowhere, and composition with LG cuts them off.

    A disambiguation symbol passes between two phones and is epsilon on the input side already:
    behind H nothing is determinised any more, so nothing needs it there, and leaves that phones
    share do no harm.

    Args:
        num_phones: P; phones are 1..P.
        disambig: the ids of `#0`, `#1`, ... in phones.txt, all above P.
        leaves: of a context tree; default `monophones(num_phones)`.

    Returns:
        The FST, sorted by output label.

    Raises:
        ValueError: no phones, leaves of other phones, or a disambiguation symbol that is a phone.
    """
    import kaldifst

    if num_phones < 1:
        raise ValueError(f"num_phones is {num_phones}; wanted at least 1")
    if any(symbol <= num_phones for symbol in disambig):
        raise ValueError(f"disambiguation symbols {list(disambig)} overlap phones 1..{num_phones}")
    tree = leaves or monophones(num_phones)
    if tree.num_phones != num_phones:
        raise ValueError(f"leaves of {tree.num_phones} phones for phones 1..{num_phones}")
    stay, leave = -math.log(LOOP_PROBABILITY), -math.log(1.0 - LOOP_PROBABILITY)
    hmm = kaldifst.StdVectorFst()
    everything = tuple(range(num_phones + 1))
    rows = [tree.table[left if len(tree.table) > 1 else 0].tobytes() for left in everything]
    same = [rows.index(row) for row in rows]  # the first left phone with this row of the table
    between: dict[tuple[int, tuple[int, ...]], int] = {(0, everything): hmm.add_state()}
    inside: dict[tuple[int, int, tuple[int, ...]], int] = {}
    queue = list(between)
    for left, following in queue:
        state = between[left, following]
        if 0 in following:
            hmm.set_final(state, 0.0)
        for phone in filter(None, following):
            for (entry, loop), rights in tree.by_right(left, phone, everything).items():
                key = (phone, loop, rights)
                if key not in inside:
                    inside[key] = hmm.add_state()
                    after = (same[phone], rights)
                    if after not in between:
                        between[after] = hmm.add_state()
                        queue.append(after)
                    hmm.add_arc(inside[key], kaldifst.StdArc(loop + 1, 0, stay, inside[key]))
                    hmm.add_arc(inside[key], kaldifst.StdArc(0, 0, leave, between[after]))
                hmm.add_arc(state, kaldifst.StdArc(entry + 1, phone, 0.0, inside[key]))
        for symbol in disambig:
            hmm.add_arc(state, kaldifst.StdArc(0, symbol, 0.0, state))
    hmm.start = 0
    kaldifst.arcsort(hmm, "olabel")
    return hmm


def describe(num_phones: int) -> str:
    """The text of a lang directory's `topo`: the rule, then lines `phone entry-pdf loop-pdf`."""
    lines = [
        f"# chain topology: {num_phones} phones, {num_pdfs(num_phones)} pdfs",
        "# entry pdf in a phone's first frame, loop pdf in the others",
        f"# probability to stay {LOOP_PROBABILITY:g}, to leave {1.0 - LOOP_PROBABILITY:g}",
        "# phone entry-pdf loop-pdf",
    ]
    lines += [f"{p} {entry_pdf(p)} {loop_pdf(p)}" for p in range(1, num_phones + 1)]
    return "\n".join(lines) + "\n"
