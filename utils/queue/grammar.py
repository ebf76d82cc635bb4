"""The part of Kaldi's job grammar that every back end shares: `[JOB=1:N] LOG COMMAND...`.

`JOB` stands for the job's number wherever the text occurs in LOG and in COMMAND's arguments. Any
name may stand in its place (`LMWT=7:17 log/score.LMWT.log ...`), and `JOB=3` is one job with number
3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from chainstitch.utils.errors import UsageError

RANGE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(\d+)(?::(\d+))?")


@dataclass(frozen=True)
class Job:
    """One command line and the log file that takes its output."""

    log: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Resources:
    """What each job may use; a back end takes from it what its scheduler understands.

    Attributes:
        gpu: number of GPUs per job.
        mem: memory per job, such as "4G", or None.
        num_threads: threads per job, or None for the back end's choice.
        max_jobs_run: most jobs at a time, or None for the back end's choice.
    """

    gpu: int = 0
    mem: str | None = None
    num_threads: int | None = None
    max_jobs_run: int | None = None


def is_range(argument: str) -> bool:
    """Whether an argument is `JOB=1:N` or `JOB=k` (with any name for JOB)."""
    return RANGE.fullmatch(argument) is not None


def expand(job_range: str | None, arguments: Sequence[str]) -> list[Job]:
    """The jobs that `LOG COMMAND...` means, one for each number in the range.

    Raises:
        UsageError: a range that is empty or starts below 1, no log or no command, an option where
            the log should be, or several jobs that would write to one log.
    """
    if not arguments:
        raise UsageError("no log file and no command; type [JOB=1:N] LOG COMMAND...")
    log, *command = arguments
    if log.startswith("-"):
        raise UsageError(f"found {log!r} where the log file's name should be")
    if not command:
        raise UsageError(f"nothing to run: no command after the log file {log!r}")
    if job_range is None:
        return [Job(log, tuple(command))]
    found = RANGE.fullmatch(job_range)
    if found is None:
        raise UsageError(f"{job_range!r} is not of the form JOB=1:N or JOB=k")
    name, first, last = found[1], int(found[2]), int(found[3] or found[2])
    if first < 1 or last < first:
        raise UsageError(
            f"bad job range {job_range!r}: jobs are numbered from 1 up, as in {name}=1:4"
        )
    if last > first and name not in log:
        raise UsageError(
            f"{last - first + 1} jobs would write to the same log {log!r}; put {name} in its name"
        )
    return [
        Job(
            log.replace(name, str(n)), tuple(argument.replace(name, str(n)) for argument in command)
        )
        for n in range(first, last + 1)
    ]
