"""What is kept of an iteration, its figures in train.jsonl, and the line that a person reads.

While an iteration runs, what its minibatches say adds up in a dict of sums:

    objf, count                  of the first steps; `count` is what all is divided by
    step2_objf, step2_count      of backstitch's second steps, if there were any
    nonfinite, lost              minibatches with output that was not finite: those that were passed
                                 over, and those that were left to the optimiser, by process
    figure:NAME                  what the loss calls NAME, to be divided by `count`
    number:NAME                  what it calls NAME, and is to be reported as it is
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

FIGURE, NUMBER = "figure:", "number:"


def figures(sums: Mapping[str, float], unit: str) -> dict[str, Any]:
    """What the sums of an iteration are per frame (image, word): those that there are."""
    count = sums["count"]
    found: dict[str, Any] = {"train_objf": sums["objf"] / count}
    if sums.get("step2_count"):
        found["step2_objf"] = sums["step2_objf"] / sums["step2_count"]
    for name, value in sums.items():
        if name.startswith(FIGURE):
            found[name.removeprefix(FIGURE)] = value / count
        elif name.startswith(NUMBER):
            found[name.removeprefix(NUMBER)] = int(value) if value == int(value) else value
    nonfinite = sums.get("nonfinite", 0) + sums.get("lost", 0)
    return found | {f"{unit}s": int(count), "nonfinite": int(nonfinite)}


def names(sums: Iterable[str]) -> list[str]:
    """What the loss reported, by the names that it has in a row."""
    return [name.partition(":")[2] for name in sums if ":" in name]


def line(row: dict[str, Any], total: int) -> str:
    """What a person reads per iteration."""
    said = [f"iter {row['iter'] + 1}/{total} pass {row['passes']:.2f} lr {row['lr']:.2e}"]
    if "alpha" in row:
        said.append(f"alpha {row['alpha']:.2f}")
    proportions = [f"{p:.2f}" for p in sorted(row["dropout"].values())]
    if proportions:
        said.append("dropout " + "-".join(dict.fromkeys(proportions[:1] + proportions[-1:])))
    if row["shrink"] != 1.0:
        said.append(f"shrink {row['shrink']:.4f}")
    said.append(f"objf/{row['unit']} train {row['train_objf']:.4f}")
    if "step2_objf" in row:
        said.append(f"(step 2 {row['step2_objf']:.4f})")
    said.append(f"valid {row['valid_objf']:.4f}")
    if row.get("figures"):
        said.append(f"({', '.join(f'{name} {row[name]:.4g}' for name in row['figures'])})")
    if change := row.get("max_change"):
        said.append(
            f"max-change {change['per_layer']:.0%} layer {change['global']:.0%} global "
            f"(least {change['smallest']:.2f})"
        )
        if change["skipped"]:
            said[-1] += f", {change['skipped']} updates SKIPPED"
    if row["nonfinite"]:
        said[-1] += f", {row['nonfinite']} minibatches NOT FINITE"
    return " ".join(said) + f", {row['seconds']:.1f} s"
