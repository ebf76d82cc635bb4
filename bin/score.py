"""`chainstitch score`: hypotheses against references."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer


def score(
    directory: Annotated[Path, typer.Argument(help="a decode directory, EXP/decode_<set>")],
    choice: Annotated[
        Path | None,
        typer.Option(help="choice.toml of the dev set: score this set at the point chosen there"),
    ] = None,
    allow_sweep: Annotated[
        bool, typer.Option("--allow-sweep", help="choose on a set called test nevertheless")
    ] = False,
) -> None:
    """Scores a decode directory and prints its %WER line last.

    Without --choice the best LM weight and insertion penalty of the sweep are chosen here and
    written to choice.toml. Of equals the lmwt nearest 10 wins, then the wip nearest 0, then the
    smaller lmwt, then the smaller wip.
    A directory that `classify` wrote gets per_class, confusion.txt and a %ERR line instead.
    errors.txt has the alignments and the most frequent errors, per_spk a row for each speaker.

    Example:
        chainstitch score exp/tdnn_1a/decode_test --choice exp/tdnn_1a/decode_dev/choice.toml
    """
    from chainstitch.utils.score.classes import is_classified, score_classified
    from chainstitch.utils.score.report import table_text
    from chainstitch.utils.score.sweep import read_choice, score_directory

    if is_classified(directory):
        confusion = score_classified(directory)
        print(table_text(confusion.table()))
        print(confusion.line())
        return
    log = logging.getLogger(__name__)
    chosen = None if choice is None else read_choice(choice)
    result = score_directory(directory, chosen, allow_sweep)
    if result.scores.missing:
        log.warning(
            "%d of %d utterances have no hypothesis and count as empty (the first: %s)",
            len(result.scores.missing),
            len(result.scores.utterances),
            result.scores.missing[0],
        )
    for sentence in result.edges:
        log.warning("%s", sentence)
    found = result.choice
    how = f"chosen from {found.points} on" if found.points > 1 else "the only point of"
    print(f"lmwt {found.lmwt:g}, wip {found.wip:g} ({how} {found.set})")
    print(result.scores.total.ser_line())
    print(result.scores.total.wer_line())
