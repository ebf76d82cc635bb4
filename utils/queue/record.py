"""What is known of a batch of jobs, as files, so that machines that share only a disk can tell.

A batch whose logs are in `exp/a/log` (or in `exp/a`) has a directory `exp/a/q/<log>-<time>-<pid>/`
(one whose log is a device, /dev/null say, has it in `q` where it was started):

    batch.json        what was asked for; the worker on another machine reads its command there
    submitted.N.json  the N-th array handed to a scheduler: its id, and the job number of each task
    exits/N.T.json    how task T of array N ended, written whole by its worker
    outcome.json      how all jobs ended, written when whoever started them knows

What only a running batch needs is removed when all went well. A later batch with the same logs
replaces the directory of an earlier one that has come to its end; while that one is watched, it is
refused. Who watches a batch holds a lock (flock) on its batch.json, which ends with the process.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import json
import logging
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.lock import locked
from chainstitch.utils.queue.grammar import MOST_JOBS, Ended, Jobs, Resources
from chainstitch.utils.unfinished import TEMPORARY

BATCH, OUTCOME, EXITS = "batch.json", "outcome.json", "exits"
PATIENCE = 5.0  # seconds for a batch that is being stopped, as one whose driver was killed
LOOK_SECONDS = 0.1
LOOKED_AT = 1 << 16  # bytes of a file that may be a log

log = logging.getLogger(__name__)


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
        """Whether the process that watches the batch is there."""
        if self.finished():
            return False
        try:
            descriptor = os.open(self.directory / BATCH, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a disk without locks: as far as can be seen from here
            return self.host != socket.gethostname() or Path("/proc", str(self.pid)).exists()
        finally:
            os.close(descriptor)
        return False

    def finished(self) -> bool:
        """Whether the outcome is known."""
        return (self.directory / OUTCOME).is_file()


_watching: dict[Path, int] = {}  # batches that this process watches, and what holds the lock


def begin(jobs: Jobs, resources: Resources, backend: str) -> Record:
    """Makes the directory of a new batch, and removes the logs of an earlier one with these names.

    Raises:
        OSError: from the file system; the earlier logs are then as they were.
        UserError: another batch that is still watched writes to one of these logs.
        UsageError: what has the name of a log is none.
    """
    for number in jobs.numbers:
        _refuse_foreign(Path.cwd() / jobs.job(number).log)
    place = queue_directory(Path.cwd() / jobs.log)
    stem = Path(jobs.log).name.removesuffix(".log")
    place.mkdir(parents=True, exist_ok=True)
    now = time.time()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    host, pid = socket.gethostname(), os.getpid()
    directory = place / f"{stem}-{stamp}-{pid}"
    while directory.exists():  # of this process and second
        directory = directory.with_name(f"{directory.name}+")
    record = Record(directory, backend, jobs, resources, os.getcwd(), host, pid, now)
    try:
        with locked(place, wait=True):  # of two that begin at a time one is first
            ended = _refuse_watched(record, place)
            _clear_unfinished(place, stem)
            record.log(jobs.first).parent.mkdir(parents=True, exist_ok=True)
            (directory / EXITS).mkdir(parents=True)
            content = asdict(record)
            del content["directory"]
            _write(directory / BATCH, content, keep=directory)
    except BaseException:
        _leave(directory)
        shutil.rmtree(directory, ignore_errors=True)
        raise
    for other in ended:
        shutil.rmtree(other.directory, ignore_errors=True)
    for number in jobs.numbers:
        if record.log(number).is_file():  # and no device or directory
            record.log(number).unlink(missing_ok=True)
    return record


def _refuse_foreign(path: Path) -> None:
    """Logs are replaced without being asked; a script whose name stands in a log's place is not.

    Raises:
        UsageError: there is a file that does not begin as logs do, and is not named as one.
        OSError: there is a directory.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.suffix == ".log" or not path.is_file():
        return
    with open(path, "rb") as stream:
        head = stream.read(LOOKED_AT)
    if head and not (head.startswith(b"# ") and b"\n# Started at " in head):
        raise UsageError(
            f"{path} exists and is no log that `chainstitch run` wrote; wanted LOG COMMAND..., "
            "give another name for the log"
        )


def _clear_unfinished(place: Path, stem: str) -> None:
    """Removes what who was killed in `begin` left; for who holds the lock of `place`."""
    for other in place.glob(f"{glob.escape(stem)}-*"):
        name = re.fullmatch(r"\d{8}-\d{6}-\d+", other.name.removeprefix(f"{stem}-"))
        if name and not (other / BATCH).exists():
            shutil.rmtree(other, ignore_errors=True)


def _refuse_watched(record: Record, place: Path) -> list[Record]:
    """The earlier batches that ended and have the same logs.

    Raises:
        UserError: one that is still watched has one of these logs, for longer than PATIENCE.
    """
    logs: set[str] = set()
    deadline = time.monotonic() + PATIENCE
    told = False
    while True:
        same, busy = [], None
        for other in batches(place):
            if record.log(record.jobs.first) == other.log(other.jobs.first):
                same.append(other)
            logs = logs or set(_logs(record))
            shared = logs.intersection(_logs(other))
            # what is no file, as /dev/null, may have many writers
            if any(os.path.isfile(p) or not os.path.exists(p) for p in shared) and other.watched():
                busy = other, min(shared)
        if busy is None:
            return same
        other, path = busy
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(other.started))
        who = f"process {other.pid} on {other.host}, since {since}"
        if time.monotonic() > deadline:
            raise UserError(
                f"{path} is the log of a job that runs, started by {who}; wait for it, or stop it, "
                "or give another log"
            )
        if not told:
            log.info("waiting for %s, which has the log %s", who, path)
        told = True
        time.sleep(LOOK_SECONDS)


def _logs(record: Record) -> Iterator[str]:
    """Of all jobs, each log by one name."""
    return (os.path.abspath(record.log(number)) for number in record.jobs.numbers)


def _leave(directory: Path) -> None:
    """Ends this process's watch."""
    descriptor = _watching.pop(directory, None)
    if descriptor is not None:
        os.close(descriptor)


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
        ValueError, KeyError, TypeError, OverflowError: it is damaged.
    """
    content = json.loads((directory / BATCH).read_text(encoding="utf-8"))
    jobs = Jobs(**content["jobs"] | {"command": tuple(content["jobs"]["command"])})
    if len(jobs.numbers) > MOST_JOBS:
        raise ValueError(f"{len(jobs.numbers)} jobs")
    content |= {"jobs": jobs, "resources": Resources(**content["resources"])}
    record = Record(directory=directory, **content)
    for name, wanted in _TYPES.items():
        if not isinstance(content[name], wanted):
            raise TypeError(f"{name} is {content[name]!r}")
    if not all(isinstance(word, str) and "\0" not in word for word in (jobs.log, record.cwd)):
        raise TypeError(f"the log is {jobs.log!r}, in {record.cwd!r}")
    time.localtime(record.started)
    return record


_TYPES = {
    "backend": str, "cwd": str, "host": str, "pid": int, "started": int | float,
}  # fmt: skip


def batches(place: Path) -> Iterator[Record]:
    """The readable batches in a `q` directory, oldest first."""
    found = []
    for file in place.glob(f"*/{BATCH}"):
        try:
            found.append(read(file.parent))
        except OSError:  # it is just being made, or removed
            continue
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            log.warning("%s is damaged (%s) and is left out", file, error)
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
    try:
        _write(record.directory / OUTCOME, content)
    finally:
        _leave(record.directory)
    if failed or unknown:
        return
    for path in record.directory.iterdir():
        if path.name == EXITS:
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in (BATCH, OUTCOME):
            path.unlink(missing_ok=True)


def outcome(record: Record) -> dict[str, Any] | None:
    """What `finish` wrote: {"failed": {number: end}, "unknown": [number], "ended": time}.

    None if it is not there, or damaged: what the logs say then counts.
    """
    path = record.directory / OUTCOME
    try:
        content = json.loads(path.read_text("utf-8"))
        for end in content["failed"].values():
            Ended(**end)
        set(content["unknown"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s is damaged (%s); the jobs' logs are looked at instead", path, error)
        return None
    return dict(content)


def _write(path: Path, content: Any, keep: Path | None = None) -> None:
    """Writes JSON; `keep` names the batch whose lock it is to be, held before it can be seen."""
    with atomic_file(path) as stream:
        json.dump(content, stream)
        if keep is not None:
            _watching[keep] = os.dup(stream.fileno())
            with contextlib.suppress(OSError):  # a disk without locks
                fcntl.flock(_watching[keep], fcntl.LOCK_EX | fcntl.LOCK_NB)
