"""bias.png: the share of (8) that is left, against n and against alpha."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from quadratic import SIZES, correlated
from training import ORDERS, N, own_correction, predict

from chainstitch.utils.files import atomic_file
from chainstitch.utils.report.plot import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]


def share(row: Row, reference: Sequence[float]) -> tuple[float, float]:
    """Component of the bias along `reference` (n times (8)), in its units, and standard error.

    The errors of the elements are taken to go together, which makes it too large if anything.
    """
    b = np.array(reference)
    value, error = np.array(row["bias"]), np.array(row["error"])
    return float(value @ b / (b @ b)), float(error @ np.abs(b) / (b @ b))


def find(rows: Iterable[Row], problem: str, estimator: str) -> list[Row]:
    """The rows of a problem and estimator, by n."""
    return [r for r in rows if (r["problem"], r["estimator"]) == (problem, estimator)]


def series(rows: Sequence[Row], problem: str, estimator: str) -> list[tuple[float, float]]:
    """Shares of (8) for every n; of the correlated problem's where the problem has none."""
    found = find(rows, problem, estimator)
    if problem == "independent":
        return [share(row, correlated().bias.tolist()) for row in found]
    return [share(row, row["predicted"]) for row in found]


def points(
    axes: Axes, x: Sequence[float], values: Sequence[tuple[float, float]], colour: str, label: str
) -> None:
    """Dots with bars of two standard errors."""
    y, errors = zip(*values, strict=True)
    bars = [2 * error for error in errors]
    axes.errorbar(x, y, bars, fmt="o", markersize=4, capsize=2, color=colour, label=label)


def draw(quadratic: Row, training: Row, out: Path) -> None:
    """Share of (8) against n and against alpha: dots measured, lines theory."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    blue, red, green, pink = COLOURS[:4]
    problem = correlated()
    b = problem.bias
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        figure = Figure(figsize=(10.0, 4.4), dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        n = np.array(SIZES)
        expected = 1 + problem.next_bias @ b / (b @ b) / n
        left.axhline(1.0, color=blue, linewidth=1, label="(8)")
        left.plot(n, expected, ":", color=blue, label="and next term")
        left.axhline(0.0, color="0.6", linewidth=1)
        for colour, name, which in (
            (blue, "minimiser", ("correlated", "minimiser")),
            (red, "backstitch, α(1+α)ν = 1/n", ("correlated", "backstitch")),
            (green, "constant c of (10)", ("correlated", "constant")),
            (pink, "minimiser, H and g independent", ("independent", "minimiser")),
        ):
            points(left, SIZES, series(quadratic["rows"], *which), colour, name)
        left.set_xscale("log", base=2)
        left.set_xticks(SIZES, [str(size) for size in SIZES])
        left.set_xlabel("n, examples in a data set")
        left.set_ylabel("bias over that of (8)")
        left.set_ylim(-0.15, 1.75)
        left.legend(fontsize=8, ncols=2, frameon=False, loc="upper right")

        alphas = np.linspace(0.0, 1.3, 100)
        right.axhline(0.0, color="0.6", linewidth=1)
        for order, colour in zip(ORDERS, (red, green), strict=True):
            rows = [
                row
                for row in training["rows"]
                if row["order"] == order and row["interval"] == 1 and row["lr"] == 0.5 / N
            ]
            line = [predict(order, N, 0.5 / N, alpha) for alpha in alphas]
            theory = "1 − α(1+α)νn" if order == "drawn" else f"the same − {own_correction(0.5):.2f}"
            right.plot(alphas, line, color=colour, linewidth=1, label=theory)
            found = [(row["share"], row["error"]) for row in rows]
            label = f"trained, examples {order}"
            points(right, [row["alpha"] for row in rows], found, colour, label)
        right.set_xlabel(f"α, with ν = 1/(2n), n = {N}")
        right.legend(fontsize=8, frameon=False, loc="lower left")
        for axes in (left, right):
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        with atomic_file(out, "wb") as stream:
            figure.savefig(stream, format="png", metadata={"Software": "chainstitch"})
