"""Making the next things while the present one is in use: reading features beside training.

    for minibatch, parts in read_ahead(prepare, minibatches):
        ...

is `for minibatch in minibatches: parts = prepare(minibatch)`, with `prepare` called in a thread,
some minibatches early. Reading waits for the disk, and NumPy and HDF5 let other threads run while
they copy, so a thread is enough, and nothing has to be sent between processes.

What is prepared must depend on nothing that the loop's body changes, and `prepare` must draw from
no global generator (torch's say): then all values are those of the plain loop. The thread has the
caller's CUDA device, and computes gradients where the caller does.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

DEPTH = 2  # the next one, and one more in case that the next one takes long
MAX_WAIT = 0.05  # of a loop's time may go by in waiting for the disk
NAME = "read-ahead"  # how the threads are called


def read_ahead(
    prepare: Callable[[T], R], items: Iterable[T], depth: int = DEPTH, workers: int = 1
) -> Generator[tuple[T, R], None, None]:
    """Yields (item, prepare(item)) in order, with up to `depth` more being prepared by then.

    An exception of `prepare` or of `items` is raised where a plain loop would have come to it. The
    threads have ended when the iterator has: at its end, at an exception, when it is closed, or
    when nobody holds it any more. `items` is iterated in the caller's thread.

    Args:
        prepare: with more than one worker it is called from several threads at a time.
        depth: 0 is the plain loop, without a thread.
        workers: threads.

    Raises:
        ValueError: a negative depth or no workers.
    """
    if depth < 0 or workers < 1:
        raise ValueError(f"read_ahead: depth = {depth}, workers = {workers}; wanted 0, 1 or more")
    if not depth:
        return ((item, prepare(item)) for item in items)
    return _ahead(prepare, items, depth, workers)


def _ahead(
    prepare: Callable[[T], R], items: Iterable[T], depth: int, workers: int
) -> Generator[tuple[T, R], None, None]:
    gradients = torch.is_grad_enabled()  # a setting of each thread, as the device is
    device = torch.cuda.current_device() if torch.cuda.is_initialized() else None
    ours: set[int] = set()

    def begin() -> None:
        ours.add(threading.get_ident())
        if device is not None:
            torch.cuda.set_device(device)

    def work(item: T) -> R:
        with torch.set_grad_enabled(gradients):
            return prepare(item)

    pool = ThreadPoolExecutor(workers, NAME, begin)
    try:
        waiting: deque[tuple[T, Future[R]]] = deque()
        source = iter(items)
        failed: BaseException | None = None  # of `items`, whose turn comes after those before it
        more = True
        while True:
            while more and len(waiting) <= depth:
                try:
                    item = next(source)
                except StopIteration:
                    more = False
                except Exception as error:
                    more, failed = False, error
                else:
                    waiting.append((item, pool.submit(work, item)))
            if not waiting:
                break
            item, future = waiting.popleft()
            result = future.result()
            del future  # which would keep the result
            yield item, result
            del item, result
        if failed is not None:
            raise failed
    finally:
        # garbage collection may end this in a thread of the pool, which cannot wait for itself
        pool.shutdown(wait=threading.get_ident() not in ours, cancel_futures=True)


class Reader(Generic[T, R]):
    """`read_ahead` where it gains something, and the plain loop elsewhere; the values are the same.

    A thread beside the loop gains nothing where all cores compute already: it takes a core from
    torch's threads, which wait for each other, and a training of `egs/mini` on two cores took a
    fifth longer. So it is used where the loop computes on a GPU or leaves a core idle, and where a
    loop before has waited for the disk: `prepare` took time without computing.

    Args:
        prepare: as of `read_ahead`.
        device: that the loop computes on.
    """

    def __init__(self, prepare: Callable[[T], R], device: str = "cpu") -> None:
        self._prepare = prepare
        # of torchrun's processes on this machine each has its part of the cores
        cores = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        self._idle = device != "cpu" or torch.get_num_threads() < cores
        self._waits = False

    @property
    def ahead(self) -> bool:
        """Whether the next loop reads ahead."""
        return self._idle or self._waits

    def __call__(self, items: Iterable[T]) -> Generator[tuple[T, R], None, None]:
        """Yields (item, prepare(item)) in order; errors as of `read_ahead`."""
        if self.ahead:
            yield from read_ahead(self._prepare, items)
            return
        began, waited = time.perf_counter(), 0.0
        for item in items:
            wall, computed = time.perf_counter(), time.thread_time()
            result = self._prepare(item)
            waited += (time.perf_counter() - wall) - (time.thread_time() - computed)
            yield item, result
        self._waits = waited > MAX_WAIT * (time.perf_counter() - began)
