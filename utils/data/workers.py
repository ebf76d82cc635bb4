"""A map over processes that keeps the order, reports progress and lets user errors through.

Each process has one torch thread, also with a single process: on short waveforms two threads were
40 times slower than one, and sums may round differently.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from chainstitch.utils.children import in_order, worker_pool
from chainstitch.utils.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")

CHUNK = 16  # tasks that a process is given at a time
WAITING = 4  # chunks per process that are in work or wait for it
PROGRESS_SECONDS = 10.0  # between lines in a log file

log = logging.getLogger(__name__)


def ordered_map(
    function: Callable[[Task], Result], tasks: Sequence[Task], nj: int, what: str
) -> Iterator[Result]:
    """Yields function(task) for each task, in order, computed by `nj` processes.

    Args:
        function: picklable when nj > 1. A UserError that it raises ends the map and is raised here.
        what: the word in progress reports.
    """
    return report_progress(_map(function, tasks, nj, what), len(tasks), what)


def _map(
    function: Callable[[Task], Result], tasks: Sequence[Task], nj: int, what: str
) -> Iterator[Result]:
    if nj <= 1 or not tasks:
        with _one_thread():
            yield from map(function, tasks)
        return
    starts = range(0, len(tasks), CHUNK)
    chunks = (tasks[at : at + CHUNK] for at in starts)
    count = min(nj, len(starts))
    with worker_pool(count, _start_worker, (function,), what) as pool:
        for results in in_order(pool, _work, chunks, WAITING * count):
            for result in results:
                if isinstance(result, UserError):
                    raise result
                yield result


_function: Callable[[Any], Any] | None = None  # of this worker process


def _start_worker(function: Callable[[Any], Any]) -> None:
    global _function
    torch.set_num_threads(1)
    _function = function


def _work(tasks: Sequence[Any]) -> list[Any]:
    if _function is None:
        raise RuntimeError("worker was not started by _start_worker")
    results: list[Any] = []
    for task in tasks:
        try:
            results.append(_function(task))
        except UserError as error:
            # without its cause, which may not pickle; what comes after it is not wanted
            return [*results, UserError(str(error))]
    return results


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def report_progress(items: Iterable[Result], total: int, what: str) -> Iterator[Result]:
    """Passes items on, with a bar on a terminal and a log line every ten seconds elsewhere."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if console.is_terminal:
        with Progress(console=console, transient=True) as bar:
            yield from bar.track(items, total=total, description=what)
        return
    last = time.monotonic()
    for number, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            log.info("%s: %d of %d", what, number, total)
