"""Training examples of LF-MMI: whole utterances with their numerators, batched on demand.

What cannot be trained on is found before training starts, counted and named: an utterance with too
few output frames for its transcript, a transcript that the phone LM gives probability zero.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from lhotse.cut import Cut

from chainstitch.nnet.chain.numerator import NumeratorBatch
from chainstitch.nnet.chain.supervision import NumeratorStore, UnknownWord
from chainstitch.nnet.tasks.sequences import AT_ONCE, NUM_MEASURED, SequenceBatch
from chainstitch.nnet.train.protocols import Stateless
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.ivectors import IvectorReader
from chainstitch.utils.errors import UserError

logger = logging.getLogger(__name__)

# of the utterances; more means that data, lexicon and graph do not belong together
MAX_DROPPED = 0.1
MAX_CHECKED = 10_000  # utterances whose features are read before training
CHECK_SECONDS = 300.0  # at most, for sets of more than those


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
        numbers: (examples,) of the usable utterances, in file order; dropped: reason -> ids.

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
        index = reader.index
        try:
            self.numerators = store.compiled(index.texts)
        except UnknownWord as error:
            first = index.ids[int(np.argmax(index.text == error.number))]
            raise UserError(
                f"{reader.directory}: utterance {first} has the word {error.word!r}, which is not "
                "in the lexicon; add it and run the lang stage again"
            ) from None
        empty = (np.diff(index.texts.ends, prepend=0) == 0)[index.text]
        impossible = ~self.numerators.possible[index.text] & ~empty
        outputs = -(-index.frames // subsampling)
        short = (outputs < self.numerators.needed[index.text]) & ~empty & ~impossible
        self.dropped = by_reason(
            index.ids,
            {
                "its transcript is empty": np.flatnonzero(empty),
                "the phone LM cannot say its transcript": np.flatnonzero(impossible),
                "it is too short for its transcript": np.flatnonzero(short),
            },
        )
        self.numbers = np.flatnonzero(~(empty | impossible | short))
        self.frames = index.frames[self.numbers].astype(np.int64)
        report_dropped(
            reader.directory, self.dropped, len(reader), len(self.numbers) > 0, max_dropped,
            "check transcripts, lexicon and den-graph",
        )  # fmt: skip
        if ivectors is not None:
            ivectors.check(index.ids[n] for n in spread(self.numbers))

    @property
    def cuts(self) -> list[Cut]:
        """The cuts of the usable utterances; see `FeatureReader.cuts`."""
        return [self.reader.cuts[n] for n in self.numbers]

    def check_features(self) -> None:
        """Reads features, so that damaged ones are found before training; i-vectors too.

        All of up to 10,000 utterances. Of more, as many, spread over the set, and no longer than
        five minutes: the others are checked when they are read in training, which then ends with
        the same message and can be resumed.

        Raises:
            UserError: from the reader: missing, truncated or non-finite features, named.
        """
        check_features(self.reader, self.ivectors, self.numbers)

    @property
    def num_utterances(self) -> int:
        """How many the examples come from."""
        return len(self.numbers)

    def __str__(self) -> str:
        return f"{self.num_utterances} utterances, {len(self)} examples"

    def __len__(self) -> int:
        return len(self.numbers)

    def batch(self, indices: Sequence[int]) -> SequenceBatch:
        """These utterances; from any thread.

        Raises:
            UserError: from the reader: missing, truncated or non-finite features, named.
        """
        numbers, index = [int(self.numbers[i]) for i in indices], self.reader.index
        arrays = [torch.from_numpy(self.reader.load(n)) for n in numbers]
        lengths = torch.tensor([len(a) for a in arrays])
        graphs = [self.numerators.graph(int(index.text[n])) for n in numbers]
        names = [index.ids[n] for n in numbers]
        targets = NumeratorBatch([g for g in graphs if g is not None], names)
        _ = targets.layout  # made here, which may be a thread beside training
        return SequenceBatch(
            torch.nn.utils.rnn.pad_sequence(arrays, batch_first=True), lengths,
            torch.zeros_like(lengths), -(-lengths // self.subsampling), targets,
            load_ivectors(self.ivectors, [(name, None) for name in names]),
        )  # fmt: skip


def spread(numbers: np.ndarray, most: int = MAX_CHECKED) -> np.ndarray:
    """`numbers`, or `most` of them, spread over all."""
    if len(numbers) <= most:
        return numbers
    return np.asarray(numbers[np.linspace(0, len(numbers) - 1, most).round().astype(int)])


def check_features(
    reader: FeatureReader, ivectors: IvectorReader | None, numbers: np.ndarray
) -> None:
    """Reads the features, and i-vectors, of utterances: see `ChainExamples.check_features`."""
    began, chosen = time.monotonic(), spread(numbers)
    if len(chosen) < len(numbers):  # so that the first ones read are spread, too
        chosen = np.random.default_rng(0).permutation(chosen)
    for done, number in enumerate(chosen):
        if len(chosen) < len(numbers) and time.monotonic() - began > CHECK_SECONDS:
            chosen = chosen[:done]
            break
        reader.load_raw(int(number))
        if ivectors is not None:
            ivectors.load(reader.index.ids[number])
    if len(chosen) < len(numbers):
        logger.info(
            "%s: features of %d of %d utterances were read and are sound; the others are checked "
            "when training reads them", reader.directory, len(chosen), len(numbers),
        )  # fmt: skip


def by_reason(ids: Sequence[str], numbers: Mapping[str, np.ndarray]) -> dict[str, list[str]]:
    """The ids of dropped utterances by reason, in the order in which reasons come up."""
    found = {reason: which for reason, which in numbers.items() if len(which)}
    order = sorted(found, key=lambda reason: int(found[reason][0]))
    return {reason: [ids[n] for n in found[reason]] for reason in order}


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
