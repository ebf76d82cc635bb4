"""Being told to stop in good time: SIGTERM, and SIGUSR1 as Slurm sends it before a time limit.

Long work looks at `received` where it can stop, saves what it has, and raises `Stopped`. A second
signal does what it would have done without us.
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


class Stopped(UserError):
    """The work was told to stop, and what was done is saved: run it again to go on."""

    exit_code = 144


class StopSignals:
    """Attributes: received, the name of the signal that came, or ""."""

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
        stop.received = signal.Signals(number).name
        for each, handler in before.items():
            signal.signal(each, handler)

    for each in SIGNALS:
        before[each] = signal.signal(each, note)
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
