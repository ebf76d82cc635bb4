"""A process that reads mutated files, with little memory and little time.

What kills it (a segmentation fault of compiled code, the alarm, the memory) is seen from outside.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from chainstitch.utils.errors import UserError
from tests.commands import context

SECONDS = 5  # for one file
MEMORY = 1 << 30  # bytes, more than it has at the beginning
LIFE = 500  # files that a process reads before another takes its place

Read = Callable[[Path], Any]


class Slow(BaseException):
    """The alarm; not an Exception, so that no reader takes it for a damaged file."""


class Worker:
    """Reads files one after the other by `read`, in a process that is made when it is needed."""

    def __init__(self, read: Read, allowed: tuple[type[Exception], ...]) -> None:
        self.read, self.allowed = read, allowed
        self.process: Any = None
        self.count = 0

    def failure(self, path: Path) -> str:
        """What went wrong in another way than it may; empty if nothing did."""
        if self.process is None or self.count >= LIFE:
            self.close()
            self.pipe, theirs = context.Pipe()
            arguments = (self.read, self.allowed, theirs)
            self.process, self.count = context.Process(target=_work, args=arguments), 0
            self.process.start()
            theirs.close()
        self.count += 1
        try:
            self.pipe.send(path)
            if self.pipe.poll(60 if self.count == 1 else 4 * SECONDS):
                return str(self.pipe.recv())
            end = f"has not come back after {4 * SECONDS} s"
        except (EOFError, OSError):
            self.process.join(10)
            end = f"ended with code {self.process.exitcode}"
        self.close()
        return f"the process that read it {end}"

    def close(self) -> None:
        """Ends the process."""
        if self.process is not None:
            self.pipe.close()
            self.process.kill()
            self.process.join()
            self.process = None


def _work(read: Read, allowed: tuple[type[Exception], ...], pipe: Connection) -> None:
    logging.disable(logging.CRITICAL)
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    signal.signal(signal.SIGALRM, _slow)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    while True:
        try:
            path = pipe.recv()
        except EOFError:
            return
        said = ""
        signal.alarm(SECONDS)
        try:
            with contextlib.suppress(UserError, *allowed):
                read(path)
        except Slow:
            said = f"took more than {SECONDS} s:\n" + traceback.format_exc(limit=-8)
        except BaseException:  # all of these are what is looked for
            said = traceback.format_exc(limit=-12)
        finally:
            signal.alarm(0)
        pipe.send(said)


def _slow(*_: object) -> None:
    raise Slow
