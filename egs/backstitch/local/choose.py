#!/usr/bin/env python3
"""Chooses the learning rate of each form and number of passes, from the tuning runs.

The best mean over the tuning seeds of the held-out objective (or of the error, as the experiment
says) after the last iteration. A form with several settings is chosen from all of them and all
rates. A rate that is the first or the last one tried is said: a better one may lie beyond it.

Example: choose.py speech --plan exp/speech/tune.json --out exp/speech/chosen.json
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiment import add_options, asked, key
from finished import finished, read_plan

from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file

Row = dict[str, Any]


def value(result: Row, by: str) -> float:
    """What is to be large; -inf of a run that did not converge."""
    if not result["converged"]:
        return -math.inf
    return float(result["valid"]) if by == "valid_objf" else -float(result["error"])


def choose(results: Sequence[Row], by: str) -> dict[str, Row]:
    """By `key`: rate, variant, the settings beyond the rate, the mean, and whether it is an edge.

    Raises:
        UserError: no run of a form converged.
    """
    groups: dict[str, dict[tuple[int, float], list[float]]] = {}
    settings: dict[tuple[str, int], list[str]] = {}
    for result in results:
        run = result["run"]
        name = key(run["form"], run["passes"])
        group = groups.setdefault(name, {})
        group.setdefault((run["variant"], run["rate"]), []).append(value(result, by))
        settings[name, run["variant"]] = run["own"]
    chosen = {}
    for name, group in groups.items():
        means = {point: statistics.fmean(values) for point, values in group.items()}
        (variant, rate), best = max(means.items(), key=lambda item: item[1])
        if best == -math.inf:
            raise UserError(f"{name}: no tuning run converged; try lower rates")
        rates = sorted({r for v, r in means if v == variant})
        chosen[name] = {
            "rate": rate, "variant": variant, "settings": settings[name, variant],
            "value": abs(best), "n": len(group[variant, rate]),
            "edge": len(rates) > 1 and rate in (rates[0], rates[-1]), "rates": rates,
        }  # fmt: skip
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_options(parser)
    parser.add_argument("--plan", type=Path, required=True, help="of the tuning runs")
    parser.add_argument("--out", type=Path, required=True, help="the .json to write")
    given = parser.parse_args()
    try:
        by = asked(given).choose_by
        results = [(row, finished(row)) for row in read_plan(given.plan)]
        missing = [row["out"] for row, result in results if result is None]
        if missing:
            raise UserError(
                f"{len(missing)} tuning runs are not done ({missing[0]}); begin with --stage 1"
            )
        chosen = choose([result | {"run": row} for row, result in results if result], by)
        with atomic_file(given.out) as stream:
            json.dump(chosen, stream, indent=1)
    except UserError as error:
        print(f"choose.py: error: {error}", file=sys.stderr)
        return error.exit_code
    for name, found in chosen.items():
        edge = "; the edge of those tried" if found["edge"] else ""
        more = f" {' '.join(found['settings'])}" if found["settings"] else ""
        print(f"{name}: rate {found['rate']:g}{more} ({by} {found['value']:.4f}{edge})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
