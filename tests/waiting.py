"""Waiting for what another process does."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any


def wait_for(
    happened: Callable[[], bool],
    seconds: float = 60.0,
    process: subprocess.Popen[Any] | None = None,
) -> None:
    """Returns once it has happened.

    Raises:
        AssertionError: it did not within that time, or the process that was to do it has ended,
            and what that printed.
    """
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.01)
