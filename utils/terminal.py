"""What a process finds where it is started, put right before anything else looks at it.

a closed stdin, stdout or stderr    /dev/null takes its place. Otherwise the next file that is
                                    opened would get its number, and what is meant for a
                                    terminal would end up in that file
stdout in another encoding          UTF-8, as all files here are
no PATH                             the system's default, as libraries take one for granted
a directory that is gone            a UsageError, as libraries cannot be loaded from it
NUMBA_NUM_THREADS=0                 a UsageError; Numba would end with a traceback
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any

from chainstitch.utils.errors import UsageError

OUTPUT = "standard output"
THREADS = "NUMBA_NUM_THREADS"


def open_closed_streams() -> None:
    """Opens what is closed of stdin, stdout and stderr."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    if type(sys.stdout) is io.TextIOWrapper:  # not where tests catch what is written
        sys.stdout.flush()
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Output(1, "w", closefd=False)), encoding="utf-8",
            errors="backslashreplace", line_buffering=os.isatty(1),
        )  # fmt: skip


class _Output(io.FileIO):
    """Stdout, which is named in its errors as other files are in theirs."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, OUTPUT) from None


def check_surroundings() -> None:
    """The rest of it.

    Raises:
        UsageError: something that nothing can be done about here.
    """
    os.environ.setdefault("PATH", os.defpath)
    try:
        os.getcwd()
    except OSError:
        raise UsageError("the current directory is gone; change to one that exists") from None
    threads = os.environ.get(THREADS)
    if threads == "":
        del os.environ[THREADS]
    elif threads is not None and not (threads.isdecimal() and int(threads[:9]) > 0):
        raise UsageError(
            f"the variable {THREADS} is {threads!r}; set it to a number of threads, 1 or more, or "
            "unset it"
        )


def discard_output() -> None:
    """What is still to be written to stdout, now or when Python ends, goes nowhere."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def say(text: str) -> None:
    """Writes a line to stderr; where that is full, nobody can be told."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
