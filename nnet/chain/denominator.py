"""The denominator graph of LF-MMI: an acceptor over pdfs, with its initial probabilities.

How it comes from a phone LM and the chain topology: denominator_composition.py.

**Initial probabilities.** Training sees chunks that start anywhere, so the start state does not
matter: all mass is put on it, propagated 100 steps, and the 100 distributions averaged. All states
are final with probability 1. (Kaldi chain-den-graph.cc, SetInitialProbs.)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chainstitch.nnet.chain import fst_format
from chainstitch.nnet.chain.graph_check import (
    LEAST_PROBABILITY,
    MOST_PROBABILITY,
    check_arcs,
    check_count,
    check_denominator,
    numbers,
    whole_numbers,
)
from chainstitch.utils.arrays import load_arrays
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.hmm.topology import Leaves

NUM_PROPAGATION_STEPS = 100


class DenominatorGraph:
    """A probabilistic acceptor over pdfs; all states final, initial probabilities stationary-like.

    Whatever it is made from, it is checked (graph_check.py), as the kernels look at no index twice.

    Attributes:
        src, dst, pdf: (arcs,) int64, sorted by (dst, pdf, src); prob: (arcs,) float64, linear.
        initial: (states,) float64, sums to one.
        final: (states,) float64, linear, which entered `initial` and nothing else.
        num_states, num_pdfs, start: int.
        phones: names of the phones 1, 2, ... that the pdfs belong to; empty if they are not known.
        leaves: of the context tree that it was made with; None: two pdfs a phone.

    Raises:
        ValueError: a state, pdf or probability that cannot be, or lengths that do not fit.
    """

    def __init__(
        self, src: Tensor, dst: Tensor, pdf: Tensor, prob: Tensor, initial: Tensor,
        start: int, num_pdfs: int, phones: Sequence[str] = (), final: Tensor | None = None,
        leaves: Leaves | None = None,
    ) -> None:  # fmt: skip
        src, dst, pdf = map(whole_numbers, ("src", "dst", "pdf"), (src, dst, pdf))
        prob = numbers("prob", prob, LEAST_PROBABILITY, MOST_PROBABILITY)
        self.initial = numbers("initial", initial, 0.0, 1.0 + 1e-6)
        self.final = torch.zeros_like(self.initial) if final is None else _ends(final)
        self.start = check_count("start", start, 0)
        self.num_states = len(self.initial)
        self.num_pdfs = check_count("num_pdfs", num_pdfs, 1)
        self.phones = list(phones)
        self.leaves = leaves
        check_denominator(
            src, dst, pdf, prob, self.initial, self.final, self.start, self.num_pdfs, self.phones,
            leaves,
        )  # fmt: skip
        order = np.lexsort((src.numpy(), pdf.numpy(), dst.numpy()))
        self.src, self.dst, self.pdf = src[order], dst[order], pdf[order]
        self.prob = prob[order]

    @classmethod
    def from_arcs(
        cls,
        src: Tensor,
        dst: Tensor,
        pdf: Tensor,
        prob: Tensor,
        final: Tensor | None = None,
        start: int = 0,
        num_pdfs: int | None = None,
    ) -> DenominatorGraph:
        """Builds the graph and its initial probabilities.

        Args:
            src, dst, pdf: (arcs,) integers from 0; prob: (arcs,) linear, 1e-30 to 1e6.
            final: linear final probabilities of the states, or of the first of them; used only in
                normalising each state for the initial probabilities. Default 0.
            start: the state that the propagation begins in.
            num_pdfs: default max(pdf) + 1.

        Raises:
            ValueError: empty, ragged or negative input, a probability that cannot be one.
        """
        src, dst, pdf = map(whole_numbers, ("src", "dst", "pdf"), (src, dst, pdf))
        prob = numbers("prob", prob, LEAST_PROBABILITY, MOST_PROBABILITY)
        check_arcs(src, dst, pdf, prob)
        start = check_count("start", start, 0)
        given = torch.empty(0) if final is None else _ends(final)
        states = max(1 + max(int(src.max()), int(dst.max()), start), len(given))
        pdfs = int(pdf.max()) + 1 if num_pdfs is None else num_pdfs
        ends = torch.zeros(states, dtype=torch.float64)
        ends[: len(given)] = given
        initial = _initial_probabilities(src, dst, prob, ends, start, states)
        return cls(src, dst, pdf, prob, initial, start, pdfs, (), ends)

    @classmethod
    def read_fst(cls, path: Path | str) -> DenominatorGraph:
        """Reads an OpenFst file, binary or text (fst_format.py).

        Raises:
            UserError: it cannot be read, or is no denominator graph.
        """
        arcs = fst_format.read_fst(path)
        try:
            return cls.from_arcs(**vars(arcs))
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None

    def write_fst_text(self, path: Path | str) -> None:
        """Writes what `fstcompile --acceptor` reads (atomically)."""
        columns = (self.src, self.dst, self.pdf, self.prob, self.final)
        fst_format.write_fst_text(fst_format.Arcs(*columns, self.start), path)

    def save(self, path: Path | str) -> None:
        """Writes den.npz (atomically)."""
        with atomic_file(path, "wb") as stream:
            arrays: dict[str, Any] = {k: np.asarray(v) for k, v in self._arrays().items()}
            np.savez_compressed(stream, **arrays)

    @classmethod
    def load(cls, path: Path | str) -> DenominatorGraph:
        """Reads what `save` wrote, or a Kaldi recipe's den.fst (fst_format.py).

        Raises:
            UserError: missing or damaged file.
        """
        try:
            with open(path, "rb") as stream:
                archive = stream.read(2) == b"PK"
            if not archive:
                return cls.read_fst(path)
            data = load_arrays(path)
            names, table = data.pop("phones"), data.pop("leaves", None)
            if names.ndim != 1 or names.dtype.kind != "U":
                raise ValueError("phones wants names")
            phones = names.tolist()
            if table is not None and table.ndim == 3:  # written before there was a right side
                table = table[:, :, None]
            arrays = {name: torch.from_numpy(array) for name, array in data.items()}
            pdfs = check_count("num_pdfs", arrays["num_pdfs"].item(), 1)
            return cls(
                arrays["src"], arrays["dst"], arrays["pdf"], arrays["prob"], arrays["initial"],
                check_count("start", arrays["start"].item(), 0), pdfs, phones, arrays.get("final"),
                None if table is None else Leaves(table, pdfs),
            )  # fmt: skip
        except FileNotFoundError:
            raise UserError(
                f"{path} does not exist; make it with `chainstitch den-graph`"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            said = f"no {error}" if isinstance(error, KeyError) else error
            raise UserError(f"{path} is not a readable den.npz ({said}); make it again") from None

    def _arrays(self) -> dict[str, Any]:
        tree = {} if self.leaves is None else {"leaves": self.leaves.table}
        return tree | {
            "src": self.src, "dst": self.dst, "pdf": self.pdf, "prob": self.prob,
            "final": self.final,
            "initial": self.initial, "start": self.start, "num_pdfs": self.num_pdfs,
            "phones": np.array(self.phones, dtype=np.str_),
        }  # fmt: skip

    @cached_property
    def groups(self) -> dict[str, np.ndarray]:
        """The arcs grouped by (destination, pdf): the factored recursion of forward_backward.py.

        group_pdf, group_dst: (groups,); arc_start: (groups + 1,) into the arcs;
        state_start: (states + 1,) into the groups; src: (arcs,); prob: (arcs,) float32. The same
        arcs by the state that they leave, for the way back: out_group, out_prob: (arcs,) and
        out_start: (states + 1,) into them.
        """
        key = self.dst.numpy() * self.num_pdfs + self.pdf.numpy()
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        group_dst = self.dst.numpy()[starts]
        group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(key)))
        out = np.argsort(self.src.numpy(), kind="stable")
        states = np.arange(self.num_states + 1)
        return {
            "out_group": group[out].astype(np.int32),
            "out_prob": self.prob.numpy()[out].astype(np.float32),
            "out_start": np.searchsorted(self.src.numpy()[out], states).astype(np.int32),
            "src": self.src.numpy().astype(np.int32),
            "prob": self.prob.numpy().astype(np.float32),
            "arc_start": np.append(starts, len(key)).astype(np.int32),
            "group_pdf": self.pdf.numpy()[starts].astype(np.int32),
            "group_dst": group_dst.astype(np.int32),
            "state_start": np.searchsorted(group_dst, states).astype(np.int32),
        }


def _ends(final: Any) -> Tensor:
    return numbers("final", final, 0.0, MOST_PROBABILITY)


def _initial_probabilities(
    src: Tensor, dst: Tensor, prob: Tensor, final: Tensor, start: int, states: int
) -> Tensor:
    total = final.clone().index_add_(0, src, prob)
    p = prob / total[src]
    current = torch.zeros(states, dtype=torch.float64)
    current[start] = 1.0
    mean = torch.zeros_like(current)
    for _ in range(NUM_PROPAGATION_STEPS):
        mean += current / NUM_PROPAGATION_STEPS
        current = torch.zeros_like(current).index_add_(0, dst, current[src] * p)
        if float(current.sum()) <= 0:
            raise ValueError("denominator graph: no arc leaves the states reached from the start")
        current /= current.sum()
    return mean
