"""Being told to stop in good time: SIGTERM, and SIGUSR1 as Slurm sends it before a time limit.

Long work looks at `received` where it can stop, saves what it has, and raises `Stopped`. Further
signals change nothing: a scheduler may send its own to every process of a job, another to the job's
first process, which hands it on, and both again when the time of grace is over. Ctrl-C (SIGINT) and
SIGKILL end the work at once.

Other work ends at once by SIGTERM, too, and by SIGHUP, but as an exception ends it: what it has
begun is removed and its processes are ended on the way out (`orderly_end`).
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from chainstitch.utils.errors import UserError

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
PUT_BACK = 144  # the exit code of a job that saved its state and wants to be started again


ENDING = (signal.SIGTERM, signal.SIGHUP)
AGAIN_SECONDS = 0.01
SAME_SECONDS = 5.0  # within which several signals are one: to the group, and handed on


class Ended(BaseException):
    """A signal ends the work at once; no UserError, as nobody may take it for a failure."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"ended by {number.name}")
        self.exit_code = 128 + number


@contextmanager
def orderly_end() -> Iterator[None]:
    """Has the signals of ENDING raise `Ended` in the block; those that are ignored stay so.

    Python drops an exception that is raised while it runs a `__del__` or the callback of a weak
    reference. Then it is raised again a moment later.

    In a thread other than the main one it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    first, last = signal.SIGTERM, -SAME_SECONDS
    complain = sys.unraisablehook

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal first, last
        if number != signal.SIGALRM:
            if time.monotonic() - last < SAME_SECONDS:
                return  # it would end the cleaning up
            first, last = signal.Signals(number), time.monotonic()
        raise Ended(first)

    def dropped(what: Any) -> None:
        if issubclass(what.exc_type, Ended):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        else:
            complain(what)

    numbers = [each for each in ENDING if signal.getsignal(each) == signal.SIG_DFL]
    before = {each: signal.signal(each, end) for each in [*numbers, signal.SIGALRM]}
    sys.unraisablehook = dropped
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = complain
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def end_at_once() -> Iterator[None]:
    """Has the signals of ENDING end the process even where it waits in C++ and no exception comes.

    For a block before which nothing was begun.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [each for each in ENDING if signal.getsignal(each) != signal.SIG_IGN]
    before = {each: signal.signal(each, signal.SIG_DFL) for each in numbers}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


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
