"""A picture of which class is taken for which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from chainstitch.utils.report.plot import save_figure
from chainstitch.utils.score.classes import read_confusion

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_WRITTEN = 20  # classes of which every name and number can be read


def plot_confusion(directory: Path, out: Path | str) -> None:
    """Draws the confusion matrix of a classified set: a row for each class, in per cent of it.

    The diagonal is left out of the colours, which show the errors.

    Raises:
        UserError: missing or broken files.
        UsageError: as `plot_objective`.
    """
    found = read_confusion(directory)
    count = len(found.classes)
    shares = 100 * found.counts / np.maximum(found.counts.sum(1, keepdims=True), 1)
    errors = np.where(np.eye(count, dtype=bool), np.nan, shares)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        image = axes.imshow(errors, cmap="Oranges", vmin=0)
        axes.set_xlabel("taken for")
        axes.set_ylabel("class")
        axes.set_title(f"{directory.resolve().parent.name}: {found.line()}", fontsize=10)
        if count <= MOST_WRITTEN:
            axes.set_xticks(range(count), found.classes, rotation=45, ha="right")
            axes.set_yticks(range(count), found.classes)
            for (i, j), share in np.ndenumerate(shares):
                if share:
                    axes.text(j, i, f"{share:.1f}", ha="center", va="center", fontsize=7)
        figure.colorbar(image, label="errors, % of the class", shrink=0.8)

    save_figure(out, (7.0, 5.8), draw)
