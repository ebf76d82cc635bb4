r"""What trees are grown from: sums of features by phone, the phones around it, and pdf class.

Alignments are of input frames (10 ms), a chain model's pdfs of every f-th one. Phone i, which
begins at input frame b_i of T, is given the output frames from s_i to s_(i+1) - 1,

    s_i = ceil(b_i / f),     s_(n+1) = ceil(T / f)                                              (1)

and where a phone of less than f frames would have none, others give way: begins are first put off
until they differ, s_i >= s_(i-1) + 1, then put forward from the end. An utterance with more phones
than output frames is left out. The phone's first output frame is of class 0 (entry), the others of
class 1 (loop), and each counts the features of its own input frame, f t. (Kaldi does this by
`convert-ali` and `subsample-feats`; there a phone without frames takes one from a neighbour.)

Features are the first cepstra with their differences and second differences, windows of two frames
on either side (Kaldi's add-deltas), taken before frames are left out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from chainstitch.utils.data.alignments import Alignment
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.errors import UserError
from chainstitch.utils.hmm.clustering import Array
from chainstitch.utils.hmm.topology import in_context

logger = logging.getLogger(__name__)

# (left phone, phone, right phone, pdf class) -> (1 + 2 D,) as of clustering.py; 0 is no phone
Statistics = dict[tuple[int, int, int, int], Array]

NUM_CEPS = 13  # as in Kaldi's plain MFCC; higher ones tell voices apart rather than phones


def with_differences(features: Array) -> Array:
    """(T, 3 D) features, differences and second differences of (T, D) features."""

    def differences(x: Array) -> Array:
        padded = np.pad(x, ((2, 2), (0, 0)), mode="edge")
        n = len(x)
        return (2 * (padded[4:] - padded[:n]) + padded[3 : 3 + n] - padded[1 : 1 + n]) / 10.0

    first = differences(features)
    return np.concatenate([features, first, differences(first)], axis=1)


def output_begins(durations: list[int], subsampling: int = 3) -> list[int] | None:
    """(1): in which output frame each phone begins; None if there are more phones than frames."""
    begins = [0, *np.cumsum(durations).tolist()]
    frames = -(-begins.pop() // subsampling)
    if len(begins) > frames:
        return None
    starts = [-(-b // subsampling) for b in begins]
    for i in range(1, len(starts)):
        starts[i] = max(starts[i], starts[i - 1] + 1)
    limit = frames
    for i in reversed(range(len(starts))):
        starts[i] = limit = min(starts[i], limit - 1)
    return starts


def add_statistics(
    stats: Statistics, features: Array, alignment: Alignment, subsampling: int = 3
) -> bool:
    """Adds an utterance's frames; False if it has more phones than output frames.

    Args:
        stats: changed.
        features: (T, D) of all input frames; alignment: of T frames.
    """
    begins = output_begins([frames for _, frames in alignment], subsampling)
    if begins is None:
        return False
    x = features[::subsampling].astype(np.float64)
    rows = np.concatenate([np.ones((len(x), 1)), x, x**2], axis=1)
    contexts = in_context([phone for phone, _ in alignment])
    for context, begin, end in zip(contexts, begins, [*begins[1:], len(x)], strict=True):
        for pdf_class, frames in enumerate((rows[begin : begin + 1], rows[begin + 1 : end])):
            if len(frames):
                key = (*context, pdf_class)
                stats[key] = stats.get(key, 0.0) + frames.sum(axis=0)
    return True


def gather(
    reader: FeatureReader,
    alignments: Mapping[str, Alignment],
    num_ceps: int = NUM_CEPS,
    subsampling: int = 3,
) -> Statistics:
    """The statistics of all utterances that have both features and an alignment.

    Args:
        num_ceps: of the features' dimensions, the first so many (or all there are).

    Returns:
        Of the contexts that occur, with D = 3 min(num_ceps, dim).

    Raises:
        UserError: no utterance has both, an alignment is of another number of frames, or features
            cannot be read.
    """
    stats: Statistics = {}
    cuts = [cut for cut in reader.cuts if cut.id in alignments]
    if not cuts:
        raise UserError(
            f"{reader.directory}: none of its {len(reader.cuts)} utterances is among the "
            f"{len(alignments)} aligned ones; give the feature directory that was aligned"
        )
    crowded = []
    for cut in cuts:
        alignment = alignments[cut.id]
        aligned, frames = sum(n for _, n in alignment), cut.features.num_frames
        if aligned != frames:
            raise UserError(
                f"{reader.directory}: {cut.id} has {frames} frames, its alignment {aligned}; give "
                "the feature directory that was aligned, or align again"
            )
        features = with_differences(reader.load(cut)[:, :num_ceps].astype(np.float64))
        if not add_statistics(stats, features, alignment, subsampling):
            crowded.append(cut.id)
    for reason, number in (
        ("are not aligned", len(reader.cuts) - len(cuts)),
        (
            f"have more phones than output frames (the first is {(crowded or [''])[0]})",
            len(crowded),
        ),
    ):
        if number:
            logger.warning("tree: %d of %d utterances %s", number, len(reader.cuts), reason)
    return stats
