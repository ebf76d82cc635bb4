"""The answer to an experiment's question in one sentence, by a rule and not by taste.

A measure is better, or worse, where the 95 % interval of the paired difference lies on one side of
0, and else not told apart. The sentence is about the form and number of passes that the tuning runs
prefer, against the reference with as many passes, and then against whatever else was best. Where
an experiment says verdict = "each", it sorts all forms, by the measure that rates were chosen by.
"""

from __future__ import annotations

import math

from paired import Difference
from results import MEASURES, Cell, Results

RULE = """\
Better, worse: the 95 % interval of the paired difference (Student's t, same seeds) excludes 0."""


def interval(found: Difference) -> tuple[str, str, str]:
    """Mean, low and high with the same decimals, three figures of the largest.

    >>> interval(Difference(-0.0063, -0.0084, -0.0042, 5))
    ('-0.00630', '-0.00840', '-0.00420')
    """
    largest = max(abs(found.low), abs(found.high)) or 1.0
    decimals = max(0, 2 - math.floor(math.log10(largest)))
    mean, low, high = (f"{x:+.{decimals}f}" for x in (found.mean, found.low, found.high))
    return mean, low, high


def told(found: Difference) -> str:
    """A difference and its interval."""
    mean, low, high = interval(found)
    return f"{mean}, {low} to {high}, n = {found.n}"


def words(results: Results) -> dict[str, str]:
    """What the measures are called."""
    error = results.content["error"].removesuffix(" %")
    return {"valid": "held-out objective", "gap": "gap", "error": error}


def sentence(results: Results) -> str:
    """The verdict."""
    if results.content["verdict"] == "each":
        return _each(results)
    ours = results.favourite()
    if ours is None:
        return "Nothing converged that could be compared."
    plain = results.cells[results.reference, ours.passes]
    said = _compared(results, ours, dict.fromkeys(MEASURES, plain))
    if not said:
        return "There are too few runs to say anything."
    beside = f"`{plain.form}` with as many"
    text = f"`{ours.form}` with {ours.passes} passes against {beside}: {'; '.join(said)}"
    if len(results.cells) > 2:
        best = {m: c for m in ("valid", "error") if (c := results.best_other(m)) is not None}
        said = _compared(results, ours, best, named=True)
        text += f". Against the best of the others over all passes: {'; '.join(said)}"
    return text + "."


def _compared(
    results: Results, ours: Cell, theirs: dict[str, Cell], named: bool = False
) -> list[str]:
    said = []
    for measure, other in theirs.items():
        found = ours.against(other, measure)
        if found is not None:
            whose = f" than that of `{other.form}` with {other.passes} passes" if named else ""
            verdict = found.verdict(MEASURES[measure])
            if named and verdict == "not told apart":
                whose = whose.replace("than", "from", 1)
            said.append(f"{words(results)[measure]} {verdict}{whose} ({told(found)})")
    return said


def _each(results: Results) -> str:
    measure = "error" if results.content["choose_by"] == "error" else "valid"
    parts = []
    for passes in results.content["passes"]:
        sorted_: dict[str, list[str]] = {"better": [], "worse": [], "not told apart": []}
        other = results.cells[results.reference, passes]
        for cell in results.candidates():
            found = cell.against(other, measure) if cell.passes == passes else None
            if found is not None:
                sorted_[found.verdict(MEASURES[measure])].append(f"`{cell.form}` ({told(found)})")
        lost = [c.form for c in results.candidates() if c.passes == passes and c.lost]
        found_ = [f"{verdict}: {', '.join(forms)}" for verdict, forms in sorted_.items() if forms]
        found_ += (
            [f"not always converged: {', '.join(f'`{form}`' for form in lost)}"] if lost else []
        )
        parts.append(f"with {passes} passes {'; '.join(found_) or 'nothing could be compared'}")
    return (
        f"{words(results)[measure].capitalize()} against `{results.reference}`: {'. '.join(parts)}."
    )
