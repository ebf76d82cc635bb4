"""`chainstitch compare`: experiments side by side."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer


def compare(
    experiments: Annotated[list[Path], typer.Argument(help="directories exp/<name>_s<seed>")],
    sets: Annotated[str, typer.Option(help="sets to show, e.g. dev,test; default: all")] = "",
    folds: Annotated[
        str, typer.Option(help="folds, e.g. theo,lucas, of exp/<name>_<fold>_s<seed>")
    ] = "",
    baseline: Annotated[
        str | None, typer.Option(help="pair the others with this name (without fold and seed)")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="write the table to this page, receipts to results/ beside")
    ] = None,
    section: Annotated[
        str, typer.Option(help="heading of the part of --markdown to write; the rest is kept")
    ] = "Comparison",
) -> None:
    """Shows WER, or image error, of experiments: mean, sd, n over seeds, bootstrap intervals.

    Directories that differ only in _s<seed> make one row. Score them first: `chainstitch score`.

    Example:
        chainstitch compare exp/base_s? exp/backstitch_s? --baseline base --markdown RESULTS.md
    """
    from chainstitch.utils.outputs import check_file
    from chainstitch.utils.score import results
    from chainstitch.utils.score.compare import compare as compare_experiments
    from chainstitch.utils.score.experiment import read_experiment
    from chainstitch.utils.score.report import table_text

    if markdown is not None:
        # what stands in a .md is kept, and nothing reads one
        mine = markdown.suffix == ".md"
        check_file(markdown, None if mine else "results", True, () if mine else experiments)
    fold_names = [name for name in folds.split(",") if name]
    runs = [read_experiment(path, fold_names) for path in experiments]
    rows = compare_experiments(runs, [name for name in sets.split(",") if name], baseline)
    if markdown is not None:
        command = shlex.join(["chainstitch", *sys.argv[1:]])
        results.write_section(markdown, section, rows, command, baseline)
    print(table_text(results.table(rows, baseline)))
    print(results.caption(rows, baseline))
