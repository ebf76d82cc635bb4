"""`chainstitch score-ali`: word boundaries against known ones."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer


def score_ali(
    truth: Annotated[
        Path,
        typer.Argument(help="A ctm, or a data directory whose segments are one word each."),
    ],
    found: Annotated[
        Path, typer.Argument(help="What `chainstitch align` wrote, or a ctm of another aligner.")
    ],
) -> None:
    """Compare word boundaries with known ones; errors are found minus true, so positive is late.

    The last row is what would be left if the median error were taken off as a constant shift.

    Examples:
        chainstitch score-ali data/dev_strings exp/tdnn_1a/ali_dev_strings
        chainstitch score-ali corpus/test/words.ctm exp/tdnn_1a/ali_test
    """
    from chainstitch.utils.data.alignment_directory import CTM
    from chainstitch.utils.data.manifests import read_cuts
    from chainstitch.utils.score.boundaries import ctm_words, score_boundaries, segment_words

    log = logging.getLogger(__name__)
    true = segment_words(read_cuts(truth)) if truth.is_dir() else ctm_words(truth)
    score = score_boundaries(true, ctm_words(found / CTM if found.is_dir() else found))
    for what, names in (("are not aligned", score.missing), ("have other words", score.different)):
        if names:
            log.warning("%d utterances %s (the first: %s)", len(names), what, names[0])
    print(score.table())
    print(f"{found}: {score.utterances} utterances, {len(score.errors)} words")
