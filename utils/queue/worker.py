"""What a scheduler starts on some machine: one job of a batch, run as the local back end runs it.

    python -P -m chainstitch.utils.queue.worker DIRECTORY ATTEMPT TASK PATIENCE

The command comes from the batch's directory (record.py), never through a shell. At the end the
exit code goes into a file there, which is what the watching process believes; the scheduler's own
word is asked for only where no such file comes.

A shared disk may show a new directory late, so that the first look may come too early: the worker
waits for what it needs, up to `patience`, before it gives up.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from chainstitch.utils import log
from chainstitch.utils.kept_signals import Signals
from chainstitch.utils.queue import record
from chainstitch.utils.queue.process import Process, environment

T = TypeVar("T")

LOOK_SECONDS = 0.5
IDLE_SECONDS = 60.0
# Grid Engine sends SIGUSR2 before it kills (qsub -notify)
FORWARDED = {
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGINT: signal.SIGTERM,
    signal.SIGUSR1: signal.SIGUSR1,
    signal.SIGUSR2: signal.SIGTERM,
}


def main(arguments: list[str]) -> int:
    """Runs one task; its exit code."""
    log.setup()
    directory, attempt, task = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    patience = float(arguments[3])
    with Signals(FORWARDED) as signals:
        deadline = time.monotonic() + patience
        batch = _when_visible(lambda: record.read(directory), deadline, signals)
        array = _when_visible(lambda: record.submission(directory, attempt), deadline, signals)
        number = array["numbers"][task - 1]
        _when_visible(lambda: os.chdir(batch.cwd), deadline, signals)
        place = batch.log(number).parent
        if not batch.jobs.name or batch.jobs.name not in str(Path(batch.jobs.log).parent):
            # the watching process has made it; made here, it could end up below a mount point
            _when_visible(lambda: os.stat(place), deadline, signals)
        threads = batch.resources.num_threads or 1
        process = Process(
            batch.jobs.job(number),
            environment(threads),
            threads=threads,
            max_time=batch.resources.max_time,
            append=array["append"],
        )
        while (ended := process.poll()) is None:
            signals.wait(min(IDLE_SECONDS, process.seconds_left()))
            for number_of_signal in signals.take():
                if FORWARDED[signal.Signals(number_of_signal)] == signal.SIGTERM:
                    process.stop()
                else:
                    process.send(number_of_signal)
        record.write_exit(directory, attempt, task, ended)
    said = directory / f"task.{attempt}.{task}"  # by the script that started us
    if said.is_file() and said.stat().st_size == 0:
        said.unlink(missing_ok=True)
    return ended.code or 0


def _when_visible(look: Callable[[], T], deadline: float, signals: Signals) -> T:
    waited = False
    while True:
        try:
            return look()
        except FileNotFoundError as error:
            if time.monotonic() > deadline:
                raise
            if not waited:
                logging.getLogger(__name__).warning("%s is not visible yet", error.filename)
            waited = True
        signals.wait(LOOK_SECONDS)
        if signals.take():
            sys.exit(143)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
