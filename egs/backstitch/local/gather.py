#!/usr/bin/env python3
"""All runs of an experiment in one .json, from which report.py writes the page.

Example: gather.py speech --exp exp/speech --out exp/results/speech.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from experiment import Experiment, add_options, asked
from finished import TEST, finished, read_plan

from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file

OF_RUN = ("form", "passes", "rate", "variant", "seed", "own")
OF_RESULT = ("converged", "train", "valid", "gap", "error", "strength", "seconds", "parameters")
SHORT = 4  # digits of the values of a curve

Row = dict[str, Any]


def gather(experiment: Experiment, exp: Path, plan: Path, command: str) -> Row:
    """The content of the .json; runs of the plan that were not done are not there.

    Raises:
        UserError: there is no plan, or no reported run.
    """
    tuning = [_found(row, exp) for row in read_plan(exp / "tune.json")]
    runs = [_found(row, exp) for row in read_plan(plan)]
    done = [run for run in runs if run is not None]
    tuned = [run for run in tuning if run is not None]
    if not done:
        raise UserError(f"{exp} has no reported run; begin with --stage 3")
    return {
        "experiment": experiment.name, "question": " ".join(experiment.question.split()),
        "data": experiment.data, "error": experiment.error, "against": experiment.against,
        "choose_by": experiment.choose_by, "verdict": experiment.verdict, "command": command,
        "rates": experiment.rates, "tune_seeds": experiment.tune_seeds, "seeds": experiment.seeds,
        "passes": experiment.passes, "missing": len(runs) - len(done),
        "forms": {
            name: {"control": form.control, "net": form.net or experiment.net, "tried": form.tried}
            for name, form in experiment.forms.items()
        },
        "chosen": json.loads((exp / "chosen.json").read_text(encoding="utf-8")),
        "unit": next((run["unit"] for run in done if run["converged"]), ""),
        "receipts": receipts([*done, *tuned]), "runs": done, "tuning": tuned,
    }  # fmt: skip


def _found(row: Row, exp: Path) -> Row | None:
    """A run's row, without the names of this machine's directories."""
    result = finished(row)
    if result is None:
        return None
    found = {name: row[name] for name in OF_RUN}
    found |= {name: result[name] for name in (*OF_RESULT, "unit") if name in result}
    if (tested := finished(row, TEST)) is not None:
        found["error"] = tested["error"]
    receipt = dict(result["receipt"])
    found["command"] = receipt.pop("command").replace(f"{exp.parents[1]}/", "")
    found["receipt"] = {name: receipt[name] for name in ("commit", "versions", "hardware")}
    if row["part"] == "report" and result["converged"]:
        found["curve"] = [[round(value, SHORT) for value in point] for point in result["curve"]]
    return found


def receipts(runs: list[Row]) -> list[str]:
    """A line for each commit, set of versions and machine; each run gets the number of its own."""
    lines = [
        f"commit {one['commit']}; {', '.join(f'{k} {v}' for k, v in one['versions'].items())}; "
        f"{one['hardware']}"
        for one in (run["receipt"] for run in runs)
    ]
    different = list(dict.fromkeys(lines))
    for run, line in zip(runs, lines, strict=True):
        run["receipt"] = different.index(line)
    return different


def text(content: Row) -> str:
    """As JSON with a line for each key, and for each run."""
    lines = []
    for name, value in content.items():
        line = json.dumps(value)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            line = "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"
        lines.append(f" {json.dumps(name)}: {line}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_options(parser)
    parser.add_argument("--exp", type=Path, required=True, help="where the runs are")
    parser.add_argument("--plan", type=Path, required=True, help="of the reported runs")
    parser.add_argument("--out", type=Path, required=True, help="the .json to write")
    parser.add_argument("--command", default="run.sh", help="to be named in it")
    given = parser.parse_args()
    try:
        content = gather(asked(given), given.exp, given.plan, given.command)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(given.out) as stream:
            stream.write(text(content))
    except UserError as error:
        print(f"gather.py: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
