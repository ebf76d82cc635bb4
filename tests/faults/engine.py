"""Runs a command in a world that is broken, and says all that can be seen of what it did.

A process forked from the server of tests/commands.py sets the world up (its own mounts, if the row
wants a read-only or a full disk, in a namespace that nobody else sees), forks the command, waits
for it and looks around. Nothing here knows of any command.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.commands import context
from tests.faults.world import contents

TIMEOUT = 100.0  # seconds for a command; none takes five
LINGER = 5.0  # and for what it started, after its end
FULL = 4 << 20  # bytes of the full disk; what a row puts there takes less
CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18


@dataclass(frozen=True)
class Attempt:
    """A command to run in a directory.

    Attributes:
        read_only, full: the directory in it that is on a read-only or a full disk.
        kill: "begun" kills it by SIGKILL as soon as it has a temporary output, "made" just before
            it renames that.
        left_free: bytes that a full disk still takes.
    """

    line: Sequence[str]
    place: Path
    read_only: str = ""
    full: str = ""
    kill: str = ""
    left_free: int = 0


@dataclass(frozen=True)
class Seen:
    """What was seen of an attempt.

    Attributes:
        before, after: the files and their hashes.
        left: whether it left processes behind.
        seconds: of processor time.
        no_mounts: why there can be no mounts.
    """

    code: int
    out: str
    err: str
    before: dict[str, str]
    after: dict[str, str]
    left: bool
    seconds: float = 0.0
    no_mounts: str = ""


def run(attempt: Attempt) -> Seen:
    """Runs it, in processes of its own."""
    with tempfile.TemporaryDirectory() as beside:
        process = context.Process(target=_watch, args=(attempt, beside))
        process.start()
        process.join(TIMEOUT)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{attempt.line} has not ended after {TIMEOUT} s")
        told = json.loads(Path(beside, "told").read_text())
        out, err = (Path(beside, n).read_text(errors="replace") for n in ("out", "err"))
    return Seen(**told, out=out, err=err)


def _watch(attempt: Attempt, beside: str) -> None:
    told: dict[str, Any] = {"code": 0, "left": False, "before": {}, "after": {}}
    try:
        _mount(attempt)
    except OSError as error:
        told["no_mounts"] = f"no mounts of one's own here: {error}"
    else:
        told["before"] = contents(attempt.place)
        child = os.fork()
        if child == 0:
            _command(attempt, beside)
        _, status = os.waitpid(child, 0)
        told["code"] = os.waitstatus_to_exitcode(status)
        told["left"] = _lingers(child)
        told["after"] = contents(attempt.place)
        told["seconds"] = sum(os.times()[:4])
    Path(beside, "told").write_text(json.dumps(told))
    for name in ("out", "err"):
        Path(beside, name).touch()


def _command(attempt: Attempt, beside: str) -> None:
    from chainstitch.bin.main import app

    os.setsid()
    os.chdir(attempt.place)
    os.environ["PATH"] = f"{attempt.place / 'bin'}:{os.environ['PATH']}"  # programs of the world
    for number, path in enumerate((os.devnull, f"{beside}/out", f"{beside}/err")):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    if attempt.kill:
        _kill_when(attempt.kill)
    code = 70
    try:
        app(list(attempt.line))
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # a bug, which the row is there to find
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _kill_when(moment: str) -> None:
    me, begun = os.getpid(), False

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal begun
        if os.getpid() != me or event == "os.kill":
            return
        if begun and (moment == "begun" or event == "os.rename"):
            os.kill(me, signal.SIGKILL)
        if event in ("open", "os.mkdir") and ".tmp-" in str(args[0]):
            begun = True

    sys.addaudithook(hook)


def _lingers(group: int) -> bool:
    """Whether processes of a command are there after it, for longer than they may need to end."""
    until = time.monotonic() + LINGER
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return False
        time.sleep(0.02)
    os.killpg(group, signal.SIGKILL)
    return True


def _mount(attempt: Attempt) -> None:
    if not attempt.read_only and not attempt.full:
        return
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: Any) -> None:
        if getattr(libc, name)(*arguments):
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")

    user, group = os.getuid(), os.getgid()
    call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
    for file, text in {
        "setgroups": "deny", "uid_map": f"0 {user} 1", "gid_map": f"0 {group} 1"
    }.items():  # fmt: skip
        Path(f"/proc/self/{file}").write_text(text)
    call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    if attempt.read_only:
        where = os.fsencode(attempt.place / attempt.read_only)
        call("mount", where, where, None, MS_BIND, None)
        call("mount", where, where, None, MS_REMOUNT | MS_BIND | MS_RDONLY, None)
    if attempt.full:
        where = attempt.place / attempt.full
        with tempfile.TemporaryDirectory() as beside:
            kept = shutil.copytree(where, f"{beside}/kept")
            call("mount", b"none", os.fsencode(where), b"tmpfs", 0, f"size={FULL}".encode())
            shutil.copytree(kept, where, dirs_exist_ok=True)
        _fill(where, attempt.left_free)


def _fill(where: Path, left_free: int) -> None:
    with open(where / "filler", "wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(4096))
        except OSError:
            stream.truncate(stream.tell() - left_free)
