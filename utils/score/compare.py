"""Experiments side by side: runs that differ only by seed become one row with mean, sd and n.

Within one row every run must have been scored on the same references. The rows of a protocol with
folds are followed by the mean over its folds.
"""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.score.bootstrap import half_width, probability_better
from chainstitch.utils.score.experiment import Experiment
from chainstitch.utils.score.wer import GAP, Scores, Utterance

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """One line of the comparison; rates in per cent, counts per run."""

    set: str
    name: str
    fold: str
    runs: list[Experiment] = field(repr=False)
    n: str
    wer: float
    sd: float | None  # over seeds; None of one
    interval: tuple[float, float] | None  # 95 %
    errors: tuple[float, float, float]  # ins, del, sub: mean over runs (summed over folds)
    words: int
    better: float | None  # probability of fewer errors than the baseline


def compare(
    experiments: Sequence[Experiment], sets: Sequence[str] = (), baseline: str | None = None
) -> list[Row]:
    """Rows by set (development sets first), fold and name; after the folds of a name, their mean.

    Raises:
        UsageError: a set that no run has scores of, an unknown baseline, a run given twice.
        UserError: runs of one row that were scored on different references.
    """
    runs: dict[tuple[str, str, int | None], Path] = {}
    for e in experiments:
        run = (e.name, e.fold, e.seed)
        if run in runs:
            raise UsageError(f"{e.path} and {runs[run]} are one run; it would count twice in n")
        runs[run] = e.path
    names = list(dict.fromkeys(e.name for e in experiments))
    if baseline is not None and baseline not in names:
        raise UsageError(f"--baseline {baseline!r} is none of: {', '.join(names)}")
    there = sorted(
        {key for e in experiments for key in e.scores}, key=lambda s: ("dev" not in s, s)
    )
    for wanted in sets:
        if wanted not in there:
            raise UsageError(f"--sets: no run has scores of {wanted!r}; known: {', '.join(there)}")

    table = []
    for key in sets or there:
        by_row: dict[tuple[str, str], list[Experiment]] = {}
        for e in experiments:
            if key in e.scores:
                by_row.setdefault((e.fold, e.name), []).append(e)
            else:
                log.warning("%s has no scores for %s, so it is not in that row's n", e.path, key)
        for fold in dict.fromkeys(e.fold for e in experiments):
            for name in names:
                if (fold, name) in by_row:
                    other = by_row.get((fold, baseline or "")) if name != baseline else None
                    table.append(_row(key, by_row[fold, name], other))
        for name in names:
            folds = [group for (fold, n), group in by_row.items() if fold and n == name]
            others = {fold: group for (fold, n), group in by_row.items() if fold and n == baseline}
            if len(folds) > 1:
                table.append(_mean_row(key, folds, others if name != baseline else {}))
    return table


def _row(key: str, group: list[Experiment], base: list[Experiment] | None) -> Row:
    rates = [e.scores[key].total.wer for e in group]
    errors, words = _pool(key, group)
    width = half_width(errors, [len(group) * count for count in words])
    return Row(
        key,
        group[0].name,
        group[0].fold,
        group,
        str(len(group)),
        statistics.fmean(rates),
        statistics.stdev(rates) if len(rates) > 1 else None,
        _interval(statistics.fmean(rates), width),
        _mean_errors(key, group),
        sum(words),
        _better(key, [group], [base] if base else []),
    )


def _mean_row(key: str, folds: list[list[Experiment]], bases: dict[str, list[Experiment]]) -> Row:
    """The plain mean over folds; its interval takes the folds' errors as independent."""
    rows = [_row(key, group, None) for group in folds]
    mean = statistics.fmean(row.wer for row in rows)
    seeds = [sorted((e.seed or 0, e.scores[key].total.wer) for e in group) for group in folds]
    same = all([s for s, _ in one] == [s for s, _ in seeds[0]] for one in seeds)
    per_seed = [statistics.fmean(w for _, w in column) for column in zip(*seeds, strict=False)]
    halves = [half for row in rows if (half := _half(row)) is not None]
    width = math.hypot(*halves) / len(rows) if len(halves) == len(rows) else None
    count = len(folds[0])
    runs = f"{count} seed{'s' if count > 1 else ''}" if same else f"{sum(map(len, folds))} runs"
    paired = [bases[group[0].fold] for group in folds if group[0].fold in bases]
    return Row(
        key,
        folds[0][0].name,
        "mean",
        [e for group in folds for e in group],
        f"{len(folds)} folds x {runs}" if same else f"{len(folds)} folds, {runs}",
        mean,
        statistics.stdev(per_seed) if same and len(per_seed) > 1 else None,
        _interval(mean, width),
        (
            sum(row.errors[0] for row in rows),
            sum(row.errors[1] for row in rows),
            sum(row.errors[2] for row in rows),
        ),
        sum(row.words for row in rows),
        _better(key, folds, paired) if len(paired) == len(folds) else None,
    )


def _half(row: Row) -> float | None:
    return row.interval[1] - row.wer if row.interval else None


def _interval(wer: float, width: float | None) -> tuple[float, float] | None:
    return None if width is None else (max(0.0, wer - width), wer + width)


def _pool(key: str, group: list[Experiment]) -> tuple[list[int], list[int]]:
    """Errors of each utterance, added up over runs, and its words, once."""
    first = _references(group[0].scores[key])
    for e in group[1:]:
        if _references(e.scores[key]) != first:
            raise UserError(f"{e.path} and {group[0].path} have different references for {key}")
    columns = [[u.counts.errors for u in _sorted(e.scores[key])] for e in group]
    return [sum(c) for c in zip(*columns, strict=True)], [len(words) for _, words in first]


def _better(
    key: str, groups: list[list[Experiment]], bases: list[list[Experiment]]
) -> float | None:
    """P(fewer errors than the baseline) over all utterances of `groups`, fold beside fold."""
    if not bases:
        return None
    runs, base_runs = math.lcm(*map(len, groups)), math.lcm(*map(len, bases))
    pooled: list[int] = []
    base_pooled: list[int] = []
    words: list[int] = []
    for group, base in zip(groups, bases, strict=True):
        if _references(group[0].scores[key]) != _references(base[0].scores[key]):
            log.warning("%s: no pairing with %s, other references", group[0].path, base[0].path)
            return None
        errors, lengths = _pool(key, group)
        pooled += [runs // len(group) * count for count in errors]
        base_pooled += [base_runs // len(base) * count for count in _pool(key, base)[0]]
        words += lengths
    return probability_better(base_pooled, pooled, words, (base_runs, runs))


def _sorted(scores: Scores) -> list[Utterance]:
    return sorted(scores.utterances, key=lambda u: u.id)


def _references(scores: Scores) -> list[tuple[str, list[str]]]:
    return [(u.id, [ref for ref, _ in u.pairs if ref != GAP]) for u in _sorted(scores)]


def _mean_errors(key: str, group: list[Experiment]) -> tuple[float, float, float]:
    totals = [e.scores[key].total for e in group]
    return (
        statistics.fmean(t.insertions for t in totals),
        statistics.fmean(t.deletions for t in totals),
        statistics.fmean(t.substitutions for t in totals),
    )
