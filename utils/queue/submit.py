"""Handing an array over to a scheduler: the script that it starts, and a queue that is full."""

from __future__ import annotations

import logging
import re
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from chainstitch.utils.errors import UserError
from chainstitch.utils.kept_signals import Signals
from chainstitch.utils.queue.record import Record
from chainstitch.utils.queue.scheduler import Refused, Scheduler

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0  # after a refusal, doubled each time up to
RETRY_SECONDS_AT_MOST = 120.0


def write_script(batch: Record, attempt: int, scheduler: Scheduler, patience: float) -> Path:
    """What the scheduler starts: it waits for the batch to show, and becomes the worker.

    Nothing of the user's command is in it; what is there, is quoted.

    Args:
        patience: seconds that a shared disk may take to show a file of another machine.
    """
    path = batch.directory / f"job.{attempt}.sh"
    task = f'"${{{scheduler.task_variable}}}"'
    here, seconds = shlex.quote(str(batch.directory)), f"{patience:.0f}"
    path.write_text(
        f"""#!/bin/sh
n=0
until [ -d {here} ]; do
  n=$((n + 1))
  [ $n -le {seconds} ] || exit 1
  sleep 1
done
exec >{here}/task.{attempt}.{task} 2>&1
exec {shlex.quote(sys.executable)} -P -m chainstitch.utils.queue.worker \\
  {here} {attempt} {task} {seconds}
""",
        encoding="utf-8",
        errors="surrogateescape",
    )
    return path


def submit(
    batch: Record,
    script: Path,
    tasks: int,
    scheduler: Scheduler,
    flags: Sequence[str],
    patience: float,
    signals: Signals,
) -> str:
    """Submits until the scheduler takes it; its id of the array.

    Args:
        patience: seconds that a full queue is asked again.

    Raises:
        UserError: the scheduler does not take such jobs, or no jobs for that long.
        KeyboardInterrupt: a signal came.
    """
    name = "cs_" + re.sub(r"\W", "_", Path(batch.jobs.log).name.removesuffix(".log"))
    deadline = time.monotonic() + patience
    delay = RETRY_SECONDS
    while True:
        try:
            return scheduler.submit(script, name, tasks, batch.resources.max_jobs_run, flags)
        except Refused as error:
            left = deadline - time.monotonic()
            if left <= 0.0:
                raise UserError(
                    f"{scheduler.name} has not taken the jobs for {patience:.0f} s: {error}"
                ) from None
            delay = min(delay, left)
            log.warning(
                "%s does not take the jobs now (%s); trying again in %.0f s",
                scheduler.name,
                error,
                delay,
            )
        signals.wait(delay)
        signals.raise_interrupt()
        delay = min(2 * delay, RETRY_SECONDS_AT_MOST)
