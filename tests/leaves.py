"""Context trees' tables at random, for tests of what is made with them."""

from __future__ import annotations

import numpy as np

from chainstitch.nnet.chain import Leaves


def random_leaves(seed: int, pdfs: int, phones: int, context_width: int = 2) -> Leaves:
    """With few pdfs, phones share them. 2: by the phone on the left, 3: by those on both sides."""
    rights = phones + 1 if context_width == 3 else 1
    table = np.random.default_rng(seed).integers(0, pdfs, (phones + 1, phones, rights, 2))
    return Leaves(table, pdfs)
