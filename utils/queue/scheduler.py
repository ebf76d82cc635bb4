"""What the watching process wants of a scheduler: take an array, say what became of it, cancel."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chainstitch.utils.errors import UserError

TIMEOUT_SECONDS = 300.0  # sbatch itself asks a busy controller again for two minutes

Task = tuple[str, int]  # the scheduler's id of an array, and the place in it, from 1


class Refused(Exception):
    """The scheduler does not take an array now, and may take it later; says why."""


class NoAnswer(Exception):
    """The scheduler could not be asked; says why."""


@dataclass(frozen=True)
class State:
    """What a scheduler says of a task.

    Attributes:
        word: its own word for it.
        over: it will not run, or not any more.
        started: it has been on a machine.
        machine_died: it ended because its machine did, or was taken away from it.
    """

    word: str
    over: bool
    started: bool = True
    machine_died: bool = False


class Scheduler(Protocol):
    """Slurm or GridEngine."""

    name: str
    task_variable: str  # of the environment, which has the task's number in a job
    most_tasks: int  # in an array

    def submit(
        self, script: Path, name: str, tasks: int, at_a_time: int | None, flags: Sequence[str]
    ) -> str:
        """Hands over an array of tasks 1 to `tasks`; its id. Raises Refused, or UserError."""
        ...

    def states(self, ids: Sequence[str]) -> Mapping[Task, State]:
        """Of the tasks that the scheduler still knows. Raises NoAnswer."""
        ...

    def cancel(self, ids: Sequence[str]) -> None:
        """Cancels these arrays; those that are over are left as they are."""
        ...


def ask(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs a scheduler's command to its end.

    It has a session of its own: Ctrl-C must not end it between taking an array and telling its id.

    Raises:
        NoAnswer: it did not come to an end.
        UserError: it is not installed.
    """
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise UserError(
            f"{command[0]} is not on PATH; run this on a machine that can submit jobs, or take "
            "--backend local"
        ) from None
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"{command[0]} has not answered for {TIMEOUT_SECONDS:.0f} s") from None


def words(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that failed said, on one line."""
    return " ".join((done.stderr + done.stdout).split()) or f"exit code {done.returncode}"
