"""Pictures of a training run and of its errors, as PNG files that come out the same every time.

`plot_objective` draws the paper's Figure 1: the objective against the iteration on training and
validation data, baseline beside backstitch, so that the gap between the two can be seen.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainstitch.utils.errors import UsageError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.score.experiment import split_name
from chainstitch.utils.score.text import read_text, read_utt2spk
from chainstitch.utils.score.train_log import number, read_train_log
from chainstitch.utils.score.wer import Counts, by_speaker, score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours: told apart with any colour vision.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
EARLY = 0.2  # the share of iterations at the start that may run out of the picture at the bottom

Log = list[dict[str, Any]]  # rows of one train.jsonl
Curve = tuple[list[int], list[list[float]]]  # iterations; at each, a value for every seed


def plot_objective(experiments: Sequence[Path | str], out: Path | str) -> None:
    """Draws `train.jsonl` of every experiment; those that differ only by seed become one colour.

    Solid is training (evaluated on a subset where the log has `train_diag_objf`, else the running
    value), dashed is validation; lines are means over seeds, bands their range. Below: learning
    rate and the share of minibatches in which max-change acted, where the logs have them.

    Raises:
        UserError: a log that is missing or broken.
        UsageError: `out` is not a .png in a directory that exists. Nothing is written then.
    """
    groups: dict[str, list[Log]] = {}
    for path in map(Path, experiments):
        name, _, _ = split_name(path.resolve().name)
        groups.setdefault(name, []).append(read_train_log(path / "train.jsonl"))
    logs = [log for group in groups.values() for log in group]
    panels = [
        _plot_curves,
        *([_plot_lr] if _has(logs, "lr") else []),
        *([_plot_max_change] if _has(logs, "max_change", "global") else []),
    ]

    def draw(figure: Figure) -> None:
        ratios = [4.0, 1.0, 1.0][: len(panels)]
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=ratios)
        for panel, axes in zip(panels, grid[:, 0], strict=True):
            panel(axes, groups)
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        grid[-1, 0].set_xlabel("iteration")
        grid[-1, 0].xaxis.get_major_locator().set_params(integer=True)

    save_figure(out, (7.5, 3.6 + 1.1 * len(panels)), draw)


def plot_speakers(directories: Sequence[Path | str], out: Path | str) -> None:
    """Draws the WER of each speaker of scored decode directories, one colour for each directory.

    Raises:
        UserError: missing or broken files.
        UsageError: as `plot_objective`.
    """
    columns: dict[str, tuple[dict[str, Counts], Counts]] = {}
    for path in map(Path, directories):
        scores = score(read_text(path / "ref"), read_text(path / "hyp"))
        utt2spk = path / "utt2spk"
        speakers = by_speaker(scores, read_utt2spk(utt2spk), str(utt2spk))
        label = f"{path.resolve().parent.name}/{path.resolve().name}"
        columns[label] = (speakers, scores.total)
    names = sorted({name for speakers, _ in columns.values() for name in speakers})

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        width = 0.8 / len(columns)
        for index, (label, (speakers, total)) in enumerate(columns.items()):
            shift = (index - (len(columns) - 1) / 2) * width
            colour = COLOURS[index % len(COLOURS)]
            heights = [speakers.get(name, Counts()).wer for name in names]
            places = [place + shift for place in range(len(names))]
            bars = axes.bar(places, heights, 0.9 * width, color=colour, label=label)
            if len(names) * len(columns) <= 24:
                axes.bar_label(bars, fmt="%.1f", fontsize=8)
            all_label = f"all: {total.wer:.2f} % of {total.words} words"
            axes.axhline(total.wer, color=colour, linestyle="--", linewidth=1, label=all_label)
        axes.set_xticks(range(len(names)), names, rotation=45 if len(names) > 8 else 0)
        axes.set_ylabel("WER, %")
        axes.set_ylim(bottom=0)
        axes.margins(y=0.1)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9)

    save_figure(out, (max(6.0, 1.5 + 0.4 * len(names) * len(columns)), 4.2), draw)


def _plot_curves(axes: Axes, groups: Mapping[str, list[Log]]) -> None:
    from matplotlib.lines import Line2D

    evaluated = _has([log for group in groups.values() for log in group], "train_diag_objf")
    shown: list[Curve] = []
    names = []
    for index, (name, logs) in enumerate(groups.items()):
        colour = COLOURS[index % len(COLOURS)]
        running = _curve(logs, "train_objf")
        train = _curve(logs, "train_diag_objf")
        valid = _curve(logs, "valid_objf")
        if train[0]:
            _draw(axes, running, color=colour, linewidth=0.9, alpha=0.4)
        else:
            train = running
        _draw(axes, train, band=True, color=colour, linewidth=1.8)
        _draw(axes, valid, band=True, color=colour, linewidth=1.8, linestyle="--")
        shown += [train, valid]
        label = name if len(logs) == 1 else f"{name} (n = {len(logs)})"
        names.append(Line2D([], [], color=colour, linewidth=4, label=label))
    styles = [
        Line2D([], [], color="0.3", linewidth=1.8, label="train"),
        Line2D([], [], color="0.3", linewidth=1.8, linestyle="--", label="valid"),
    ]
    if evaluated:
        styles[0].set_label("train (subset, evaluated)")
        styles.insert(0, Line2D([], [], color="0.7", linewidth=0.9, label="train (running)"))
    axes.legend(
        handles=[*names, *styles],
        loc="lower right",
        ncols=2 if len(names) > 3 else 1,
        fontsize=9,
        framealpha=0.8,
    )
    units = {
        row.get("unit", "frame") for logs in groups.values() for log in logs for row in log
    }  # fmt: skip
    axes.set_ylabel(f"{_measure(units)} per {' or '.join(sorted(units))}")
    limits = robust_limits(shown)
    if limits is not None:
        axes.set_ylim(*limits)


def _measure(units: set[str]) -> str:
    """What is drawn: of speech it may be any objective."""
    return "objective" if "frame" in units else "log-likelihood"


def _plot_lr(axes: Axes, groups: Mapping[str, list[Log]]) -> None:
    for index, logs in enumerate(groups.values()):
        width = 1.4 + min(3.0, 1.6 * (len(groups) - 1 - index))  # equal curves stay visible
        _draw(axes, _curve(logs, "lr"), color=COLOURS[index % len(COLOURS)], linewidth=width)
    axes.set_yscale("log")
    axes.set_ylabel("lr", fontsize=9)


def _plot_max_change(axes: Axes, groups: Mapping[str, list[Log]]) -> None:
    for index, logs in enumerate(groups.values()):
        colour = COLOURS[index % len(COLOURS)]
        for key, style in (("global", "-"), ("per_layer", ":")):
            curve = _curve(logs, "max_change", key)
            _draw(axes, curve, color=colour, linewidth=1.4, linestyle=style)
    for key, style in (("global", "-"), ("per layer", ":")):
        axes.plot([], [], color="0.3", linestyle=style, linewidth=1.4, label=key)
    axes.legend(fontsize=8, ncols=2, framealpha=0.8, loc="upper right")
    axes.set_ylim(-0.05, 1.05)
    axes.set_ylabel("max-change\nacted", fontsize=9)


def robust_limits(curves: Sequence[Curve]) -> tuple[float, float] | None:
    """Limits of the y axis for the later iterations; the first EARLY share may be cut off.

    None where there is nothing finite to show.
    """
    last = max((iteration for iterations, _ in curves for iteration in iterations), default=0)
    first = min((iteration for iterations, _ in curves for iteration in iterations), default=0)
    start = first + EARLY * (last - first) if last > first else first
    values = [
        value
        for iterations, rows in curves
        for iteration, row in zip(iterations, rows, strict=True)
        for value in row
        if iteration >= start and abs(value) < float("inf")
    ]
    if not values:
        return None
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def _curve(logs: Sequence[Log], *keys: str) -> Curve:
    """The values at those iterations for which every log has one."""
    values = [
        {row["iter"]: x for row in log if (x := number(row, *keys)) is not None} for log in logs
    ]
    iterations = sorted(set.intersection(*map(set, values)))
    return iterations, [[one[iteration] for one in values] for iteration in iterations]


def _draw(axes: Axes, curve: Curve, band: bool = False, **style: Any) -> None:
    iterations, rows = curve
    marker = "o" if len(iterations) == 1 else None
    axes.plot(iterations, [statistics.fmean(row) for row in rows], marker=marker, **style)
    if band and rows and len(rows[0]) > 1:
        low, high = [min(row) for row in rows], [max(row) for row in rows]
        axes.fill_between(iterations, low, high, color=style["color"], alpha=0.15, linewidth=0)


def _has(logs: Sequence[Log], *keys: str) -> bool:
    return any(number(row, *keys) is not None for log in logs for row in log)


def save_figure(out: Path | str, size: tuple[float, float], draw: Callable[[Figure], None]) -> None:
    """Draws with matplotlib's defaults, whatever the user's settings, and without a date."""
    out = Path(out)
    if out.suffix != ".png" or not out.parent.is_dir():
        raise UsageError(f"--out {out}: wanted a name ending in .png in a directory that exists")
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        figure = Figure(figsize=size, dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        with atomic_file(out, "wb") as stream:
            figure.savefig(stream, format="png", metadata={"Software": "chainstitch"})
