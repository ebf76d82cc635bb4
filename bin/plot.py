"""`chainstitch plot`: pictures of training and of errors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plot(
    directories: Annotated[
        list[Path], typer.Argument(help="experiments (exp/x), or decode directories only")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="the .png to write; default: objective, per_spk or confusion.png in the first"
        ),
    ] = None,
) -> None:
    """Draws the objective of experiments against iteration, the WER of each speaker, or confusions.

    Experiments that differ only in _s<seed> share a colour: the mean, with the range as a band. Of
    a directory that `classify` wrote, the picture is which class is taken for which.

    Example:
        chainstitch plot exp/base_s0 exp/backstitch_s0 --out objective.png
    """
    from chainstitch.utils.errors import UsageError
    from chainstitch.utils.outputs import check_file
    from chainstitch.utils.report.plot import plot_objective, plot_speakers
    from chainstitch.utils.score.classes import is_classified

    if is_classified(directories[0]):
        from chainstitch.utils.report.confusion_plot import plot_confusion

        if len(directories) > 1:
            raise UsageError("a confusion matrix is of one set; give one directory")
        out = out or directories[0] / "confusion.png"
        check_file(out, "picture", overwrite=True, inputs=directories)
        plot_confusion(directories[0], out)
        print(out)
        return
    decoded = [path for path in directories if (path / "ref").is_file()]
    if decoded and len(decoded) < len(directories):
        raise UsageError(f"{decoded[0]} is a decode directory, the others are not; plot them apart")
    if out is None:
        out = directories[0] / ("per_spk.png" if decoded else "objective.png")
    check_file(out, "picture", overwrite=True, inputs=directories)
    (plot_speakers if decoded else plot_objective)(directories, out)
    print(out)
