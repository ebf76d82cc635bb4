"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    """Returns once it has happened; an AssertionError if it does not within that time."""
    deadline = time.time() + seconds
    while not happened():
        assert time.time() < deadline
        time.sleep(0.05)
