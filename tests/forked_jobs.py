"""The jobs of an iteration as forks of the process that trains, which has all modules already."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from chainstitch.bin import main
from chainstitch.nnet.train import averaged_jobs
from chainstitch.utils.children import die_with_us


def use_forks() -> None:
    """From now on `train` starts its jobs so, in this process and its forks."""
    averaged_jobs.subprocess = SimpleNamespace(  # type: ignore[assignment]
        Popen=ForkedJobs, TimeoutExpired=subprocess.TimeoutExpired
    )


class ForkedJobs:
    """In the place of the `Popen` that starts an iteration's jobs: the same jobs, as forks."""

    def __init__(self, started: list[str], **_: Any) -> None:
        jobs = next(int(a.removeprefix("JOB=1:")) for a in started if a.startswith("JOB="))
        job = started[started.index("train-job") :]
        lines = [[str(n) if a == "JOB" else a for a in job] for n in range(1, jobs + 1)]
        self.processes = [fork(lambda line=line: command(line)) for line in lines]  # type: ignore[misc]

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while self.processes:
            number, status = os.waitpid(self.processes[0], os.WNOHANG)
            if number:
                self.processes.pop(0)
                if code := os.waitstatus_to_exitcode(status):
                    return code
            elif time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("jobs", timeout)
            else:
                time.sleep(0.002)
        return 0

    def terminate(self) -> None:
        for process in self.processes:
            os.kill(process, signal.SIGTERM)

    kill = terminate


def command(line: Sequence[str]) -> int:
    """The exit code of a command in this process."""
    try:
        main.app(list(line))
    except SystemExit as stop:
        return int(stop.code or 0)


def fork(work: Callable[[], int]) -> int:
    """The number of a process that does the work and dies with this one."""
    parent = os.getpid()
    process = os.fork()
    if not process:
        code = 70
        try:
            die_with_us(parent)
            code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return process
