"""One job as a process: what it gets, what its log says, when it is stopped.

Every back end runs a job through this, on whatever machine, so that logs and exit codes are the
same. The log has the lines of Kaldi's run.pl: the command and the time above the output, accounting
and exit code below. A job that is put back in the queue adds another such part to its log.

A job has no standard input and no shell, and a process group of its own: Ctrl-C at the terminal
comes to it as SIGTERM through whoever watches it, once, so that a training can save its state.
Where the watcher is killed, so is the job (on Linux); else it would work on, beside the next one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from chainstitch.utils.children import die_with_us
from chainstitch.utils.queue.grammar import Ended, Job

GRACE_SECONDS = 30.0  # between SIGTERM and SIGKILL; a training job saves its state
FRAME = re.compile(
    rb"# Started at .*|#|# Accounting: time=\d+ threads=\d+|# Time limit of \d+ seconds reached"
    rb"|# Ended \(code \d+\) at .*, elapsed time \d+ seconds"
)
FOOTER = re.compile(rb"# Ended \(code (\d+)\) at ")


def header_line(job: Job) -> str:
    """The first line of a job's log."""
    return "# " + shlex.join(job.command).replace("\n", "\\n")


def environment(threads: int | None, gpus: Sequence[str] = ()) -> dict[str, str]:
    """This process's, with the number of threads and the visible GPUs set where they are given."""
    variables = dict(os.environ)
    if threads:
        variables["OMP_NUM_THREADS"] = variables["NUMBA_NUM_THREADS"] = str(threads)
    if gpus:
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    return variables


class Process:
    """A job that was started."""

    def __init__(
        self,
        job: Job,
        variables: Mapping[str, str],
        *,
        threads: int = 1,
        max_time: float | None = None,
        append: bool = False,
        keep_open: Sequence[int] = (),
    ) -> None:
        """Starts the job. A command that cannot start has ended with 127 (not there) or 126.

        Args:
            threads: for the accounting line.
            append: go on in the log that is there.
            keep_open: file descriptors that the job inherits.

        Raises:
            OSError: the log cannot be written.
        """
        path = Path(job.log)
        self._path = job.log
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | (0 if append else os.O_TRUNC)
        self._log = os.open(path, flags, 0o666)
        self._threads, self._max_time = threads, max_time
        self._started = time.time()
        self._kill_at: float | None = None
        self._over_time = False
        self._process: subprocess.Popen[bytes] | None = None
        self._code = 0
        try:
            self._write(f"{header_line(job)}\n# Started at {time.ctime(self._started)}\n#\n")
            self._process = subprocess.Popen(
                job.command,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                env=variables,
                process_group=0,
                pass_fds=keep_open,
                preexec_fn=die_with_us,
            )
        except OSError as error:
            if error.filename != job.command[0]:  # not the command's fault but the log's
                os.close(self._log)
                raise
            self._code = 127 if isinstance(error, FileNotFoundError) else 126
            self._write(f"{job.command[0]}: {error.strerror}\n")
        except ValueError as error:  # an argument that no command line can hold
            self._code = 126
            self._write(f"{error}\n")

    def poll(self) -> Ended | None:
        """How it ended, its log then closed; None while it runs. Stops it when its time is up."""
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                self._watch_the_clock()
                return None
            self._code = 128 - code if code < 0 else code
            if self._kill_at is not None:  # it was told to go: what it started goes with it
                self.send(signal.SIGKILL)
        note = f"over its time limit of {self._max_time:g} s" if self._over_time else ""
        elapsed = round(time.time() - self._started)
        try:
            self._write(
                f"# Accounting: time={elapsed} threads={self._threads}\n"
                f"# Ended (code {self._code}) at {time.ctime()}, elapsed time {elapsed} seconds\n"
            )
        except OSError as error:  # what the job said is lost, too
            self._code = self._code or 1
            note = note or f"its log could not be written: {error.strerror}"
        finally:
            os.close(self._log)
        return Ended(self._code, note)

    def stop(self) -> None:
        """Asks the job to end, once; `poll` insists when its time of grace is over."""
        if self._kill_at is None:
            self._kill_at = time.time() + GRACE_SECONDS
            if self._process is not None:
                self._process.terminate()

    def send(self, number: int) -> None:
        """Sends a signal to the job's process group."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def seconds_left(self) -> float:
        """How long until `poll` must be called at the latest; infinite without a limit."""
        if self._kill_at is not None:
            return max(0.0, self._kill_at - time.time())
        if self._max_time is None:
            return float("inf")
        return max(0.0, self._started + self._max_time - time.time())

    def _watch_the_clock(self) -> None:
        if self.seconds_left() > 0.0:
            return
        if self._kill_at is not None:
            self.send(signal.SIGKILL)
            return
        self._over_time = True
        with contextlib.suppress(OSError):  # on a full disk the time is up as well
            self._write(f"# Time limit of {self._max_time:.0f} seconds reached\n")
        self.stop()

    def _write(self, text: str) -> None:
        size = os.fstat(self._log).st_size
        if (
            size and os.pread(self._log, 1, size - 1) != b"\n"
        ):  # our lines begin at a line's beginning
            text = "\n" + text
        data = text.encode("utf-8", errors="surrogateescape")
        try:
            while data:  # the first part may fit on a disk that is nearly full
                data = data[os.write(self._log, data) :]
        except OSError as error:
            error.filename = self._path
            raise


class LogReader:
    """Reads what a job writes to its log, as it comes, without our own lines."""

    def __init__(self, job: Job) -> None:
        self._path = job.log
        self._header = header_line(job).encode("utf-8", errors="surrogateescape")
        self._read = 0

    def new(self) -> str:
        """The lines of output since the last call; nothing while there is no log."""
        try:
            if not os.path.isfile(self._path):  # a device may have no end
                return ""
            with open(self._path, "rb") as log:
                log.seek(self._read)
                data = log.read()
        except FileNotFoundError:
            return ""
        data = data[: data.rfind(b"\n") + 1]
        self._read += len(data)
        lines = (line for line in data.splitlines(keepends=True) if not self._is_ours(line))
        return b"".join(lines).decode("utf-8", errors="replace")

    def _is_ours(self, line: bytes) -> bool:
        text = line.rstrip(b"\n")
        return text == self._header or FRAME.fullmatch(text) is not None


def noted_end(log: str | Path) -> int | None:
    """The exit code in a log's last line; None while there is none, or no log but a device."""
    try:
        if not os.path.isfile(log):
            return None
        with open(log, "rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - 300))
            lines = stream.read().splitlines()
    except OSError:
        return None
    found = FOOTER.match(lines[-1]) if lines else None
    return int(found[1]) if found else None
