"""The two pictures of an experiment.

NAME.png: the objective against the pass, training solid and held-out dashed (the paper's Figure 1),
for each number of passes; the gap between the two against alpha (1 + alpha) / interval, which says
how much of backstitch there is; and the error against the seconds of training.
NAME_tuning.png: held-out objective, and error if it was measured, against the learning rate, from
the tuning runs: nobody need believe that a form was tuned as well as another.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiment import backstitch_of
from results import Cell, Results

from chainstitch.utils.report.plot import COLOURS, robust_limits, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "os^Dv<>"
PANEL = (4.2, 3.6)  # inches


def dose(settings: Sequence[str]) -> float | None:
    """alpha (1 + alpha) / interval; 0 of plain training, None where something else is set, too.

    >>> dose(["optim.backstitch.scale=1.0", "optim.backstitch.interval=4"])
    0.5
    """
    alpha, interval, others = backstitch_of(settings)
    others.pop("optim.backstitch.slow_start_share", None)
    return None if others else alpha * (1 + alpha) / interval


def draw(results: Results, out: Path) -> None:
    """NAME.png."""
    passes = [n for n in results.content["passes"] if _cells(results, n)]
    panels = 1 + len(passes) + (1 if len(_doses(results)) > 1 else 0)

    def all_of_it(figure: Figure) -> None:
        axes = figure.subplots(1, panels, squeeze=False)[0]
        for one, count in zip(axes, passes, strict=False):
            _curves(one, results, count)
        axes[0].set_ylabel(f"objective per {results.content['unit']}")
        if panels > 1 + len(passes):
            _gap(axes[-2], results)
        _seconds(axes[-1], results)
        _finish(figure, axes)

    save_figure(out, (PANEL[0] * panels, PANEL[1]), all_of_it)


def draw_tuning(results: Results, out: Path) -> None:
    """NAME_tuning.png."""
    passes = list(results.content["passes"])
    tuning = [run for run in results.content["tuning"] if run["converged"]]
    measures = ["valid"] + (["error"] if any("error" in run for run in tuning) else [])
    names = {"valid": "held-out objective", "error": results.content["error"]}

    def all_of_it(figure: Figure) -> None:
        grid = figure.subplots(len(measures), len(passes), squeeze=False)
        for row, measure in zip(grid, measures, strict=True):
            row[0].set_ylabel(names[measure])
            for axes, count in zip(row, passes, strict=True):
                _rates(axes, results, [run for run in tuning if run["passes"] == count], measure)
                axes.set_title(f"{count} passes, tuning data", fontsize=9)
        _finish(figure, grid.ravel())

    save_figure(out, (PANEL[0] * max(2, len(passes)), PANEL[1] * len(measures)), all_of_it)


def _finish(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels."""
    handles: dict[str, Any] = {}
    for one in axes:
        one.grid(alpha=0.25)
        one.spines[["top", "right"]].set_visible(False)
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=6, frameon=False,
        fontsize=8,
    )  # fmt: skip


def _style(results: Results, form: str) -> dict[str, Any]:
    index = list(results.content["forms"]).index(form)
    return {"color": COLOURS[index % len(COLOURS)], "label": form}


def _cells(results: Results, passes: int) -> list[Cell]:
    return [cell for cell in results.cells.values() if cell.passes == passes and cell.runs]


def _curves(axes: Axes, results: Results, passes: int) -> None:
    shown = []
    for cell in _cells(results, passes):
        if results.is_control(cell.form):
            continue
        style = _style(results, cell.form)
        curves = [run["curve"] for run in cell.runs.values()]
        x = [point[0] for point in curves[0]]
        for column, line in ((1, "-"), (2, "--")):
            values = [[curve[k][column] for curve in curves] for k in range(len(x))]
            axes.plot(x, [statistics.fmean(v) for v in values], line, linewidth=1.6, **style)
            low, high = [min(v) for v in values], [max(v) for v in values]
            axes.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
            shown.append((list(range(len(x))), values))
    limits = robust_limits(shown)
    if limits is not None:
        axes.set_ylim(*limits)
    axes.set_xlabel("pass")
    axes.set_title("training solid, held-out dashed", fontsize=9)


def _doses(results: Results) -> dict[str, float]:
    """By form, of those that differ from the reference by backstitch alone."""
    found = {
        run["form"]: dose(run["own"])
        for run in results.content["runs"]
        if not results.is_control(run["form"])
    }
    return {form: value for form, value in found.items() if value is not None}


def _gap(axes: Axes, results: Results) -> None:
    doses = _doses(results)
    for passes, marker in zip(results.content["passes"], MARKERS, strict=False):
        line = sorted(
            (doses[cell.form], cell) for cell in _cells(results, passes) if cell.form in doses
        ) if len(set(doses.values())) == len(doses) else []  # fmt: skip
        means = [(x, mean) for x, cell in line if (mean := cell.summary("gap")) is not None]
        if means:
            axes.errorbar(
                [x for x, _ in means], [m.mean for _, m in means], [m.sd or 0 for _, m in means],
                fmt=f"{marker}-", color="0.3", markersize=4, capsize=2, linewidth=1,
                alpha=1.0 if passes == results.content["passes"][0] else 0.55,
                label=f"{passes} passes",
            )  # fmt: skip
    axes.set_xlabel("α(1+α) / interval")
    axes.set_title("gap, training less held-out", fontsize=9)
    axes.set_ylim(bottom=0)


def _seconds(axes: Axes, results: Results) -> None:
    for form in results.content["forms"]:
        line = [
            (time, error)
            for passes in results.content["passes"]
            if (error := results.cells[form, passes].summary("error")) is not None
            and (time := results.cells[form, passes].summary("seconds")) is not None
        ]
        if line:
            axes.errorbar(
                [time.mean for time, _ in line], [error.mean for _, error in line],
                [error.sd or 0 for _, error in line], fmt="o-", markersize=4, capsize=2,
                linewidth=1, **_style(results, form),
            )  # fmt: skip
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds of training")
    axes.set_title(f"{results.content['error']}, by passes", fontsize=9)


def _rates(axes: Axes, results: Results, runs: list[dict[str, Any]], measure: str) -> None:
    for form in results.content["forms"]:
        by_rate: dict[float, dict[int, list[float]]] = {}
        for run in runs:
            if run["form"] == form and run.get(measure) is not None:
                by_rate.setdefault(run["rate"], {}).setdefault(run["variant"], []).append(
                    run[measure]
                )
        best = max if measure == "valid" else min
        line = [(r, best(map(statistics.fmean, v.values()))) for r, v in sorted(by_rate.items())]
        if line:
            axes.plot(
                *zip(*line, strict=True), "o-", markersize=4, linewidth=1.2, **_style(results, form)
            )
    rates = results.content["rates"]
    axes.set_xscale("log")
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("initial learning rate")
