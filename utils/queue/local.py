"""The local back end: jobs as processes of this machine, some at a time, each with its own log.

A job is executed as it stands, without a shell. Its log opens with the command and the time and
closes with the exit code, in the lines that Kaldi's run.pl writes.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

from chainstitch.utils.queue.grammar import Job, Resources

POLL_SECONDS = 0.05
GRACE_SECONDS = 30.0  # a training job saves its state when it is told to stop


def run(
    jobs: Sequence[Job], resources: Resources, follow: Callable[[str], None] | None = None
) -> list[int]:
    """Runs all jobs, also after one has failed, and returns their exit codes in order.

    Memory is not limited. Jobs that run side by side get one thread each unless `num_threads` says
    more; a single job keeps the environment's setting. With `gpu` > 0 each job sees its own GPUs,
    and where the machine has too few, jobs run one at a time with what there is.

    Args:
        follow: called with each piece of the jobs' output as it comes.

    Raises:
        OSError: a log cannot be written.
    """
    gpus = visible_gpus() if resources.gpu else []
    slots = _slots(len(jobs), resources, gpus)
    threads = resources.num_threads or (1 if min(slots, len(jobs)) > 1 else None)
    free = list(range(slots))
    waiting = list(enumerate(jobs))
    codes = [0] * len(jobs)
    running: list[tuple[int, int, _Running]] = []  # (job, slot, process)
    with _signals_kept() as raise_interrupt:
        try:
            while waiting or running:
                while waiting and free:
                    index, job = waiting.pop(0)
                    slot = free.pop(0)
                    own = gpus[slot * resources.gpu : (slot + 1) * resources.gpu]
                    running.append((index, slot, _Running(job, _environment(threads, own))))
                time.sleep(POLL_SECONDS)
                raise_interrupt()
                for item in list(running):
                    index, slot, process = item
                    code = process.poll()
                    if follow:
                        process.copy_output(follow)
                    if code is not None:
                        codes[index] = process.finish(code, threads or 1)
                        running.remove(item)
                        free.append(slot)
            raise_interrupt()
        finally:
            _stop([process for _, _, process in running], threads or 1)
    return codes


def visible_gpus() -> list[str]:
    """The GPUs that a job may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip()]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = listed.stdout.splitlines() if listed.returncode == 0 else []
    return [str(n) for n, _ in enumerate(line for line in lines if line.startswith("GPU "))]


def _slots(num_jobs: int, resources: Resources, gpus: Sequence[str]) -> int:
    if resources.gpu:
        most = max(1, len(gpus) // resources.gpu)
        return min(most, resources.max_jobs_run or most)
    if resources.max_jobs_run:
        return resources.max_jobs_run
    most = max(1, len(os.sched_getaffinity(0)) // (resources.num_threads or 1))
    # run.pl's rule: three jobs on two processors had better not leave the third for later
    return num_jobs if num_jobs < 1.4 * most else most


def _environment(threads: int | None, gpus: Sequence[str]) -> dict[str, str]:
    environment = dict(os.environ)
    if threads:
        environment["OMP_NUM_THREADS"] = environment["NUMBA_NUM_THREADS"] = str(threads)
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    return environment


class _Running:
    """A started job: its process, its open log, and how much of the log has been copied."""

    def __init__(self, job: Job, environment: dict[str, str]) -> None:
        path = Path(job.log)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.started = time.time()
        self.log: IO[bytes] = open(path, "wb")  # noqa: SIM115 (closed by finish)
        self.path = path
        self.process: subprocess.Popen[bytes] | None = None
        try:
            shown = shlex.join(job.command).replace("\n", "\\n")
            self._write(f"# {shown}\n# Started at {time.ctime(self.started)}\n#\n")
            self.copied = self.log.tell()
            self.process = subprocess.Popen(
                job.command,
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        except OSError as error:
            if error.filename != job.command[0]:  # not the command's fault but the log's
                self.log.close()
                raise
            self.code = 127 if isinstance(error, FileNotFoundError) else 126
            self._write(f"{job.command[0]}: {error.strerror}\n")

    def poll(self) -> int | None:
        """The exit code, 128 + n after signal n, or None while it runs."""
        if self.process is None:
            return self.code
        code = self.process.poll()
        return 128 - code if code is not None and code < 0 else code

    def copy_output(self, follow: Callable[[str], None]) -> None:
        with open(self.path, "rb") as log:
            log.seek(self.copied)
            new = log.read()
        self.copied += len(new)
        if new:
            follow(new.decode("utf-8", errors="replace"))

    def finish(self, code: int, threads: int) -> int:
        elapsed = round(time.time() - self.started)
        self.log.seek(0, os.SEEK_END)
        self._write(
            f"# Accounting: time={elapsed} threads={threads}\n"
            f"# Ended (code {code}) at {time.ctime()}, elapsed time {elapsed} seconds\n"
        )
        self.log.close()
        return code

    def _write(self, text: str) -> None:
        self.log.write(text.encode("utf-8", errors="surrogateescape"))
        self.log.flush()


def _stop(running: Sequence[_Running], threads: int) -> None:
    """Ends what is left after an interrupt: asks, waits, insists."""
    for job in running:
        if job.process is not None:
            job.process.terminate()
    deadline = time.time() + GRACE_SECONDS
    for job in running:
        if job.process is not None:
            try:
                job.process.wait(max(0.0, deadline - time.time()))
            except subprocess.TimeoutExpired:
                job.process.kill()
                job.process.wait()
        job.finish(job.poll() or 0, threads)


@contextmanager
def _signals_kept() -> Iterator[Callable[[], None]]:
    """Keeps SIGINT and SIGTERM back until the function that it gives is called, which then raises
    KeyboardInterrupt: in between a job may have been started and not yet be known to `_stop`."""
    came: list[int] = []

    def keep(number: int, frame: FrameType | None) -> None:
        came.append(number)

    def raise_interrupt() -> None:
        if came:
            raise KeyboardInterrupt

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as a shell's background jobs have it
        numbers.append(signal.SIGINT)
    try:
        previous = {number: signal.signal(number, keep) for number in numbers}
    except ValueError:  # not the main thread: signals are somebody else's business
        yield raise_interrupt
        return
    try:
        yield raise_interrupt
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
