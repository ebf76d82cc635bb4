"""`chainstitch run --status`: what the batches below a directory are doing.

A finished batch says so in its record. Of another one, a job's log tells: no log, it waits; a log
without a last line, it runs; else it has ended. Where the watching process is gone and the
scheduler does not know the batch, what has not ended is lost.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from chainstitch.utils.queue import record
from chainstitch.utils.queue.backends import SCHEDULERS
from chainstitch.utils.queue.process import noted_end
from chainstitch.utils.queue.record import Record
from chainstitch.utils.queue.scheduler import NoAnswer

COLUMNS = ("log", "on", "started", "jobs", "waiting", "running", "done", "failed", "lost")


def find(place: Path) -> list[Record]:
    """All batches recorded below a directory, oldest first."""
    found: list[Record] = []
    for directory, below, _ in os.walk(place):
        if Path(directory).name == "q":
            found += record.batches(Path(directory))
            below.clear()
        else:
            below[:] = [name for name in below if not name.startswith(".")]
    return sorted(found, key=lambda batch: batch.started)


def states(batch: Record) -> dict[str, list[int]]:
    """The numbers of the jobs by state: waiting, running, done, failed, lost."""
    found: dict[str, list[int]] = defaultdict(list)
    outcome = record.outcome(batch) or {"failed": {}, "unknown": [*batch.jobs.numbers]}
    unknown = set(outcome["unknown"])  # with an outcome: of a batch that was interrupted
    alive = not batch.finished() and _alive(batch)
    for number in batch.jobs.numbers:
        failed = outcome["failed"].get(str(number))
        if number not in unknown:
            lost = failed and failed["code"] is None
            found["lost" if lost else "failed" if failed else "done"].append(number)
            continue
        code = noted_end(batch.log(number))
        if code is not None:
            found["failed" if code else "done"].append(number)
        elif not alive:
            found["lost"].append(number)
        else:
            found["running" if batch.log(number).exists() else "waiting"].append(number)
    return found


def _alive(batch: Record) -> bool:
    if batch.watched():
        return True
    scheduler = SCHEDULERS.get(batch.backend)
    ids = [array["id"] for array in record.submissions(batch.directory) if array["id"]]
    if scheduler is None or not ids:
        return False
    try:
        return any(not state.over for state in scheduler.states(ids).values())
    except NoAnswer:
        return True


def table(batches: Iterable[Record]) -> Iterator[str]:
    """Lines: a head, a line for each batch, and below it which jobs run, failed or were lost."""
    rows: list[Sequence[str]] = [COLUMNS]
    notes: list[list[str]] = [[]]
    for batch in batches:
        found = states(batch)
        where = batch.backend
        if ids := [array["id"] for array in record.submissions(batch.directory) if array["id"]]:
            where += f" {','.join(ids)}"
        started = time.strftime("%m-%d %H:%M:%S", time.localtime(batch.started))
        log = os.path.relpath(Path(batch.cwd, batch.jobs.log))
        counts = [len(batch.jobs.numbers), *(len(found[name]) for name in COLUMNS[4:])]
        rows.append((log, where, started, *map(str, counts)))
        notes.append(
            [
                f"  {name}: {ranges(found[name])}"
                for name in ("running", "failed", "lost")
                if found[name] and batch.jobs.name is not None
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, below in zip(rows, notes, strict=True):
        left = "  ".join(text.ljust(width) for text, width in zip(row[:3], widths, strict=False))
        right = "  ".join(
            text.rjust(width) for text, width in zip(row[3:], widths[3:], strict=True)
        )
        yield f"{left}  {right}"
        yield from below


def ranges(numbers: Sequence[int]) -> str:
    """`1-3 7` for 1, 2, 3 and 7, given in order."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
