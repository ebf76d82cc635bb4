"""Processes that end with the one that started them, however that ends, on Linux.

What watches them may be killed (-9) or run out of memory, and they would work on, hold their locks
and write beside those that are started next.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from chainstitch.utils.errors import UserError
from chainstitch.utils.kept_signals import Signals

Task = TypeVar("Task")
Result = TypeVar("Result")

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_us(parent: int | None = None, number: signal.Signals = signal.SIGKILL) -> None:
    """In a new child process: has it sent a signal when its parent ends.

    Args:
        parent: the parent's number; when it is gone already, this process ends at once.
        number: of the signal.
    """
    if LIBC is None:
        return
    LIBC.prctl(PR_SET_PDEATHSIG, int(number))
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), number)


@contextmanager
def worker_pool(
    count: int, start: Callable[..., None], arguments: tuple[Any, ...], what: str
) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with the block, whichever way that ends, and with this process.

    Args:
        start: called in each with `arguments` before its first task.
        what: the processes make, for messages.

    Raises:
        UserError: one of them was killed.
    """
    # Not fork: torch and HDF5 may hold locks in this process.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, context, _start, (os.getpid(), start, arguments))
    try:
        with Signals(children=False) as kept:  # a process that is just being started is in no list
            for _ in range(count):  # each starts one, as none is idle yet
                pool.submit(os.getpid)
        for number in kept.take():
            signal.raise_signal(number)
        yield pool
    except BrokenProcessPool:
        raise UserError(
            f"one of {count} processes for {what} was killed; if memory ran out, take fewer (--nj)"
        ) from None
    finally:
        # shutdown would wait for what they are at
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(cancel_futures=True)


def _start(parent: int, start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    die_with_us(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it as well, and ends this one
    start(*arguments)


def in_order(
    pool: ProcessPoolExecutor,
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    waiting: int,
) -> Iterator[Result]:
    """function(task) for each task, in order; `waiting` tasks are taken before they are needed."""
    futures: deque[Future[Result]] = deque()
    for task in tasks:
        futures.append(pool.submit(function, task))
        if len(futures) >= waiting:
            yield futures.popleft().result()
    while futures:
        yield futures.popleft().result()
