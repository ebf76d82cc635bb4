"""Forced alignment of sets and of files: the network over all of them, and who was left out.

What cannot be aligned is found utterance by utterance, named, counted and left out. More than a
stated share of that is an error, for then data, lexicon and model do not belong together.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from chainstitch.nnet.infer.aligner import Aligner, NotAlignable
from chainstitch.nnet.infer.outputs import BATCH, Model, log_likes, wav_inputs
from chainstitch.nnet.tasks.utterances import MAX_DROPPED
from chainstitch.utils import text as text_files
from chainstitch.utils.data.alignment_directory import AlignedUtterance
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.ivectors import IvectorReader
from chainstitch.utils.data.manifests import cut_text
from chainstitch.utils.errors import UserError

logger = logging.getLogger(__name__)

REPORT_SECONDS = 30.0
NAMED = 10  # dropped utterances that the log names; the file `dropped` has all

# utterance, text, features (frames, dim), i-vector (ivector_dim,) for a model that takes one
Item = tuple[str, str, np.ndarray, np.ndarray | None]


@dataclass
class Alignments:
    """What became of a set: by utterance, the alignment, or why there is none.

    Attributes:
        reasons: kinds of reason, counted.
        frames: output frames that were aligned; score: their mean log-likelihood.
    """

    aligned: dict[str, AlignedUtterance] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    score: float = 0.0
    arcs: int = 0
    phones: int = 0

    def summary(self) -> str:
        """One line."""
        total = len(self.aligned) + len(self.dropped)
        lost = ", ".join(f"{n} {kind}" for kind, n in self.reasons.most_common())
        return (
            f"{len(self.aligned)} of {total} utterances aligned, dropped {lost or 'none'}; "
            f"{self.frames} output frames, mean log-likelihood {self.score:.4f} per frame"
        ) + (f"; lattices of {self.arcs / self.phones:.2f} arcs a phone" if self.arcs else "")


def set_items(reader: FeatureReader, ivectors: IvectorReader | None) -> Iterator[Item]:
    """The utterances of a feature directory."""
    for cut in reader.cuts:
        voice = None if ivectors is None else ivectors.load(cut.id)
        yield cut.id, cut_text(cut), reader.load(cut), voice


def file_items(
    exp: Path, model: Model, wavs: Sequence[Path], one_speaker: bool = False
) -> list[Item]:
    """Audio files, each with its words in a .txt beside it; the file's name is the utterance's.

    Args:
        exp, model, one_speaker: as of `wav_inputs`.

    Raises:
        UserError: a file or its text is missing or cannot be read, or two have one name; or from
            `wav_inputs`.
    """
    names, texts = [wav.stem for wav in wavs], []
    for wav in wavs:
        path = wav.with_suffix(".txt")
        if names.count(wav.stem) > 1:
            raise UserError(f"two of the files are called {wav.stem}; align them one by one")
        try:
            texts.append(" ".join(text_files.read(path).split()))
        except OSError as error:
            raise UserError(
                f"{path} cannot be read ({error}); write the words of {wav} there"
            ) from None
    inputs: list[tuple[np.ndarray, np.ndarray | None]] = []
    for features, voices in wav_inputs(exp, model, wavs, one_speaker):
        none: list[np.ndarray | None] = [None] * len(features)
        inputs += zip(features, voices or none, strict=True)
    return [(name, text, *pair) for name, text, pair in zip(names, texts, inputs, strict=True)]


def align_items(
    model: Model,
    aligner: Aligner,
    items: Iterable[Item],
    total: int,
    max_dropped: float = MAX_DROPPED,
    keep: Callable[[str, AlignedUtterance], AlignedUtterance] = lambda _, found: found,
) -> Alignments:
    """Runs the network over the items and aligns them.

    Args:
        total: how many items there are, for the reports of progress.
        max_dropped: share of utterances that may have no alignment.
        keep: is given each utterance, and gives back what is to be remembered of it.

    Raises:
        UserError: more than `max_dropped`, none at all, or a broken output; names the utterance.
    """
    done, sums = Alignments(), 0.0
    begin = reported = time.monotonic()
    waiting = iter(items)
    while batch := list(itertools.islice(waiting, BATCH)):
        voices = [voice for *_, voice in batch if voice is not None]
        outputs = log_likes(model, [features for _, _, features, _ in batch], voices or None)
        for (name, text, features, _), output in zip(batch, outputs, strict=True):
            try:
                found = aligner.align(text, output, len(features))
            except NotAlignable as reason:
                _drop(done, name, reason)
                continue
            except ValueError as error:
                raise UserError(f"{name}: {error}; is the model finished and sound?") from None
            if found.lattice is not None:
                done.arcs += len(found.lattice.arcs)
                done.phones += len(found.phones)
            done.aligned[name] = keep(name, found)
            done.frames += len(output)
            sums += found.score * len(output)
        if time.monotonic() - reported > REPORT_SECONDS:
            reported = time.monotonic()
            count = len(done.aligned) + len(done.dropped)
            logger.info("aligned %d of %d utterances", count, total)
    done.score = sums / max(1, done.frames)
    seconds = time.monotonic() - begin
    logger.info("%s; %.1f s, the network included", done.summary(), seconds)
    if not done.aligned or len(done.dropped) > max_dropped * total:
        name, why = next(iter(done.dropped.items()), ("none", "no utterances"))
        raise UserError(
            f"{len(done.dropped)} of {total} utterances cannot be aligned (the first: {name}, "
            f"{why}), more than the {max_dropped:.0%} allowed; check transcripts and lexicon, or "
            "allow more by --max-dropped"
        )
    return done


def _drop(done: Alignments, name: str, reason: NotAlignable) -> None:
    done.dropped[name] = str(reason)
    done.reasons[reason.kind] += 1
    if len(done.dropped) <= NAMED:
        logger.warning("%s cannot be aligned: %s", name, reason)
