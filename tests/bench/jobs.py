#!/usr/bin/env python3
"""What `chainstitch run` costs a short job on this machine, against xargs; whether memory grows.

In each of `--rounds` rounds `--jobs` jobs (`true`) go through the local back end and through
`xargs -P`, as many at a time, one after the other, so that whatever else the machine does falls on
both. Reported are the wall time of each, their difference a job with everything in it (the start
of Python, the logs, the record), and the largest memory of the runner with a tenth of the jobs and
with all. xargs writes no logs.

Example: nice python tests/bench/jobs.py --jobs 1000 --at-a-time 2
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from chainstitch.utils.log import environment

RUN = [sys.executable, "-m", "chainstitch.bin.main", "run"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--at-a-time", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ours: list[float] = []
    theirs: list[float] = []
    few, many = 0.0, 0.0
    with tempfile.TemporaryDirectory() as place:
        numbers = os.path.join(place, "numbers")
        with open(numbers, "w", encoding="utf-8") as stream:
            stream.writelines(f"{n}\n" for n in range(options.jobs))
        for _ in range(options.rounds):
            _, memory = timed(command(options.jobs // 10, options.at_a_time), place)
            few = max(few, memory)
            seconds, memory = timed(command(options.jobs, options.at_a_time), place)
            many = max(many, memory)
            ours.append(seconds)
            xargs = ["xargs", "-a", numbers, "-n", "1", "-P", str(options.at_a_time), "true"]
            theirs.append(timed(xargs, place)[0])
    more = [1e3 * (a - b) / options.jobs for a, b in zip(ours, theirs, strict=True)]
    found = environment()
    print(f"{found['cpu']}, {found['cores']} cores, python {found['python']}, {found['commit']}")
    print(
        f"{options.jobs} jobs, {options.at_a_time} at a time, {options.rounds} rounds: min, median"
    )
    for name, values, unit in (
        ("chainstitch run", ours, "s"),
        ("xargs", theirs, "s"),
        ("difference", more, "ms a job"),
    ):
        print(f"  {name:16} {min(values):8.2f} {statistics.median(values):8.2f} {unit}")
    print(f"  memory: {few:.1f} MB with {options.jobs // 10} jobs, {many:.1f} MB with all")


def command(jobs: int, at_a_time: int) -> list[str]:
    """`true` through the local back end."""
    return [*RUN, "--max-jobs-run", str(at_a_time), f"JOB=1:{jobs}", "log/JOB.log", "true"]


def timed(arguments: Sequence[str], place: str) -> tuple[float, float]:
    """Wall seconds, and the largest memory of that process itself in MB."""
    begin = time.perf_counter()
    process = subprocess.Popen(arguments, cwd=place)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    if status:
        raise SystemExit(f"{arguments[0]} failed")
    return seconds, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
