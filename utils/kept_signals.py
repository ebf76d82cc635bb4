"""Waiting for whatever comes first: a child's end, a signal or the time.

Signals are kept until they are asked for. Between two such moments a job may have been started that
is not in any list yet, and an exception there would leave it running.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Any

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
BLIND_SECONDS = 0.05  # how often to look where another part of the program takes the signals


class Signals:
    """Keeps signals back while the `with` block runs, and wakes `wait` when one comes."""

    def __init__(self, numbers: Iterable[int] = STOPPING, children: bool = True) -> None:
        """Keeps nothing yet.

        Args:
            numbers: those to keep; one that is ignored, as nohup has it, stays ignored.
            children: whether a child's end wakes `wait`.
        """
        self._kept: list[int] = []
        self._numbers = [n for n in numbers if signal.getsignal(n) != signal.SIG_IGN]
        self._waking = [*self._numbers, *([signal.SIGCHLD] if children else [])]
        self._previous: dict[int, Any] = {}
        self._pipe: tuple[int, int] | None = None
        self._wakeup = -1

    def __enter__(self) -> Signals:
        try:
            for number in self._waking:
                self._previous[number] = signal.signal(number, self._keep)
        except ValueError:  # not the main thread, the only one that may set handlers
            return self
        self._pipe = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)
        self._wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._pipe is not None:
            signal.set_wakeup_fd(self._wakeup)
            for end in self._pipe:
                os.close(end)
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _keep(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._kept.append(number)

    def wait(self, seconds: float) -> None:
        """Returns after that time, or when a signal came (or a child ended)."""
        if self._pipe is None:
            time.sleep(min(seconds, BLIND_SECONDS))
        elif select.select([self._pipe[0]], [], [], seconds)[0]:
            os.read(self._pipe[0], 4096)

    def take(self) -> list[int]:
        """The signals that came since the last call."""
        taken, self._kept = self._kept, []
        return taken

    def raise_interrupt(self) -> None:
        """Raises KeyboardInterrupt when a signal has come."""
        if self.take():
            raise KeyboardInterrupt
