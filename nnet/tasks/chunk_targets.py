"""How utterances are cut into chunks, and what is right in each: found once, and kept.

Two passes. The first goes through the utterances in their order, as each cut is drawn after the one
before (utils/data/chunks.py); it is cheap. The second finds what is right in each chunk from the
alignment, numerators in several processes; an utterance's depend on it alone. What they found is
kept beside the run (graph_file.py), so that another process of the run, or the run when it is
resumed, needs neither, nor the alignments.
"""

from __future__ import annotations

import logging
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainstitch.nnet.chain.graph_file import (
    GraphFile,
    digest,
    from_bytes,
    open_graphs,
    processes,
    to_bytes,
    write_graphs,
)
from chainstitch.nnet.chain.numerator import NumeratorCompiler, NumeratorGraph
from chainstitch.nnet.loss.frame import frame_labels
from chainstitch.utils.data.alignments import Alignment, ByUtterance
from chainstitch.utils.data.chunks import ChunkSplitter
from chainstitch.utils.data.feature_index import FeatureIndex
from chainstitch.utils.data.phone_lattice import PhoneLattice, from_alignment
from chainstitch.utils.data.workers import ordered_map
from chainstitch.utils.errors import UserError
from chainstitch.utils.hmm.timed_acceptor import TimedAcceptors
from chainstitch.utils.hmm.topology import Leaves

VERSION = 1  # of how alignments become chunks: kept ones of another are not used
TOLD_SECONDS = 5.0
REASONS = (
    "it has no alignment",
    "its alignment has another number of frames",
    "it is shorter than every chunk",
    "no path near its alignment is in the denominator",
)
IMPOSSIBLE = len(REASONS) - 1

Target = NumeratorGraph | np.ndarray
Said = Alignment | PhoneLattice  # what was said when
Piece = tuple[int, int]  # first output frame and length

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Makings:
    """What chunks and their targets depend on, besides utterances and alignments.

    Attributes: as the arguments of ChunkExamples.
    """

    leaves: Leaves
    compiler: NumeratorCompiler | None
    widths: str
    tolerance: int
    subsampling: int
    seed: int

    def targets(self, said: Said, pieces: Sequence[Piece]) -> list[Target | None]:
        """What is right in these pieces of an utterance; None: no path."""
        if self.compiler is None:
            assert not isinstance(said, PhoneLattice)  # labels are of one path
            phones, durations = zip(*said, strict=True)
            labels = frame_labels(phones, durations, self.leaves, self.subsampling)
            return [labels[first : first + length] for first, length in pieces]
        lattice = said if isinstance(said, PhoneLattice) else from_alignment(said)
        timed = TimedAcceptors(lattice, self.leaves, self.tolerance, self.subsampling)
        acceptors = [timed.acceptor(first, first + length) for first, length in pieces]
        return [None if a is None else self.compiler.compile(a) for a in acceptors]

    def encoded(self, task: tuple[Said, list[Piece]]) -> list[bytes]:
        """The same as bytes."""
        return [b"" if t is None else _to_bytes(t) for t in self.targets(*task)]

    def key(self, index: FeatureIndex, alignments: ByUtterance[Any]) -> str:
        """A checksum of everything that a kept file depends on."""
        return digest(
            "chunks", VERSION, index.identity, alignments.key, self.leaves.table,
            None if self.compiler is None else self.compiler.key,
            self.widths, self.tolerance, self.subsampling, self.seed,
        )  # fmt: skip


class Chunks:
    """The chunks of a set.

    Attributes:
        utterance, first, length: (chunks,) which utterance, and which of its output frames.
        dropped: reason -> numbers of utterances, in the order in which reasons come up.
    """

    utterance: np.ndarray
    first: np.ndarray
    length: np.ndarray
    dropped: dict[str, list[int]]

    def target(self, chunk: int) -> Target:
        """What is right there; from any thread."""
        raise NotImplementedError


def find_chunks(
    index: FeatureIndex,
    alignments: Mapping[str, Said],
    makings: Makings,
    keep: Path | None = None,
    nj: int = 1,
) -> Chunks:
    """The chunks, from the file that is kept if there is one.

    Args:
        keep: where to look for and to write the file; None, or alignments that are of no file:
            numerators stay in memory, labels are made when they are asked for.
        nj: processes that compile numerators; 0: one for each core.

    Raises:
        UserError: the file cannot be written, or alignments cannot be read.
    """
    if keep is None or not isinstance(alignments, ByUtterance):
        return _InMemory(index, alignments, makings)
    path = keep / f"{makings.key(index, alignments)}.bin"
    kept = open_graphs(path)
    if kept is None:
        began = time.monotonic()
        try:
            kept = _write(path, index, alignments, makings, nj)
        except OSError as error:
            raise UserError(f"chunks cannot be written to {path}: {error}") from None
        seconds = time.monotonic() - began
        level = logging.INFO if seconds > TOLD_SECONDS else logging.DEBUG
        logger.log(level, "targets of %d chunks made in %.1f s", len(kept), seconds)
    return _Kept(kept, makings.compiler is None)


class _Cut:
    """The first pass: the pieces of each utterance that has any, and why others have none."""

    def __init__(
        self, index: FeatureIndex, alignments: Mapping[str, Said], makings: Makings
    ) -> None:
        self.index, self.alignments = index, alignments
        self.utterances, self.pieces = array("i"), []
        self.why, self.whose = array("i"), array("i")  # reasons by number, and utterances
        splitter = ChunkSplitter(makings.widths, makings.subsampling) if makings.widths else None
        generator = np.random.default_rng([makings.seed, 2])
        for number, (name, frames) in enumerate(zip(index.ids, index.frames.tolist(), strict=True)):
            alignment = alignments.get(name)
            if not alignment:
                self.drop(0, number)
            elif _frames(alignment) != frames:
                self.drop(1, number)
            else:
                output = -(-frames // makings.subsampling)
                pieces = splitter.split(output, generator) if splitter else [(0, output)]
                if pieces:
                    self.utterances.append(number)
                    self.pieces.append(pieces)
                else:
                    self.drop(2, number)

    def drop(self, reason: int, number: int) -> None:
        self.why.append(reason)
        self.whose.append(number)

    def tasks(self) -> Iterator[tuple[Said, list[Piece]]]:
        for number, pieces in zip(self.utterances, self.pieces, strict=True):
            yield self.alignments[self.index.ids[number]], pieces


def _frames(said: Said) -> int:
    """Input frames."""
    if isinstance(said, PhoneLattice):
        return said.frames
    return sum(duration for _, duration in said)


class _Tasks(Sequence[Any]):
    """The tasks of a `_Cut`, made when they are asked for."""

    def __init__(self, cut: _Cut) -> None:
        self.cut = cut

    def __len__(self) -> int:
        return len(self.cut.pieces)

    def __iter__(self) -> Iterator[Any]:
        return self.cut.tasks()

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[n] for n in range(*at.indices(len(self)))]
        number = self.cut.utterances[at]
        return self.cut.alignments[self.cut.index.ids[number]], self.cut.pieces[at]


def _write(
    path: Path, index: FeatureIndex, alignments: ByUtterance[Any], makings: Makings, nj: int
) -> GraphFile:
    cut = _Cut(index, alignments, makings)
    columns = {name: array("i") for name in ("utterance", "first", "length")}

    def found() -> Iterator[bytes]:
        tasks = _Tasks(cut)
        results = ordered_map(makings.encoded, tasks, processes(nj, len(tasks)), "chunks")
        for at, targets in enumerate(results):
            for (first, length), data in zip(cut.pieces[at], targets, strict=True):
                if not data:
                    cut.drop(IMPOSSIBLE, cut.utterances[at])
                    continue
                for name, value in zip(columns, (cut.utterances[at], first, length), strict=True):
                    columns[name].append(value)
                yield data

    return write_graphs(path, found(), columns | {"why": cut.why, "whose": cut.whose})


def _dropped(why: Sequence[int], whose: Sequence[int]) -> dict[str, list[int]]:
    """Numbers of utterances by reason, each once."""
    dropped: dict[str, list[int]] = {}
    for number, reason in sorted(zip(whose, why, strict=True)):
        numbers = dropped.setdefault(REASONS[reason], [])
        if numbers[-1:] != [number]:
            numbers.append(number)
    return dropped


class _InMemory(Chunks):
    def __init__(
        self, index: FeatureIndex, alignments: Mapping[str, Said], makings: Makings
    ) -> None:
        cut = _Cut(index, alignments, makings)
        self._cut, self._makings = cut, makings
        rows, self._graphs = [], []
        for number, task in zip(cut.utterances, cut.tasks(), strict=True):
            targets = [None] * len(task[1]) if makings.compiler is None else makings.targets(*task)
            for piece, target in zip(task[1], targets, strict=True):
                if makings.compiler is not None and target is None:
                    cut.drop(IMPOSSIBLE, number)
                else:
                    rows.append((number, *piece))
                    self._graphs.append(target)
        columns = np.array(rows, np.int32).reshape(-1, 3).T
        self.utterance, self.first, self.length = columns
        self.dropped = _dropped(cut.why, cut.whose)

    def target(self, chunk: int) -> Target:
        graph = self._graphs[chunk]
        if graph is not None:
            return graph
        alignment = self._cut.alignments[self._cut.index.ids[int(self.utterance[chunk])]]
        piece = int(self.first[chunk]), int(self.length[chunk])
        (labels,) = self._makings.targets(alignment, [piece])
        assert labels is not None  # as no chunk of labels is impossible
        return labels


class _Kept(Chunks):
    def __init__(self, graphs: GraphFile, labels: bool) -> None:
        self._graphs = graphs
        graphs.decode = _labels if labels else from_bytes
        columns = (graphs.file[name] for name in ("utterance", "first", "length"))
        self.utterance, self.first, self.length = columns
        self.dropped = _dropped(graphs.file["why"].tolist(), graphs.file["whose"].tolist())

    def target(self, chunk: int) -> Target:
        found: Target | None = self._graphs[chunk]
        assert found is not None  # as chunks without one are dropped
        return found


def _to_bytes(target: Target) -> bytes:
    if isinstance(target, NumeratorGraph):
        return to_bytes(target)
    return target.astype(np.int32).tobytes()


def _labels(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.int32).astype(np.int64)
