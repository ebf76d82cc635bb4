"""`chainstitch score`: hypotheses against references."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from chainstitch.utils.errors import UsageError

NIST = "With --nist"


def score(
    directory: Annotated[Path, typer.Argument(help="a decode directory, EXP/decode_<set>")],
    choice: Annotated[
        Path | None,
        typer.Option(help="choice.toml of the dev set: score this set at the point chosen there"),
    ] = None,
    allow_sweep: Annotated[
        bool, typer.Option("--allow-sweep", help="choose on a set called test nevertheless")
    ] = False,
    nist: Annotated[bool, typer.Option("--nist", help="by NIST's programs, into nist/")] = False,
    stm: Annotated[
        Path | None, typer.Option(help="what was said, by NIST", rich_help_panel=NIST)
    ] = None,
    glm: Annotated[
        Path | None, typer.Option(help="which words are the same", rich_help_panel=NIST)
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="the set that was decoded", rich_help_panel=NIST)
    ] = None,
    reco2file: Annotated[
        Path | None, typer.Option(help="Kaldi's reco2file_and_channel", rich_help_panel=NIST)
    ] = None,
    rule: Annotated[
        str, typer.Option(help="what is not scored: none, ted, ami, swbd", rich_help_panel=NIST)
    ] = "none",
    acronyms: Annotated[
        Path | None, typer.Option(help="map of words into letters", rich_help_panel=NIST)
    ] = None,
    subsets: Annotated[
        str, typer.Option(help="files by name: swbd=!en_,callhm=!sw_", rich_help_panel=NIST)
    ] = "",
    overlap: Annotated[
        int,
        typer.Option(min=0, max=8, help="N speakers at a time, by asclite", rich_help_panel=NIST),
    ] = 0,
    nj: Annotated[
        int, typer.Option(min=1, max=256, help="points scored at a time", rich_help_panel=NIST)
    ] = 2,
) -> None:
    """Scores a decode directory and prints its %WER line last.

    Without --choice the best LM weight and insertion penalty of the sweep are chosen here and
    written to choice.toml. Of equals the lmwt nearest 10 wins, then the wip nearest 0, then the
    smaller lmwt, then the smaller wip.
    A directory that `classify` wrote gets per_class, confusion.txt and a %ERR line instead.
    errors.txt has the alignments and the most frequent errors, per_spk a row for each speaker.

    With --nist the words of the ctm are scored as hubscr of NIST's sctk does it. --data moves them
    from utterances into recordings; --overlap takes asclite. Of a test set with a --choice, the
    best point on the test set itself is given, too, for comparison with papers.

    Examples:
        chainstitch score exp/tdnn_1a/decode_test --choice exp/tdnn_1a/decode_dev/choice.toml
        chainstitch score exp/tdnn_1a/decode_dev --nist --data data/dev --stm data/dev/stm
    """
    from chainstitch.utils.score.classes import is_classified, score_classified
    from chainstitch.utils.score.report import table_text
    from chainstitch.utils.score.sweep import read_choice, score_directory

    log = logging.getLogger(__name__)
    chosen = None if choice is None else read_choice(choice)
    if nist:
        from chainstitch.utils.score import nist as program

        setup = program.make_setup(
            stm, glm, data, reco2file, rule, acronyms, subsets, overlap, nj
        )  # fmt: skip
        scored = program.score_nist(directory, setup, chosen, allow_sweep)
        for sentence in scored.edges:
            log.warning("%s", sentence)
        print(scored.text())
        return
    if any((stm, glm, data, reco2file, rule != "none", acronyms, subsets, overlap)):
        raise UsageError("--stm, --glm and what else is for NIST's programs wants --nist, too")
    if is_classified(directory):
        confusion = score_classified(directory)
        print(table_text(confusion.table()))
        print(confusion.line())
        return
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
