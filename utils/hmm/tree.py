"""Context trees: which pdf a phone's frames have, by the phones around it.

Every phone p has a tree. It is asked about the *context* (l, r, c): l is the phone on the left (0:
the beginning of the sentence), r the phone on the right (0: the end) and c the pdf class, 0 for the
first frame of a phone (entry), 1 for the others (loop). A question is "is c = 0?", "is l in this
set of phones?" or, in a triphone tree, "is r in this set?"; the leaf that the answers lead to is
the pdf. A context that is not in the training data has answers, too, and so a pdf. The ends of the
sentence, and phones without data, are in no set.

How a tree is grown: tree_growing.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chainstitch.utils.arrays import load_arrays
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.hmm.topology import Leaves

FILE = "tree.npz"  # in a tree directory
LEAF, CLASS = -1, 0  # in `Tree.question`; others are rows of `Tree.sets`


@dataclass(frozen=True)
class Tree:
    """The trees of all phones as one list of nodes; node p - 1 is the root of phone p.

    Attributes:
        phones: names of phones 1..P.
        sets: (Q, P + 1) bool, what is asked for: [q - 1, l] whether phone l is in set q.
        question: (N,) LEAF, CLASS, q for "is l in set q?", or Q + q for "is r?".
        yes, no: (N,) the nodes below, behind their parent; -1 for a leaf.
        pdf: (N,) of a leaf, which others may have, too; else -1.
    """

    phones: list[str]
    sets: NDArray[np.bool_]
    question: NDArray[np.int64]
    yes: NDArray[np.int64]
    no: NDArray[np.int64]
    pdf: NDArray[np.int64]

    @property
    def num_pdfs(self) -> int:
        return int(self.pdf.max()) + 1

    @property
    def context_width(self) -> int:
        """3 if anything is asked about the phone on the right, else 2."""
        return 3 if bool((self.question > len(self.sets)).any()) else 2

    def leaves(self) -> Leaves:
        """The table of all contexts, those without data included."""
        phones, chosen = len(self.phones), len(self.sets)
        everyone = np.ones(phones + 1, bool)
        rights = everyone if self.context_width == 3 else everyone[:1]
        table = np.empty((phones + 1, phones, len(rights), 2), np.int64)
        for p in range(phones):
            # a node's contexts are all of some lefts with all of some rights and classes
            stack = [(p, everyone, rights, np.ones(2, bool))]
            while stack:
                node, *sides = stack.pop()
                q = self.question[node]
                if q == LEAF:
                    lefts, rest, classes = sides
                    table[:, p][np.ix_(lefts, rest, classes)] = self.pdf[node]
                    continue
                side = 2 if q == CLASS else int(q > chosen)
                yes = np.array([True, False]) if q == CLASS else self.sets[(q - 1) % chosen]
                for below, answer in ((self.yes[node], yes), (self.no[node], ~yes)):
                    kept = [*sides]
                    kept[side] = sides[side] & answer
                    stack.append((below, *kept))
        return Leaves(table, self.num_pdfs)

    def save(self, path: Path | str) -> None:
        """Writes tree.npz (atomically)."""
        with atomic_file(path, "wb") as stream:
            np.savez_compressed(
                stream, phones=np.array(self.phones, np.str_), sets=self.sets,
                question=self.question, yes=self.yes, no=self.no, pdf=self.pdf,
            )  # fmt: skip

    @classmethod
    def load(cls, path: Path | str) -> Tree:
        """Reads what `save` wrote.

        Raises:
            UserError: missing, damaged, or not a tree.
        """
        try:
            data = load_arrays(path)
            tree = cls(
                data["phones"].tolist(), data["sets"].astype(bool),
                *(data[name].astype(np.int64) for name in ("question", "yes", "no", "pdf")),
            )  # fmt: skip
            tree._check()
        except FileNotFoundError:
            raise UserError(f"{path} does not exist; make it with `chainstitch tree`") from None
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise UserError(
                f"{path} is not a readable tree ({error}); make it again with `chainstitch tree`"
            ) from None
        return tree

    def _check(self) -> None:
        """Raises ValueError for what is not a forest with one root a phone."""
        phones, nodes = len(self.phones), len(self.question)
        leaf = self.question == LEAF
        inner = np.flatnonzero(~leaf)
        below = np.concatenate([self.yes[inner], self.no[inner]])
        pdfs = np.unique(self.pdf[leaf])
        good = (
            self.sets.shape[1:] == (phones + 1,)
            and {len(self.yes), len(self.no), len(self.pdf)} == {nodes}
            and 0 < phones <= nodes
            and bool((self.question[inner] >= CLASS).all())
            and bool((self.question <= 2 * len(self.sets)).all())
            and bool((below > np.tile(inner, 2)).all())  # so that answering comes to an end
            and np.array_equal(np.sort(below), np.arange(phones, nodes))
            and np.array_equal(pdfs, np.arange(len(pdfs)))
        )
        if not good:
            raise ValueError("its nodes are not a tree for each phone")
