"""Denominator graphs as OpenFst writes them: `den.fst` of a Kaldi recipe, or the text of fstprint.

Label pdf + 1 (0 is epsilon), the same on both sides; weights are -log of probabilities. In text, an
arc is `from to label [label] [weight]`, a final state `state [weight]`, and the first line's first
state is the start. As in Kaldi's `den.fst`, final weights only enter the initial probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from chainstitch.nnet.chain.graph_check import MOST
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.lang.fst_check import read_checked

_MAGIC = (2125659606).to_bytes(4, "little")  # of a binary OpenFst file


@dataclass(frozen=True)
class Arcs:
    """A denominator's arcs, as `DenominatorGraph.from_arcs` takes them.

    Attributes:
        src, dst, pdf: (arcs,) int64; prob: (arcs,) float64, linear.
        final: (states,) float64, linear.
    """

    src: Tensor
    dst: Tensor
    pdf: Tensor
    prob: Tensor
    final: Tensor
    start: int


@dataclass
class _Fst:
    start: int | None = None
    arcs: list[tuple[int, int, int, int, float]] = field(default_factory=list)  # two labels, -log p
    final: dict[int, float] = field(default_factory=dict)  # -log p


def read_fst(path: Path | str) -> Arcs:
    """The arcs of an OpenFst file, binary or text.

    Raises:
        UserError: a file that cannot be read, with the line; an epsilon; two labels that differ; a
            state or label that cannot be.
    """
    path = Path(path)
    fst = _read_binary(path) if path.read_bytes()[:4] == _MAGIC else _read_text(path)
    if not fst.arcs or fst.start is None:
        raise UserError(f"{path} holds no arcs; it is empty or not a graph that fstprint wrote")
    src, dst, label, other, weight = (torch.tensor(c) for c in zip(*fst.arcs, strict=True))
    if int(label.min()) < 1 or not torch.equal(label, other):
        raise UserError(
            f"{path}: wanted one label, pdf + 1, on each arc, the same on both sides and never 0 "
            f"(found {int((label != other).sum())} arcs with two labels and "
            f"{int((label < 1).sum())} with 0); give the den.fst of a chain system"
        )
    states = 1 + max(int(src.max()), int(dst.max()), fst.start, *fst.final)
    if states > MOST:
        raise UserError(f"{path} is damaged: state {states - 1} occurs; copy it again")
    final = torch.zeros(states, dtype=torch.float64)
    for state, w in fst.final.items():
        final[state] = math.exp(min(-w, 700.0))  # beyond that it is refused in any case
    return Arcs(src, dst, label - 1, weight.double().neg().exp(), final, fst.start)


def write_fst_text(arcs: Arcs, path: Path | str) -> None:
    """Writes what `fstcompile --acceptor` reads (atomically)."""
    columns = (arcs.src, arcs.dst, arcs.pdf, arcs.prob)
    rows = sorted(
        zip(*(c.tolist() for c in columns), strict=True), key=lambda row: row[0] != arcs.start
    )
    with atomic_file(path) as stream:
        for source, target, pdf, p in rows:
            stream.write(f"{source} {target} {pdf + 1} {-math.log(p):.17g}\n")
        for state, p in enumerate(arcs.final.tolist()):
            if p > 0:
                stream.write(f"{state} {-math.log(p):.17g}\n")


def _read_binary(path: Path) -> _Fst:
    import kaldifst

    graph, _ = read_checked(path)  # graph_check.py looks at its arcs
    if graph is None:
        raise UserError(f"{path} is damaged, or no vector FST of standard arcs; copy it again")
    fst = _Fst(graph.start)
    for state in kaldifst.StateIterator(graph):
        for arc in kaldifst.ArcIterator(graph, state):
            fst.arcs.append((state, arc.nextstate, arc.ilabel, arc.olabel, arc.weight.value))
        weight = graph.final(state).value
        if math.isfinite(weight):
            fst.final[state] = weight
    return fst


def _read_text(path: Path) -> _Fst:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is neither an OpenFst file nor the text of one") from None
    # a weight of 0 is left out, so what four fields are depends on the others
    transducer = any(len(line.split()) == 5 for line in lines)
    labels = 2 if transducer else 1
    fst = _Fst()
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        try:
            fst.start = _numbers(fields[:1])[0] if fst.start is None else fst.start
            if len(fields) <= 2:
                fst.final[_numbers(fields[:1])[0]] = float(fields[1]) if len(fields) == 2 else 0.0
                continue
            source, target, *of_arc = _numbers(fields[: 2 + labels])
            weight = float(fields[2 + labels]) if len(fields) > 2 + labels else 0.0
            if len(of_arc) != labels or len(fields) > 3 + labels:
                raise ValueError
            fst.arcs.append((source, target, of_arc[0], of_arc[-1], weight))
        except ValueError:
            raise UserError(
                f"{path}, line {number} ({line!r:.80}): wanted `from to label [label] [weight]` or "
                f"`state [weight]`, states and labels from 0 and below {MOST}"
            ) from None
    return fst


def _numbers(fields: Iterable[str]) -> list[int]:
    found = [int(field) for field in fields]
    if not all(0 <= number < MOST for number in found):
        raise ValueError
    return found
