#!/usr/bin/env python3
"""Writes the list of an experiment's trainings, for train_one.py, and says how long they will take.

Example: plan.py speech --part tune --data data/speech --exp exp/speech --out exp/speech/tune.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiment import (
    CONF,
    PARTS,
    Experiment,
    Run,
    add_options,
    asked,
    clock,
    predicted,
    reported_runs,
    tuning_runs,
)
from finished import finished, pace, read_plan, with_tuning

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_file

SPEECH = ("speech", "digits")  # kinds of data

Row = dict[str, Any]


def rows(
    experiment: Experiment, runs: list[Run], data: Path, exp: Path, nets: Path = CONF / "nets"
) -> list[Row]:
    """One for each run: all that its job has to know.

    Args:
        data: with tune/ and report/ in it; exp: where the runs go; nets: where the configs are.
    """
    return [_row(experiment, run, data / run.part, exp / run.part / run.name, nets) for run in runs]


def _row(experiment: Experiment, run: Run, data: Path, out: Path, nets: Path) -> Row:
    conf = nets / f"{run.form.net or experiment.net}.toml"
    if not conf.is_file():
        raise UsageError(f"{experiment.name}: there is no {conf}, which {run.form.name} is to have")
    command = [
        "train", str(conf), "--data", str(data / "train"),
        "--valid", str(data / "valid"), "--out", str(out), "--seed", str(run.seed),
    ]  # fmt: skip
    speech = experiment.data in SPEECH
    if speech:
        command += ["--lang", str(data.parent / "lang"), "--den", str(data / "den.npz")]
    settings = run.settings(experiment.settings)
    for setting in settings:
        command += ["--set", setting]
    return {
        "form": run.form.name, "part": run.part, "passes": run.passes, "rate": run.rate,
        "variant": run.variant, "seed": run.seed, "settings": settings, "own": run.own,
        "net": conf.stem,
        "net_sum": hashlib.sha256(conf.read_bytes()).hexdigest()[:12],
        "control": run.form.control, "out": str(out), "data": str(data), "speech": speech,
        "rows": list(experiment.rows), "command": command,
        "predicted": round(predicted(run, experiment.seconds), 1),
    }  # fmt: skip


def summary(plan: list[Row], at_a_time: int, known: Sequence[Row] = ()) -> str:
    """How many trainings there are, how many are left, and the hours."""
    left = [row for row in plan if finished(row) is None]
    seconds = pace(known or plan) * sum(row["predicted"] for row in left)
    done = f", {len(plan) - len(left)} of them done" if len(left) < len(plan) else ""
    each = seconds / max(1, len(left))
    return (
        f"{len(plan)} trainings{done}; {len(left)} to do, about {each:.0f} s each: "
        f"{clock(seconds / at_a_time)} with {at_a_time} at a time"
    )


def hours(experiment: Experiment, exp: Path, at_a_time: int, nets: Path = CONF / "nets") -> str:
    """Both parts' trainings, before anything is chosen: a form's first settings stand for it."""
    tune = tuning_runs(experiment)
    first = {(run.form.name, run.passes): run for run in tune}
    reported = list(first.values()) * len(experiment.seeds)
    factor = pace(rows(experiment, tune, exp, exp, nets))
    seconds = factor * sum(predicted(run, experiment.seconds) for run in (*tune, *reported))
    seconds += experiment.seconds.get("test", 0.0) * len(reported)
    return (
        f"{experiment.name}: {len(tune)} tuning runs and {len(reported)} reported ones, about "
        f"{clock(seconds / at_a_time)} from nothing with {at_a_time} at a time"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_options(parser, "?")
    parser.add_argument("--part", choices=PARTS, help="which runs")
    parser.add_argument("--data", type=Path, help="with tune/ and report/ in it")
    parser.add_argument("--exp", type=Path, help="where the runs go")
    parser.add_argument("--out", type=Path, help="the list to write")
    parser.add_argument("--chosen", type=Path, help="what choose.py wrote, for the reported runs")
    parser.add_argument("--at-a-time", type=int, default=1, help="jobs that will run (1)")
    parser.add_argument("--hours", action="store_true", help="only say how long all will take")
    parser.add_argument("--kind", action="store_true", help="only say what data it wants")
    parser.add_argument(
        "--test-seconds", action="store_true", help="only say how long a test takes"
    )
    parser.add_argument("--count", type=Path, help="only say how many runs there are in this list")
    given = parser.parse_args()
    try:
        print(_answer(given))
    except UserError as error:
        print(f"plan.py: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _answer(given: argparse.Namespace) -> str:
    if given.count:
        return str(len(read_plan(given.count)))
    experiment = asked(given)
    nets = given.conf / "nets"
    if given.kind:
        return experiment.data
    if given.test_seconds:
        return f"{experiment.seconds.get('test', 0):g}"
    if given.hours:
        return hours(experiment, given.exp, given.at_a_time, nets)
    runs = tuning_runs(experiment)
    if given.part == "report":
        if not (given.chosen and given.chosen.is_file()):
            raise UserError(f"{given.chosen} is missing: begin with --stage 2")
        runs = reported_runs(experiment, json.loads(given.chosen.read_text("utf-8")))
    plan = rows(experiment, runs, given.data, given.exp, nets)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(given.out) as stream:
        json.dump(plan, stream, indent=1)
    return summary(plan, given.at_a_time, with_tuning(plan, given.out))


if __name__ == "__main__":
    sys.exit(main())
