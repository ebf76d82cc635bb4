"""Training examples of LF-MMI: whole utterances with their numerators, batched on demand.

What cannot be trained on is found before training starts, counted and named: an utterance with too
few output frames for its transcript, a transcript that the phone LM gives probability zero.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from chainstitch.nnet.chain.numerator import NumeratorBatch
from chainstitch.nnet.chain.supervision import NumeratorStore
from chainstitch.nnet.tasks.sequences import AT_ONCE, NUM_MEASURED, SequenceBatch
from chainstitch.nnet.train.protocols import Stateless
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.ivectors import IvectorReader
from chainstitch.utils.data.manifests import cut_text
from chainstitch.utils.errors import UserError

logger = logging.getLogger(__name__)

# of the utterances; more means that data, lexicon and graph do not belong together
MAX_DROPPED = 0.1


class ChainExamples(Stateless):
    """The usable utterances of a feature directory.

    Args:
        reader: features and cuts.
        store: numerators.
        subsampling: input frames per output frame.
        max_dropped: share of utterances that may be unusable; 1 for a validation set, whose
            sentences an unsmoothed phone LM need not be able to say.
        ivectors: of these utterances, if the network takes any; each utterance gets its last one.

    Attributes:
        cuts: usable ones, in file order; dropped: reason -> ids.

    Raises:
        UserError: a word outside the lexicon, none usable, or more than `max_dropped` dropped.
    """

    unit, num_measured, at_once = "frame", NUM_MEASURED, AT_ONCE

    def __init__(
        self,
        reader: FeatureReader,
        store: NumeratorStore,
        subsampling: int = 3,
        max_dropped: float = MAX_DROPPED,
        ivectors: IvectorReader | None = None,
    ) -> None:
        self.reader, self.store, self.subsampling = reader, store, subsampling
        self.ivectors = ivectors
        self.dropped: dict[str, list[str]] = {}
        self.cuts = []
        for cut in reader.cuts:
            text = cut_text(cut)
            try:
                graph, needed = store.get(text)
            except KeyError as error:
                raise UserError(
                    f"{reader.directory}: utterance {cut.id} has the word {error.args[0]!r}, which "
                    "is not in the lexicon; add it and run the lang stage again"
                ) from None
            if not text:
                self._drop("its transcript is empty", cut.id)
            elif graph is None:
                self._drop("the phone LM cannot say its transcript", cut.id)
            elif -(-cut.features.num_frames // subsampling) < needed:
                self._drop("it is too short for its transcript", cut.id)
            else:
                self.cuts.append(cut)
        self.frames = np.array([cut.features.num_frames for cut in self.cuts], np.int64)
        report_dropped(
            reader.directory, self.dropped, len(reader.cuts), bool(self.cuts), max_dropped,
            "check transcripts, lexicon and den-graph",
        )  # fmt: skip
        if ivectors is not None:
            ivectors.check(cut.id for cut in self.cuts)

    def _drop(self, reason: str, cut_id: str) -> None:
        self.dropped.setdefault(reason, []).append(cut_id)

    def check_features(self) -> None:
        """Reads all features once, so that damaged ones are found before training; i-vectors too.

        Raises:
            UserError: from the reader: missing, truncated or non-finite features, named.
        """
        for cut in self.cuts:
            self.reader.load_raw(cut)
            if self.ivectors is not None:
                self.ivectors.load(cut.id)

    @property
    def num_utterances(self) -> int:
        """How many the examples come from."""
        return len(self.cuts)

    def __str__(self) -> str:
        return f"{self.num_utterances} utterances, {len(self)} examples"

    def __len__(self) -> int:
        return len(self.cuts)

    def batch(self, indices: Sequence[int]) -> SequenceBatch:
        """These utterances.

        Raises:
            UserError: from the reader: missing, truncated or non-finite features, named.
        """
        arrays = [torch.from_numpy(self.reader.load(self.cuts[i])) for i in indices]
        lengths = torch.tensor([len(a) for a in arrays])
        graphs = [self.store.get(cut_text(self.cuts[i]))[0] for i in indices]
        names = [self.cuts[i].id for i in indices]
        return SequenceBatch(
            torch.nn.utils.rnn.pad_sequence(arrays, batch_first=True), lengths,
            torch.zeros_like(lengths), -(-lengths // self.subsampling),
            NumeratorBatch([g for g in graphs if g is not None], names),
            load_ivectors(self.ivectors, [(name, None) for name in names]),
        )  # fmt: skip


def load_ivectors(
    reader: IvectorReader | None, places: Sequence[tuple[str, int | None]]
) -> torch.Tensor | None:
    """(batch, dim) the i-vectors of utterances at input frames (None: the last); None without any.

    Raises:
        UserError: from the reader: missing or damaged, named.
    """
    if reader is None:
        return None
    return torch.from_numpy(np.stack([reader.load(name, frame) for name, frame in places]))


def report_dropped(
    directory: Path, dropped: Mapping[str, Sequence[str]], total: int, any_left: bool,
    max_dropped: float, advice: str,
) -> None:  # fmt: skip
    """Names and counts the utterances (of `total`) that were dropped, by reason.

    Raises:
        UserError: nothing is left, or more than `max_dropped` of them were dropped.
    """
    for reason, ids in dropped.items():
        logger.warning(
            "%s: %d of %d utterances dropped, as %s: %s%s",
            directory,
            len(ids),
            total,
            reason,
            ", ".join(ids[:5]),
            "..." * (len(ids) > 5),
        )
    lost = sum(map(len, dropped.values()))
    if not any_left or lost > max_dropped * total:
        reason = max(dropped, key=lambda r: len(dropped[r]), default="none")
        raise UserError(
            f"{directory}: {lost} of {total} utterances cannot be used (mostly: {reason}), more "
            f"than the {max_dropped:.0%} allowed; {advice}"
        )
