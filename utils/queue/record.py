"""What is known of a batch of jobs, as files, so that machines that share only a disk can tell.

A batch whose logs are in `exp/a/log` (or in `exp/a`) has a directory `exp/a/q/<log>-<time>-<pid>/`
(one whose log is a device, /dev/null say, has it in `q` where it was started):

    batch.json        what was asked for; the worker on another machine reads its command there
    submitted.N.json  the N-th array handed to a scheduler: its id, and the job number of each task
    exits/N.T.json    how task T of array N ended, written whole by its worker
    outcome.json      how all jobs ended, written when whoever started them knows

What only a running batch needs is removed when all went well. A later batch with the same logs
replaces the directory of an earlier one that has come to its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chainstitch.utils.files import atomic_file
from chainstitch.utils.queue.grammar import Ended, Jobs, Resources
from chainstitch.utils.unfinished import TEMPORARY

BATCH, OUTCOME, EXITS = "batch.json", "outcome.json", "exits"


@dataclass(frozen=True)
class Record:
    """A batch's directory and what batch.json says.

    Attributes:
        directory: absolute.
        cwd: where the jobs run, and what relative logs are relative to.
        host, pid: of the process that watches the batch.
    """

    directory: Path
    backend: str
    jobs: Jobs
    resources: Resources
    cwd: str
    host: str
    pid: int
    started: float

    def log(self, number: int) -> Path:
        """The log of a job, from anywhere."""
        return Path(self.cwd, self.jobs.job(number).log)

    def watched(self) -> bool:
        """Whether the process that watches the batch is there, as far as can be seen from here."""
        if self.host != socket.gethostname():
            return not self.finished()
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return not self.finished()

    def finished(self) -> bool:
        """Whether the outcome is known."""
        return (self.directory / OUTCOME).is_file()


def begin(jobs: Jobs, resources: Resources, backend: str) -> Record:
    """Makes the directory of a new batch, and removes the logs of an earlier one with these names.

    Raises:
        OSError: from the file system.
    """
    place = queue_directory(Path.cwd() / jobs.log)
    stem = Path(jobs.log).name.removesuffix(".log")
    place.mkdir(parents=True, exist_ok=True)
    now = time.time()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    host, pid = socket.gethostname(), os.getpid()
    directory = place / f"{stem}-{stamp}-{pid}"
    record = Record(directory, backend, jobs, resources, os.getcwd(), host, pid, now)
    for other in batches(place):
        if record.log(jobs.first) == other.log(other.jobs.first) and not other.watched():
            shutil.rmtree(other.directory, ignore_errors=True)
    for number in jobs.numbers:
        if record.log(number).is_file():  # and no device or directory
            record.log(number).unlink(missing_ok=True)
    record.log(jobs.first).parent.mkdir(parents=True, exist_ok=True)
    (directory / EXITS).mkdir(parents=True)
    content = asdict(record)
    del content["directory"]
    _write(directory / BATCH, content)
    return record


def queue_directory(log: Path) -> Path:
    """Where batches with such a log are recorded: `q` beside the log, or beside its `log/`."""
    if log.exists() and not log.is_file() and not log.is_dir():
        return Path.cwd() / "q"
    place = log.parent
    return (place.parent if place.name in ("log", "LOG") else place) / "q"


def read(directory: Path) -> Record:
    """The record in a batch's directory.

    Raises:
        FileNotFoundError: it is not there, or not visible yet.
        ValueError, KeyError, TypeError: it is damaged.
    """
    content = json.loads((directory / BATCH).read_text(encoding="utf-8"))
    jobs = content["jobs"] | {"command": tuple(content["jobs"]["command"])}
    content |= {"jobs": Jobs(**jobs), "resources": Resources(**content["resources"])}
    return Record(directory=directory, **content)


def batches(place: Path) -> Iterator[Record]:
    """The readable batches in a `q` directory, oldest first."""
    found = []
    for file in place.glob(f"*/{BATCH}"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found.append(read(file.parent))
    yield from sorted(found, key=lambda record: record.started)


def note_submission(directory: Path, attempt: int, numbers: Sequence[int], append: bool) -> None:
    """Writes what the workers of an array have to know before it is handed over."""
    content = {"numbers": list(numbers), "append": append, "id": None}
    _write(directory / f"submitted.{attempt}.json", content)


def note_id(directory: Path, attempt: int, scheduler_id: str) -> None:
    """Adds the id that the scheduler gave the array."""
    content = submission(directory, attempt) | {"id": scheduler_id}
    _write(directory / f"submitted.{attempt}.json", content)


def submission(directory: Path, attempt: int) -> dict[str, Any]:
    """{"numbers": the job of each task, "append": whether logs go on, "id": or None}."""
    text = (directory / f"submitted.{attempt}.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def submissions(directory: Path) -> list[dict[str, Any]]:
    """All arrays of a batch that is not finished, in order."""
    found: list[dict[str, Any]] = []
    while (directory / f"submitted.{len(found)}.json").is_file():
        found.append(submission(directory, len(found)))
    return found


def write_exit(directory: Path, attempt: int, task: int, ended: Ended) -> None:
    """What a worker says last."""
    _write(directory / EXITS / f"{attempt}.{task}.json", asdict(ended))


def take_exits(directory: Path) -> Iterator[tuple[int, int, Ended]]:
    """(attempt, task, end) of the exits that have come; each is given once."""
    # a listing, not a look for each file: a shared disk may remember that a file was not there
    for name in sorted(os.listdir(directory / EXITS)):
        if name.startswith(TEMPORARY):
            continue
        file = directory / EXITS / name
        attempt, task, _ = name.split(".")
        ended = Ended(**json.loads(file.read_text(encoding="utf-8")))
        file.unlink()
        yield int(attempt), int(task), ended


def finish(record: Record, ended: Mapping[int, Ended]) -> None:
    """Writes the outcome; when all went well, removes what only a running batch needs."""
    failed = {str(number): asdict(end) for number, end in ended.items() if end.code != 0}
    unknown = [number for number in record.jobs.numbers if number not in ended]
    content = {"failed": failed, "unknown": unknown, "ended": time.time()}
    _write(record.directory / OUTCOME, content)
    if failed or unknown:
        return
    for path in record.directory.iterdir():
        if path.name == EXITS:
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in (BATCH, OUTCOME):
            path.unlink(missing_ok=True)


def outcome(record: Record) -> dict[str, Any] | None:
    """What `finish` wrote: {"failed": {number: end}, "unknown": [number], "ended": time}."""
    try:
        content: dict[str, Any] = json.loads((record.directory / OUTCOME).read_text("utf-8"))
    except FileNotFoundError:
        return None
    return content


def _write(path: Path, content: Any) -> None:
    with atomic_file(path) as stream:
        json.dump(content, stream)
