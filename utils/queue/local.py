"""The local back end: jobs as processes of this machine, some at a time.

As many run as there are processors (by `num_threads`), or GPUs for jobs that want some. Memory is
not limited. Jobs that run side by side get one thread each unless `num_threads` says more; a single
job keeps the environment's setting.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Sequence

from chainstitch.utils.kept_signals import Signals
from chainstitch.utils.queue.gpus import Lease, take, visible_gpus
from chainstitch.utils.queue.grammar import Ended, Jobs, Resources
from chainstitch.utils.queue.process import LogReader, Process, environment
from chainstitch.utils.queue.requeue import Requeues
from chainstitch.utils.stop_signals import PUT_BACK

log = logging.getLogger(__name__)

FOLLOW_SECONDS = 0.1
IDLE_SECONDS = 60.0
GPU_SECONDS = 2.0  # between looks whether a GPU is free again


class _Running:
    """A started job, and what it holds."""

    def __init__(self, number: int, process: Process, lease: Lease | None) -> None:
        self.number, self.process, self.lease = number, process, lease


def run(
    jobs: Jobs, resources: Resources, follow: Callable[[str], None] | None = None
) -> dict[int, Ended]:
    """Runs all jobs, also after one has failed; by number, how they ended.

    With `gpu` > 0 each job sees GPUs that are its own; where the machine has too few, jobs run one
    at a time with what there is.

    Args:
        follow: called with a single job's output as it comes.

    Raises:
        OSError: a log cannot be written.
        KeyboardInterrupt: a signal came; the jobs were told to end, and have ended.
    """
    gpus = visible_gpus() if resources.gpu else []
    at_a_time = slots(len(jobs.numbers), resources, gpus)
    share = min(resources.gpu, len(gpus))  # of each job
    threads = resources.num_threads or (1 if min(at_a_time, len(jobs.numbers)) > 1 else None)
    waiting = deque(jobs.numbers)
    ended: dict[int, Ended] = {}
    running: list[_Running] = []
    requeues = Requeues(jobs, resources.max_requeues)
    reader = LogReader(jobs.job(jobs.first)) if follow else None
    told = False

    def start() -> bool:
        lease = take(gpus, share) if share else None
        if share and lease is None:
            return False
        number = waiting.popleft()
        process = Process(
            jobs.job(number),
            environment(threads, lease.names if lease else ()),
            threads=threads or 1,
            max_time=resources.max_time,
            append=requeues.count(number) > 0,
            keep_open=lease.files if lease else (),
        )
        running.append(_Running(number, process, lease))
        return True

    with Signals() as signals:
        try:
            while waiting or running:
                seconds = min([FOLLOW_SECONDS if follow else IDLE_SECONDS, *_limits(running)])
                while waiting and len(running) < at_a_time:
                    if not start():
                        seconds = min(seconds, GPU_SECONDS)
                        if not running and not told:
                            log.info("waiting for a GPU: other jobs have taken them")
                            told = True
                        break
                    seconds = min(seconds, *_limits(running))
                signals.wait(seconds)
                signals.raise_interrupt()
                for item in list(running):
                    end = item.process.poll()
                    if end is None:
                        continue
                    _drop(running, item)
                    if end.code == PUT_BACK and requeues.again(item.number, str(end)):
                        waiting.append(item.number)
                    else:
                        ended[item.number] = end
                if reader and follow and (text := reader.new()):
                    follow(text)
            signals.raise_interrupt()
        finally:
            for item in running:
                item.process.stop()
            while running:
                for item in list(running):
                    if item.process.poll() is not None:
                        _drop(running, item)
                if running:
                    signals.wait(min(_limits(running)))
    return ended


def slots(num_jobs: int, resources: Resources, gpus: Sequence[str]) -> int:
    """How many jobs run at a time."""
    if resources.gpu:
        most = max(1, len(gpus) // resources.gpu)
        return min(most, resources.max_jobs_run or most)
    if resources.max_jobs_run:
        return resources.max_jobs_run
    most = max(1, len(os.sched_getaffinity(0)) // (resources.num_threads or 1))
    # run.pl's rule: three jobs on two processors had better not leave the third for later
    return num_jobs if num_jobs < 1.4 * most else most


def _limits(running: Sequence[_Running]) -> list[float]:
    return [item.process.seconds_left() for item in running]


def _drop(running: list[_Running], item: _Running) -> None:
    running.remove(item)
    if item.lease:
        item.lease.end()
