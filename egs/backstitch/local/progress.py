#!/usr/bin/env python3
"""Says how many runs of a plan are done, now and then, until it is ended, or its parent is.

Example: progress.py exp/speech/tune.json --at-a-time 2 &
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiment import clock
from finished import RESULT, finished, pace, read_plan, with_tuning

Row = dict[str, Any]

LOOK, SAY = 2.0, 30.0  # seconds between looks, and between lines


def line(
    plan: list[Row], done: int, at_a_time: int, verb: str, each: float, known: Sequence[Row] = ()
) -> str:
    """As in: 37 of 240 trained, about 12 minutes left.

    Args:
        each: seconds a run, where the plan does not say.
        known: rows that tell the pace; default: the plan's.
    """
    left = [row for row in plan if finished(row) is None]
    pace_ = pace(known or plan)
    seconds = each * (len(plan) - done) or pace_ * sum(row["predicted"] for row in left)
    time_left = f", about {clock(seconds / at_a_time)} left" if seconds else ""
    return f"{done} of {len(plan)} {verb}{time_left}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("plan", type=Path, help="what plan.py wrote")
    parser.add_argument("--at-a-time", type=int, default=1, help="runs at a time (1)")
    parser.add_argument("--file", default=RESULT, help=f"what is there when it is done ({RESULT})")
    parser.add_argument("--verb", default="trained", help="what has been done then (trained)")
    parser.add_argument("--each", type=float, default=0.0, help="seconds a run; 0: as planned")
    parser.add_argument("--once", action="store_true", help="say it now, and that is all")
    options = parser.parse_args()
    plan, parent = read_plan(options.plan), os.getppid()
    known = with_tuning(plan, options.plan)
    said, when = -1, 0.0
    while os.getppid() == parent:
        done = sum((Path(row["out"]) / options.file).is_file() for row in plan)
        if options.once or (said != done < len(plan) and time.monotonic() - when > SAY):
            text = line(plan, done, options.at_a_time, options.verb, options.each, known)
            print(time.strftime("%H:%M:%S"), text, flush=True)
            said, when = done, time.monotonic()
        if options.once:
            break
        time.sleep(LOOK)
    return 0


if __name__ == "__main__":
    sys.exit(main())
