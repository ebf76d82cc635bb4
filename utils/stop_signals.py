"""Being told to stop in good time: SIGTERM, and SIGUSR1 as Slurm sends it before a time limit.

Long work looks at `received` where it can stop, saves what it has, and raises `Stopped`. Further
signals change nothing: a scheduler may send its own to every process of a job, another to the job's
first process, which hands it on, and both again when the time of grace is over. Ctrl-C (SIGINT) and
SIGKILL end the work at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from chainstitch.utils.errors import UserError

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
PUT_BACK = 144  # the exit code of a job that saved its state and wants to be started again


class Stopped(UserError):
    """The work was told to stop, and what was done is saved: run it again to go on."""

    exit_code = PUT_BACK


class StopSignals:
    """Attributes: received, the name of the signal that came first, or ""."""

    def __init__(self) -> None:
        self.received = ""


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Notes the signals while the block runs; in a thread other than the main one none are seen."""
    stop = StopSignals()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before: dict[signal.Signals, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        stop.received = stop.received or signal.Signals(number).name

    for each in SIGNALS:
        before[each] = signal.signal(each, note)
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def ignore_signals() -> None:
    """For a process that has been stopped and is about to end with its own exit code."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
