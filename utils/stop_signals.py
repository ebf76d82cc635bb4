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
from collections.abc import Iterable, Iterator
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
def _handled(numbers: Iterable[signal.Signals], handler: Any) -> Iterator[bool]:
    """Has the signals go to a handler in the block; yields whether they do.

    In a thread other than the main one, which may set no handlers, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield False
        return
    before = {each: signal.signal(each, handler) for each in numbers}
    try:
        yield True
    finally:
        for each, handler_before in before.items():
            signal.signal(each, handler_before)


@contextmanager
def orderly_end() -> Iterator[None]:
    """Has the signals of ENDING raise `Ended` in the block; those that are ignored stay so.

    Python drops an exception that is raised while it runs a `__del__` or the callback of a weak
    reference. Then it is raised again a moment later.
    """
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
    with _handled([*numbers, signal.SIGALRM], end) as handled:
        if not handled:
            yield
            return
        sys.unraisablehook = dropped
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            sys.unraisablehook = complain


@contextmanager
def end_at_once() -> Iterator[None]:
    """Has the signals of ENDING end the process even where it waits in C++ and no exception comes.

    For a block before which nothing was begun.
    """
    numbers = [each for each in ENDING if signal.getsignal(each) != signal.SIG_IGN]
    with _handled(numbers, signal.SIG_DFL):
        yield


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

    def note(number: int, frame: FrameType | None) -> None:
        stop.received = stop.received or signal.Signals(number).name

    with _handled(SIGNALS, note):
        yield stop


def ignore_signals() -> None:
    """For a process that has been stopped and is about to end with its own exit code."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
