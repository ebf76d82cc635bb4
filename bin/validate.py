"""`chainstitch validate`: names and counts what is wrong with sets, and drops it on request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def validate(
    data: Annotated[list[Path], typer.Argument(help="Set directories, data/train data/dev ...")],
    lexicon: Annotated[
        Path | None, typer.Option(help="Lexicon; words that it lacks are problems.")
    ] = None,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="Rewrite the sets without the utterances that have problems."),
    ] = False,
    allow_commands: Annotated[
        bool,
        typer.Option("--allow-commands", help="Audio may be made by commands, or fetched."),
    ] = False,
) -> None:
    """Check audio files, transcripts, times, ids and speakers of sets.

    Nothing that a manifest says is run or fetched, here and in `features`: cuts whose audio is made
    by a command or lies behind a URL count as problems, unless they are allowed.

    Example: chainstitch validate data/train data/dev --lexicon conf/lexicon.txt
    """
    from chainstitch.utils.data import manifests
    from chainstitch.utils.data import validate as checks
    from chainstitch.utils.errors import UserError

    reports = [checks.check_set(directory, lexicon, allow_commands) for directory in data]
    for report in reports:
        for line in report.lines() or [report.summary()]:
            print(line)
        if (warning := checks.joined_warning(report.sound, report.directory)) is not None:
            print(f"warning: {warning}")
    for line in checks.shared_speakers(reports):
        print(f"warning: {line}")
    faulty = [report for report in reports if report.bad]
    if faulty and not fix:
        raise UserError("; ".join(report.error() for report in faulty))
    mended = [checks.without_problems(report) for report in faulty]
    for report, kept in zip(faulty, mended, strict=True):
        manifests.replace_cuts(report.directory, kept)
        dropped = ", ".join(sorted({str(report.cuts[k].id) for k in report.bad}))
        print(f"{report.directory}: dropped {len(report.bad)}, kept {len(kept)}: {dropped}")
