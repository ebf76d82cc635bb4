"""Kaldi's job grammar, the same for every back end: `[JOB=1:N] LOG COMMAND...`.

`JOB` stands for the job's number wherever the text occurs in LOG and in COMMAND's arguments. Any
name may stand in its place (`LMWT=7:17 log/score.LMWT.log ...`), and `JOB=3` is one job with number
3. Options stand before or after `JOB=1:N`; `bin/run.py` sees to that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from chainstitch.utils.errors import UsageError

RANGE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(\d+)(?::(\d+))?")
MEMORY = re.compile(r"[1-9]\d*(\.\d+)?[KMGT]?")
CLOCK = re.compile(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)")
DURATION = re.compile(r"([1-9]\d*)([smhd])")
MOST_JOBS = 100_000  # of a batch; as each has a log, no disk would like more
MOST_SECONDS = 366 * 24 * 3600
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Job:
    """One command line and the log file that takes its output."""

    log: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Jobs:
    """What `[JOB=first:last] LOG COMMAND...` means: a job for each number."""

    name: str | None  # the text that the number replaces
    first: int
    last: int
    log: str
    command: tuple[str, ...]

    @property
    def numbers(self) -> range:
        """The jobs' numbers."""
        return range(self.first, self.last + 1)

    def job(self, number: int) -> Job:
        """The job of that number."""
        if self.name is None:
            return Job(self.log, self.command)
        name, digits = self.name, str(number)
        command = tuple(argument.replace(name, digits) for argument in self.command)
        return Job(self.log.replace(name, digits), command)


@dataclass(frozen=True)
class Resources:
    """What each job may use; a back end takes from it what its scheduler understands.

    Attributes:
        gpu: number of GPUs per job.
        mem: memory per job, such as "4G", or None.
        num_threads: threads per job, or None for the back end's choice.
        max_jobs_run: most jobs at a time, or None for the back end's choice.
        max_time: seconds that a job may run, or None.
        max_requeues: how often a job that exits with PUT_BACK, or whose machine died, starts again.
    """

    gpu: int = 0
    mem: str | None = None
    num_threads: int | None = None
    max_jobs_run: int | None = None
    max_time: int | None = None
    max_requeues: int = 20


@dataclass(frozen=True)
class Ended:
    """How a job ended: its exit code (None where none was noted) and what else is known."""

    code: int | None
    note: str = ""

    def __str__(self) -> str:
        code = "no exit code" if self.code is None else f"exit code {self.code}"
        return f"{code}: {self.note}" if self.note else code


def is_range(argument: str) -> bool:
    """Whether an argument is `JOB=1:N` or `JOB=k` (with any name for JOB)."""
    return RANGE.fullmatch(argument) is not None


def parse(arguments: Sequence[str]) -> Jobs:
    """The jobs of `[JOB=1:N] LOG COMMAND...`.

    Raises:
        UsageError: a range that is empty, too long or starts below 1, no log or no command, an
            option where the log should be, or several jobs that would write to one log.
    """
    name, first, last, given = None, 1, 1, ""
    if arguments and (found := RANGE.fullmatch(arguments[0])):
        given, *arguments = arguments
        name, first, last = found[1], int(found[2]), int(found[3] or found[2])
    if not arguments:
        raise UsageError("no log file and no command; type [JOB=1:N] LOG COMMAND...")
    log, *command = arguments
    if log.startswith("-"):
        raise UsageError(f"found {log!r} where the log file's name should be")
    if not command:
        raise UsageError(f"nothing to run: no command after the log file {log!r}")
    if first < 1 or last < first:
        raise UsageError(f"bad job range {given!r}: jobs are numbered from 1 up, as in {name}=1:4")
    if last - first >= MOST_JOBS:
        raise UsageError(f"job range {given!r}: wanted at most {MOST_JOBS} jobs in a batch")
    if name is not None and last > first and name not in log:
        raise UsageError(
            f"{last - first + 1} jobs would write to the same log {log!r}; put {name} in its name"
        )
    return Jobs(name, first, last, log, tuple(command))


def check_memory(text: str) -> str:
    """The text, which is a number with K, M, G or T (none: M), as in 4G.

    Raises:
        UsageError: it is not.
    """
    if not MEMORY.fullmatch(text):
        raise UsageError(f"--mem {text!r}: wanted a number with K, M, G or T, e.g. 4G")
    return text


def seconds(text: str) -> int:
    """The seconds of `90s`, `30m`, `4h`, `2d`, `1:30:00` or `2-12:00:00`.

    A number alone is refused: it is minutes in Slurm and seconds in Grid Engine.

    Raises:
        UsageError: another form, or no time at all.
    """
    found = 0
    if match := DURATION.fullmatch(text):
        found = int(match[1]) * UNITS[match[2]]
    elif match := CLOCK.fullmatch(text):
        days, hours, minutes, rest = (int(part or 0) for part in match.groups())
        found = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    if not 0 < found <= MOST_SECONDS:
        raise UsageError(
            f"--max-time {text[:40]!r}: wanted e.g. 90s, 30m, 4h, 2d or 1:30:00, a year at most"
        )
    return found
