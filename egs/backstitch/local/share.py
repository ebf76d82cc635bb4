"""A job's share of a plan's runs, one after the other, each in a process of its own.

Of 1,000 images a training takes five seconds, and as long again until PyTorch is there; so the job
imports everything once, before anything has been computed, and forks for each run, which finds the
world as it would in a new process. A run that fails does not keep the others from being done. Told
to end, the job hands that on to its run, waits until that has saved its state, and begins no other.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from finished import RESULT, finished, read_plan

from chainstitch.utils.children import die_with_us
from chainstitch.utils.errors import UserError
from chainstitch.utils.stop_signals import SIGNALS

Row = dict[str, Any]
Work = Callable[[Row, argparse.Namespace], None]

# What every run wants. The commands import late, and so does torch (its compiler, when the first
# optimiser is made).
WANTED = ("torch", "torch._dynamo", "chainstitch.bin.main", "chainstitch.nnet.tasks.run")


class Share:
    """The runs, and the signal that came, if one did."""

    def __init__(self, work: Work, options: argparse.Namespace) -> None:
        self._work = work
        self._options = options
        self._child = 0
        self._received = 0

    def do(self, rows: list[Row]) -> int:
        """An exit code: of the first run that failed, 0 of none."""
        before = {each: signal.signal(each, self._hand_on) for each in SIGNALS}
        try:
            codes = [self._one(row) for row in rows if not self._received]
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
        if self._received and not any(codes):
            return 128 + self._received
        return next((code for code in codes if code), 0)

    def _hand_on(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        if self._child:
            os.kill(self._child, number)

    def _one(self, row: Row) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        # between the fork and the note of its number a signal would find no run to be handed to
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        parent = os.getpid()
        self._child = os.fork()
        if not self._child:
            self._run(row, parent)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def _run(self, row: Row, parent: int) -> None:
        """In the new process, which ends here."""
        code = 70
        try:
            die_with_us(parent)
            for each in SIGNALS:
                signal.signal(each, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            self._work(row, self._options)
            code = 0
        except UserError as error:
            print(f"{row['out']}: error: {error}", file=sys.stderr)
            code = error.exit_code
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def main(doc: str | None, work: Work, done: str = RESULT) -> int:
    """The program of a job.

    Args:
        doc: its first line says in --help what it does.
        work: does one run; its errors are those of the run.
        done: what a run that is done has in its directory.
    """
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    parser.add_argument("plan", type=Path, help="what plan.py wrote")
    parser.add_argument("job", type=int, help="number of the job, from 1")
    parser.add_argument("--jobs", type=int, default=1, help="jobs that share the runs (1)")
    parser.add_argument("--device", default="cpu", help="for chainstitch (cpu)")
    parser.add_argument("--overwrite", action="store_true", help="do again what is done")
    options = parser.parse_args()
    try:
        mine = read_plan(options.plan)[options.job - 1 :: options.jobs]
        rows = [row for row in mine if options.overwrite or finished(row, done) is None]
    except UserError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{len(mine) - len(rows)} of {len(mine)} runs are done")
    for name in WANTED if rows else ():
        importlib.import_module(name)
    return Share(work, options).do(rows)
