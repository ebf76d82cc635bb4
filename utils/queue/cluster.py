"""Jobs through a scheduler: submit them as arrays, watch, put back, cancel.

What became of a job is in the file that its worker writes (record.py). The scheduler is asked now
and then which tasks it still knows, and only a task that it does not know any more, or calls over,
and that has written no such file for as long as a shared disk may take to show it, is lost: its
machine died, or it was cancelled, or killed at once. A job whose machine died, or had to make room
for another job, is put back; the others fail.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from chainstitch.utils.kept_signals import Signals
from chainstitch.utils.queue import record
from chainstitch.utils.queue.grammar import Ended
from chainstitch.utils.queue.process import GRACE_SECONDS, LogReader, noted_end
from chainstitch.utils.queue.record import Record
from chainstitch.utils.queue.requeue import Requeues
from chainstitch.utils.queue.scheduler import NoAnswer, Scheduler, State, Task
from chainstitch.utils.queue.site import Site
from chainstitch.utils.queue.submit import submit, write_script
from chainstitch.utils.stop_signals import PUT_BACK

log = logging.getLogger(__name__)

SIGNALLED = (128 + 9, 128 + 15)
LOOK_SECONDS = 0.2  # between looks for exit files at first, and
LOOK_SECONDS_AT_MOST = 2.0  # after a while
CANCEL_SECONDS = 3 * GRACE_SECONDS  # the worker's time of grace, and the scheduler's


class Cluster:
    """One batch on a scheduler."""

    def __init__(
        self, batch: Record, scheduler: Scheduler, site: Site, flags: list[str], signals: Signals
    ) -> None:
        self.batch, self.scheduler, self.site, self.flags = batch, scheduler, site, flags
        self.signals = signals
        self.waiting = deque(batch.jobs.numbers)
        self.ended: dict[int, Ended] = {}
        self.open: dict[Task, int] = {}  # handed over and not ended -> the job's number
        self.arrays: list[tuple[str, list[int]]] = []  # by attempt: id, the job of each task
        self.requeues = Requeues(batch.jobs, batch.resources.max_requeues)
        self.gone: dict[Task, float] = {}  # since when the scheduler has no more of it
        self.stuck: set[str] = set()  # ids with tasks that are lost to us and not to the scheduler
        self.silent_since: float | None = None

    def submit(self) -> None:
        """Hands over what waits, as far as `max_jobs_run` allows more arrays side by side."""
        most = self.batch.resources.max_jobs_run
        while self.waiting and not (most and self.open):
            count = min(len(self.waiting), self.scheduler.most_tasks)
            again = self.requeues.count(self.waiting[0]) > 0
            numbers: list[int] = []
            while len(numbers) < count and (self.requeues.count(self.waiting[0]) > 0) == again:
                numbers.append(self.waiting.popleft())
                if not self.waiting:
                    break
            attempt = len(self.arrays)
            record.note_submission(self.batch.directory, attempt, numbers, again)
            script = write_script(self.batch, attempt, self.scheduler, self.site.patience)
            array = submit(
                self.batch,
                script,
                len(numbers),
                self.scheduler,
                self.flags,
                self.site.submit_patience,
                self.signals,
            )
            self.arrays.append((array, numbers))
            self.open |= {(array, n): number for n, number in enumerate(numbers, 1)}
            record.note_id(self.batch.directory, attempt, array)

    def collect(self) -> bool:
        """Takes the exits that have come; whether there were any."""
        came = False
        for attempt, task, end in record.take_exits(self.batch.directory):
            array, _ = self.arrays[attempt]
            number = self.open.pop((array, task), None)
            self.gone.pop((array, task), None)
            came = True
            if number is not None:
                back = end.code == PUT_BACK or self._taken_away((array, task), end)
                self._note(number, end, back)
        return came

    def look_for_lost(self) -> None:
        """Asks the scheduler, and gives up the tasks that it has nothing more of."""
        try:
            states = self.scheduler.states(sorted({array for array, _ in self.open}))
        except NoAnswer as error:
            if self.silent_since is None:
                log.warning("%s does not answer (%s); still waiting", self.scheduler.name, error)
            self.silent_since = self.silent_since or time.monotonic()
            return
        if self.silent_since is not None:
            log.info("%s answers again", self.scheduler.name)
            self.silent_since = None
        now = time.monotonic()
        for task in self.open:
            state = states.get(task)
            if state is not None and not state.over:
                self.gone.pop(task, None)
            else:
                self.gone.setdefault(task, now)
        never_began = {t for t in self.gone if t in states and not states[t].started}
        lost = [t for t, at in self.gone.items() if now - at >= self.site.patience]
        if not lost and not never_began:
            return
        self.collect()  # a last look
        for task in {*lost, *never_began} & self.open.keys():
            self._lose(task, states.get(task))

    def _lose(self, task: Task, state: State | None) -> None:
        number = self.open.pop(task)
        del self.gone[task]
        if state is not None:
            self.stuck.add(task[0])
        name = self.scheduler.name
        note = f"{name} says {state.word}" if state else f"{name} does not know the job any more"
        if said := self._said(task):
            note += f" ({said})"
        self._note(number, Ended(None, note), state is not None and state.machine_died)

    def cancel(self) -> None:
        """Cancels what is left and waits, not for ever, until it has ended."""
        left = {array for array, _ in self.open} | self.stuck
        if not left:
            return
        self.scheduler.cancel(sorted(left))
        deadline = time.monotonic() + CANCEL_SECONDS
        while self.open and time.monotonic() < deadline:
            self.collect()
            try:
                states = self.scheduler.states(sorted({array for array, _ in self.open}))
            except NoAnswer:
                states = {}
            for task in list(self.open):
                if task not in states or states[task].over:
                    del self.open[task]
            self.signals.wait(LOOK_SECONDS)
            self.signals.take()
        self.collect()

    def _taken_away(self, task: Task, end: Ended) -> bool:
        """Whether a job that a signal ended did so because its machine was taken away from it."""
        if end.code not in SIGNALLED or end.note:
            return False
        deadline = time.monotonic() + self.site.patience
        while time.monotonic() < deadline:
            try:
                state = self.scheduler.states([task[0]]).get(task)
            except NoAnswer:
                return False
            if state is None or state.over:
                return state is not None and state.machine_died
            self.signals.wait(LOOK_SECONDS)
        return False

    def _note(self, number: int, end: Ended, may_go_back: bool) -> None:
        if may_go_back and self.requeues.again(number, str(end)):
            self.waiting.append(number)
        else:
            self.ended[number] = end

    def _said(self, task: Task) -> str:
        """The last line that a worker which wrote no exit said."""
        attempt = next(n for n, (array, _) in enumerate(self.arrays) if array == task[0])
        path = self.batch.directory / f"task.{attempt}.{task[1]}"
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def run(
    batch: Record,
    scheduler: Scheduler,
    site: Site,
    flags: list[str],
    follow: Callable[[str], None] | None = None,
) -> dict[int, Ended]:
    """Runs all jobs of the batch; by number, how they ended. As `local.run`, with the same errors.

    Args:
        flags: for the scheduler's submit command.

    Raises:
        UserError: the scheduler does not take the jobs, or is not installed.
    """
    reader = LogReader(batch.jobs.job(batch.jobs.first)) if follow else None
    with Signals(children=False) as signals:  # our children are sbatch and squeue
        cluster = Cluster(batch, scheduler, site, flags, signals)
        asked = time.monotonic()
        pause = LOOK_SECONDS
        try:
            while cluster.waiting or cluster.open:
                cluster.submit()
                signals.wait(pause)
                signals.raise_interrupt()
                pause = (
                    LOOK_SECONDS if cluster.collect() else min(1.1 * pause, LOOK_SECONDS_AT_MOST)
                )
                if cluster.open and time.monotonic() - asked >= site.poll:
                    cluster.look_for_lost()
                    asked = time.monotonic()
                if reader and follow and (text := reader.new()):
                    follow(text)
        finally:
            cluster.cancel()
        _wait_for_logs(batch, cluster.ended, site.patience, signals)
        if reader and follow and (text := reader.new()):
            follow(text)
    return cluster.ended


def _wait_for_logs(
    batch: Record, ended: dict[int, Ended], patience: float, signals: Signals
) -> None:
    """Until the logs of the jobs that ended can be seen to their last lines."""
    deadline = time.monotonic() + patience
    for number, end in ended.items():
        while end.code is not None and noted_end(batch.log(number)) is None:
            if time.monotonic() > deadline:
                log.warning("%s: its end is not visible here yet", batch.log(number))
                return
            signals.wait(LOOK_SECONDS)
            signals.raise_interrupt()
