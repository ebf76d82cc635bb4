"""Training examples by alignment: chunks of utterances, with numerators or with frame labels.

Utterances are cut once, by the seed (utils/data/chunks.py), and each chunk keeps its own numerator,
which follows the alignment within a tolerance (pdf_acceptor.py). The features of a chunk reach
`left` frames before it and `right` behind it, as far as the utterance does. Its i-vector, if the
network takes any, is the estimate at one of its frames, drawn once for all epochs, as Kaldi does.

What cannot be trained on is found before training starts, counted and named.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from lhotse.cut import Cut

from chainstitch.nnet.chain.numerator import NumeratorBatch, NumeratorCompiler, NumeratorGraph
from chainstitch.nnet.loss.frame import NO_LABEL, FrameLabels, frame_labels
from chainstitch.nnet.tasks.sequences import AT_ONCE, NUM_MEASURED, SequenceBatch
from chainstitch.nnet.tasks.utterances import MAX_DROPPED, load_ivectors, report_dropped
from chainstitch.nnet.train.protocols import Stateless
from chainstitch.utils.data.alignments import Alignment
from chainstitch.utils.data.chunks import ChunkSplitter
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.ivectors import IvectorReader
from chainstitch.utils.hmm.pdf_acceptor import TOLERANCE, aligned_acceptor
from chainstitch.utils.hmm.topology import Leaves

logger = logging.getLogger(__name__)


class Chunk(NamedTuple):
    """Output frames first .. first + length - 1 of an utterance, and what is right there."""

    cut: Cut
    first: int
    length: int
    target: NumeratorGraph | np.ndarray


class ChunkExamples(Stateless):
    """The usable chunks of a feature directory.

    Args:
        reader: features and cuts.
        alignments: by utterance (utils/data/alignments.py).
        leaves: the pdfs of phones.
        compiler: bound to the denominator, for LF-MMI; None for frame labels.
        widths: chunk widths as ChunkSplitter takes them; empty: whole utterances.
        left, right: input frames around a chunk.
        tolerance: of numerators, input frames.
        seed: of the cutting.
        max_dropped: share of utterances that may be unusable.
        ivectors: of these utterances, if the network takes any.
        derivs: input frames before the first and after the last output of a chunk that have
            derivatives (deriv_range.py); None: all have.

    Attributes:
        chunks; dropped: reason -> ids; frames: as in `Examples`.

    Raises:
        UserError: none usable, or more than `max_dropped` dropped.
    """

    unit, num_measured, at_once = "frame", NUM_MEASURED, AT_ONCE

    def __init__(
        self,
        reader: FeatureReader,
        alignments: Mapping[str, Alignment],
        leaves: Leaves,
        compiler: NumeratorCompiler | None,
        widths: str = "",
        left: int = 0,
        right: int = 0,
        tolerance: int = TOLERANCE,
        subsampling: int = 3,
        seed: int = 0,
        max_dropped: float = MAX_DROPPED,
        ivectors: IvectorReader | None = None,
        derivs: tuple[int, int] | None = None,
    ) -> None:
        self.reader, self.subsampling, self.ivectors = reader, subsampling, ivectors
        # in whole output frames, so that the chunk's frames are every third one's
        self.left = -(-left // subsampling) * subsampling
        self.right, self.derivs = right, derivs
        self.dropped: dict[str, list[str]] = {}
        self.chunks: list[Chunk] = []
        splitter = ChunkSplitter(widths, subsampling) if widths else None
        generator = np.random.default_rng([seed, 2])
        for cut in reader.cuts:
            frames = cut.features.num_frames
            alignment = alignments.get(cut.id, ())
            if not alignment:
                self._drop("it has no alignment", cut)
                continue
            phones, durations = zip(*alignment, strict=True)
            if sum(durations) != frames:
                self._drop("its alignment has another number of frames", cut)
                continue
            output = -(-frames // subsampling)
            pieces = splitter.split(output, generator) if splitter else [(0, output)]
            if not pieces:
                self._drop("it is shorter than every chunk", cut)
            labels = frame_labels(phones, durations, leaves, subsampling)
            for first, length in pieces:
                last = first + length
                if compiler is None:
                    self.chunks.append(Chunk(cut, first, length, labels[first:last]))
                    continue
                acceptor = aligned_acceptor(
                    phones, durations, leaves, first, last, tolerance, subsampling
                )
                graph = None if acceptor is None else compiler.compile(acceptor)
                if graph is None:
                    self._drop("no path near its alignment is in the denominator", cut)
                else:
                    self.chunks.append(Chunk(cut, first, length, graph))
        self.frames = np.array([c.length * subsampling for c in self.chunks], np.int64)
        starts = np.array([c.first * subsampling for c in self.chunks], np.int64)
        drawn = np.random.default_rng([seed, 3]).integers(self.frames)
        self._ivector_frames = starts + drawn
        if ivectors is not None:
            ivectors.check(chunk.cut.id for chunk in self.chunks)
        report_dropped(
            reader.directory, self.dropped, len(reader.cuts), bool(self.chunks), max_dropped,
            "check alignments, chunk widths and den-graph",
        )  # fmt: skip

    @property
    def num_utterances(self) -> int:
        """How many the examples come from."""
        return len({chunk.cut.id for chunk in self.chunks})

    def _drop(self, reason: str, cut: Cut) -> None:
        ids = self.dropped.setdefault(reason, [])
        if cut.id not in ids[-1:]:
            ids.append(cut.id)

    def check_features(self) -> None:
        """Reads all features once, so that damaged ones are found before training; i-vectors too.

        Raises:
            UserError: from the reader: missing, truncated or non-finite features, named.
        """
        for cut in {chunk.cut.id: chunk.cut for chunk in self.chunks}.values():
            self.reader.load_raw(cut)
            if self.ivectors is not None:
                self.ivectors.load(cut.id)

    def label_counts(self, num_pdfs: int) -> torch.Tensor:
        """(pdfs,) how often each is a label."""
        labels = [np.asarray(chunk.target) for chunk in self.chunks]
        return torch.bincount(torch.from_numpy(np.concatenate(labels)), minlength=num_pdfs)

    def __str__(self) -> str:
        return f"{self.num_utterances} utterances, {len(self)} examples"

    def __len__(self) -> int:
        return len(self.chunks)

    def batch(self, indices: Sequence[int]) -> SequenceBatch:
        """These chunks with what surrounds them.

        Raises:
            UserError: from the reader: missing, truncated or non-finite features, named.
        """
        arrays, first = [], []
        chunks = [self.chunks[i] for i in indices]
        for chunk in chunks:
            begin = chunk.first * self.subsampling
            end = begin + chunk.length * self.subsampling
            start = max(0, begin - self.left)
            features = self.reader.load(chunk.cut)[start : end + self.right]
            arrays.append(torch.from_numpy(features))
            first.append((begin - start) // self.subsampling)
        count = torch.tensor([chunk.length for chunk in chunks])
        names = [chunk.cut.id for chunk in chunks]
        at = [int(self._ivector_frames[i]) for i in indices]
        targets: NumeratorBatch | FrameLabels
        graphs = [c.target for c in chunks if isinstance(c.target, NumeratorGraph)]
        if graphs:
            targets = NumeratorBatch(graphs, names)
        else:
            labels = [torch.from_numpy(np.asarray(chunk.target)) for chunk in chunks]
            targets = FrameLabels(torch.nn.utils.rnn.pad_sequence(labels, True, NO_LABEL), names)
        derivs, at_outputs = None, torch.tensor(first)
        if self.derivs is not None:
            before, after = self.derivs
            ends = at_outputs + count - 1
            derivs = (at_outputs * self.subsampling - before, ends * self.subsampling + after)
        return SequenceBatch(
            torch.nn.utils.rnn.pad_sequence(arrays, batch_first=True),
            torch.tensor([len(a) for a in arrays]), at_outputs, count, targets,
            load_ivectors(self.ivectors, list(zip(names, at, strict=True))), derivs,
        )  # fmt: skip
