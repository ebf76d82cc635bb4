"""`chainstitch info`: what a data, lang or experiment directory holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from chainstitch.utils import summary


def info(
    path: Annotated[Path, typer.Argument(help="data/<set>, data/lang or exp/<name>.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Sum up a data set, a lang directory or an experiment in a few lines.

    Example: chainstitch info exp/tdnn_1a
    """
    found = summary.summarise(path)
    if as_json:
        print(json.dumps(found))
    else:
        print("\n".join(summary.lines(found)))
