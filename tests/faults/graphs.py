"""Small graphs that are as they should be, for tests to change."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import kaldifst
import numpy as np
import pytest
import torch

from chainstitch.nnet.chain import DenominatorGraph, NumeratorGraph

GPU = pytest.param(
    "gpu", marks=pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
)
PLACE = "cuda" if torch.cuda.is_available() else "cpu"
SRC, DST = [0, 0, 1, 1, 1, 2, 2], [1, 2, 1, 2, 0, 2, 0]
PDF, PROB = [0, 1, 1, 2, 0, 3, 2], [0.6, 0.4, 0.5, 0.3, 0.2, 0.4, 0.6]


def graph(**changed: Any) -> DenominatorGraph:
    return DenominatorGraph.from_arcs(
        **({"src": SRC, "dst": DST, "pdf": PDF, "prob": PROB} | changed)
    )


def numerator(**changed: Any) -> NumeratorGraph:
    """0 --0--> 1 --1--> 1, a loop, 1 is final."""
    arrays = {
        "src": np.array([0, 1], np.int32), "dst": np.array([1, 1], np.int32),
        "pdf": np.array([0, 1], np.int32), "log_prob": np.zeros(2),
        "final": np.array([False, True]),
    }  # fmt: skip
    return NumeratorGraph(**(arrays | changed))


def fst(labels: list[int]) -> Any:

    made = kaldifst.StdVectorFst()
    made.start = made.add_state()
    made.set_final(0, 0.0)
    for label in labels:
        made.add_arc(0, kaldifst.StdArc(label, 1, 0.5, 0))
    return made
