"""Training examples by alignment: chunks of utterances, with numerators or with frame labels.

Utterances are cut once, by the seed, and each chunk has its own numerator, which follows the
alignment, or a lattice of alternatives, within a tolerance (chunk_targets.py, timed_acceptor.py in
utils/hmm). The features of a chunk reach
`left` frames before it and `right` behind it, as far as the utterance does. Its i-vector, if the
network takes any, is the estimate at one of its frames, drawn once for all passes, as Kaldi does.

What cannot be trained on is found before training starts, counted and named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from lhotse.cut import Cut

from chainstitch.nnet.chain.numerator import NumeratorBatch, NumeratorCompiler, NumeratorGraph
from chainstitch.nnet.loss.frame import NO_LABEL, FrameLabels
from chainstitch.nnet.tasks.chunk_targets import Makings, Said, find_chunks
from chainstitch.nnet.tasks.sequences import AT_ONCE, NUM_MEASURED, SequenceBatch
from chainstitch.nnet.tasks.utterances import (
    MAX_DROPPED,
    check_features,
    load_ivectors,
    report_dropped,
    spread,
)
from chainstitch.nnet.train.protocols import Stateless
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.ivectors import IvectorReader
from chainstitch.utils.hmm.timed_acceptor import TOLERANCE
from chainstitch.utils.hmm.topology import Leaves


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
        alignments: by utterance (utils/data/alignments.py), or, for LF-MMI, phone lattices
            (utils/data/lattice_file.py).
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
        keep, nj: where chunks and their targets are kept, and how many processes make them, as of
            `find_chunks`.

    Attributes:
        utterance, first, length: (chunks,) numbers of utterances, and output frames in them.
        dropped: reason -> ids; frames: as in `Examples`.

    Raises:
        UserError: none usable, or more than `max_dropped` dropped.
    """

    unit, num_measured, at_once = "frame", NUM_MEASURED, AT_ONCE

    def __init__(
        self,
        reader: FeatureReader,
        alignments: Mapping[str, Said],
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
        keep: Path | None = None,
        nj: int = 1,
    ) -> None:
        self.reader, self.subsampling, self.ivectors = reader, subsampling, ivectors
        # in whole output frames, so that the chunk's frames are every third one's
        self.left = -(-left // subsampling) * subsampling
        self.right, self.derivs = right, derivs
        makings = Makings(leaves, compiler, widths, tolerance, subsampling, seed)
        found = find_chunks(reader.index, alignments, makings, keep, nj)
        self._target = found.target
        self.utterance, self.first, self.length = found.utterance, found.first, found.length
        ids = reader.index.ids
        self.dropped = {reason: [ids[n] for n in which] for reason, which in found.dropped.items()}
        self.frames = self.length.astype(np.int64) * subsampling
        starts = self.first.astype(np.int64) * subsampling
        drawn = np.random.default_rng([seed, 3]).integers(self.frames)
        self._ivector_frames = starts + drawn
        if ivectors is not None:
            ivectors.check(ids[n] for n in spread(self._utterances))
        report_dropped(
            reader.directory, self.dropped, len(reader), len(self) > 0, max_dropped,
            "check alignments, chunk widths and den-graph",
        )  # fmt: skip

    @cached_property
    def chunks(self) -> list[Chunk]:
        """All of them with their cuts and targets, for a look at a small set."""
        cuts, places = self.reader.cuts, zip(self.utterance, self.first, self.length, strict=True)
        return [
            Chunk(cuts[n], int(first), int(length), self._target(i))
            for i, (n, first, length) in enumerate(places)
        ]

    @cached_property
    def _utterances(self) -> np.ndarray:
        """Numbers of the utterances that have chunks."""
        return np.unique(self.utterance)

    @property
    def num_utterances(self) -> int:
        """How many the examples come from."""
        return len(self._utterances)

    def check_features(self) -> None:
        """Reads features, so that damaged ones are found before training; i-vectors too.

        Of large sets a part, as `ChainExamples.check_features` does.

        Raises:
            UserError: from the reader: missing, truncated or non-finite features, named.
        """
        check_features(self.reader, self.ivectors, self._utterances)

    def label_counts(self, num_pdfs: int) -> torch.Tensor:
        """(pdfs,) how often each is a label."""
        counts = torch.zeros(num_pdfs, dtype=torch.int64)
        for begin in range(0, len(self), 1000):
            some = range(begin, min(begin + 1000, len(self)))
            labels = np.concatenate([np.asarray(self._target(i)) for i in some])
            counts += torch.bincount(torch.from_numpy(labels), minlength=num_pdfs)
        return counts

    def __str__(self) -> str:
        return f"{self.num_utterances} utterances, {len(self)} examples"

    def __len__(self) -> int:
        return len(self.length)

    def batch(self, indices: Sequence[int]) -> SequenceBatch:
        """These chunks with what surrounds them; from any thread.

        Raises:
            UserError: from the reader: missing, truncated or non-finite features, named.
        """
        arrays, first = [], []
        at = np.asarray(indices, np.int64)
        numbers, lengths = self.utterance[at].tolist(), self.length[at].tolist()
        for number, chunk_first, length in zip(
            numbers, self.first[at].tolist(), lengths, strict=True
        ):
            begin = chunk_first * self.subsampling
            end = begin + length * self.subsampling
            start = max(0, begin - self.left)
            features = self.reader.load(number)[start : end + self.right]
            arrays.append(torch.from_numpy(features))
            first.append((begin - start) // self.subsampling)
        found = [self._target(int(i)) for i in at]
        names = [self.reader.index.ids[number] for number in numbers]
        targets: NumeratorBatch | FrameLabels
        graphs = [target for target in found if isinstance(target, NumeratorGraph)]
        if graphs:
            targets = NumeratorBatch(graphs, names)
            _ = targets.layout  # made here, which may be a thread beside training
        else:
            labels = [torch.from_numpy(np.asarray(target)) for target in found]
            targets = FrameLabels(torch.nn.utils.rnn.pad_sequence(labels, True, NO_LABEL), names)
        count = torch.tensor(lengths)
        places = list(zip(names, self._ivector_frames[at].tolist(), strict=True))
        derivs, at_outputs = None, torch.tensor(first)
        if self.derivs is not None:
            before, after = self.derivs
            ends = at_outputs + count - 1
            derivs = (at_outputs * self.subsampling - before, ends * self.subsampling + after)
        return SequenceBatch(
            torch.nn.utils.rnn.pad_sequence(arrays, batch_first=True),
            torch.tensor([len(a) for a in arrays]), at_outputs, count, targets,
            load_ivectors(self.ivectors, places), derivs,
        )  # fmt: skip
