r"""The chain topology: one emitting state per phone, two pdfs, as short as one output frame.

Phone p (p = 1..P, 0 is epsilon) emits its *entry* pdf in the frame in which it begins and its
*loop* pdf in every later one; after each frame it stays or leaves, with probability 1/2 each
(Kaldi, `steps/nnet3/chain/gen_topo.py`):

    entry(p) = 2 (p - 1),    loop(p) = 2 (p - 1) + 1,    P phones have 2 P pdfs.

So a phone of d frames costs d log 2, whatever d is: a path over T frames pays T log 2 in all, and
the two halves matter only as the price of one frame.

With a context tree the two pdfs are leaves of the tree instead, and may depend on the phone before:
`Leaves` is that table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
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
    """Which pdfs a phone has: of its own alone, or by the phone on its left (a left-biphone tree).

    Attributes:
        table: (1, P, 2) or (P + 1, P, 2) pdfs; [left, phone - 1] is (entry, loop), left 0 is the
            beginning of the sentence. With one row the left phone does not matter.
        num_pdfs: leaves of the tree, those included that the table does not use.
    """

    table: np.ndarray
    num_pdfs: int

    def __post_init__(self) -> None:
        lefts, phones, pdfs = self.table.shape
        if lefts not in (1, phones + 1) or pdfs != 2:
            raise ValueError(
                f"leaves: the table must be (1, P, 2) or (P + 1, P, 2), got {self.table.shape}"
            )
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

    def entry(self, left: int, phone: int) -> int:
        """The pdf of the first frame of `phone` after `left`."""
        return int(self.table[left if len(self.table) > 1 else 0, phone - 1, 0])

    def loop(self, left: int, phone: int) -> int:
        """The pdf of the other frames of `phone` after `left`."""
        return int(self.table[left if len(self.table) > 1 else 0, phone - 1, 1])


def monophones(num_phones: int) -> Leaves:
    """No context: the pdfs of the module's text."""
    return Leaves(np.arange(num_pdfs(num_phones)).reshape(1, num_phones, 2), num_pdfs(num_phones))


def hmm_fst(num_phones: int, disambig: Sequence[int] = (), leaves: Leaves | None = None) -> Any:
    """H, with the tree's context in it: a `kaldifst.StdVectorFst` from pdfs to phones.

    With context on the left only, H o C is this small (Kaldi makes the two apart). A state of one
    kind stands between two phones and knows the one that is over, l (0 at the start); one of the
    other kind lies inside phone p and knows its loop leaf r:

        l      -> (p, r)   entry(l, p) + 1 : p      0          p begins; r = loop(l, p)
        (p, r) -> (p, r)   r + 1           : eps    log 2      it stays
        (p, r) -> p        eps             : eps    log 2      it is over
        l      -> l        eps             : d      0          for each disambiguation symbol d

    All l are final, 0 is the start; those that the table makes no difference between are one
    state. So without a tree there are 1 + P states: 0, and p inside phone p.

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
    between: dict[bytes, int] = {}  # by the row of the table
    inside: dict[tuple[int, int], int] = {}  # by phone and loop leaf
    rows = [tree.table[left if len(tree.table) > 1 else 0] for left in range(num_phones + 1)]
    for left, row in enumerate(rows):
        if row.tobytes() in between:
            continue
        state = between[row.tobytes()] = hmm.add_state()
        hmm.set_final(state, 0.0)
        for phone in range(1, num_phones + 1):
            key = (phone, tree.loop(left, phone))
            if key not in inside:
                inside[key] = hmm.add_state()
            entry = tree.entry(left, phone) + 1
            hmm.add_arc(state, kaldifst.StdArc(entry, phone, 0.0, inside[key]))
        for symbol in disambig:
            hmm.add_arc(state, kaldifst.StdArc(0, symbol, 0.0, state))
    for (phone, loop), state in inside.items():
        hmm.add_arc(state, kaldifst.StdArc(loop + 1, 0, stay, state))
        hmm.add_arc(state, kaldifst.StdArc(0, 0, leave, between[rows[phone].tobytes()]))
    hmm.start = between[rows[0].tobytes()]
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
