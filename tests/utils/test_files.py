"""Atomic writes: whole under the final name, or not there at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_directory, atomic_file
from chainstitch.utils.lock import locked
from chainstitch.utils.outputs import MARK, check_directory, marked_kind


class Failure(Exception):
    pass


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def make(directory: Path, name: str, overwrite: bool = False) -> None:
    """A set that holds an empty file."""
    with atomic_directory(directory, "set", overwrite) as temporary:
        (temporary / name).touch()


def start(code: str, place: Path) -> subprocess.Popen[bytes]:
    """A process that runs `code`, which has said that it is ready."""
    process = subprocess.Popen([sys.executable, "-c", code, str(place)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize(("mode", "content"), [("w", "zwölf\n"), ("wb", b"\x00\xff")])
def test_file_appears_whole(tmp_path: Path, mode: str, content: str | bytes) -> None:
    with atomic_file(tmp_path / "x", mode) as stream:
        stream.write(content)
        assert not (tmp_path / "x").exists()
    expected = content.encode() if isinstance(content, str) else content
    assert (tmp_path / "x").read_bytes() == expected
    assert names(tmp_path) == ["x"]


def test_failure_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    with pytest.raises(Failure), atomic_file(tmp_path / "x") as stream:
        stream.write("new")
        raise Failure
    assert (tmp_path / "x").read_text() == "old"
    assert names(tmp_path) == ["x"]


def test_new_file_has_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with atomic_file(tmp_path / "x") as stream:
        stream.write("x")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_directory_appears_whole_with_its_mark(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er"
    with atomic_directory(target, "set") as temporary:
        (temporary / "a").write_text("1")
        assert not target.exists()
    assert names(target) == [MARK, "a"] and marked_kind(target) == "set"
    assert names(target.parent) == ["er"]


def test_failure_leaves_the_old_directory(tmp_path: Path) -> None:
    make(tmp_path / "d", "old")
    with pytest.raises(Failure), atomic_directory(tmp_path / "d", "set", True) as temporary:
        (temporary / "new").touch()
        raise Failure
    assert names(tmp_path / "d") == [MARK, "old"]
    assert names(tmp_path) == ["d"]


def test_overwrite_replaces_all_of_a_directory(tmp_path: Path) -> None:
    make(tmp_path / "d", "old")
    make(tmp_path / "d", "new", overwrite=True)
    assert names(tmp_path / "d") == [MARK, "new"]
    assert names(tmp_path) == ["d"]


def test_existing_is_refused_before_any_work(tmp_path: Path) -> None:
    make(tmp_path / "d", "old")
    entered = False
    with pytest.raises(UsageError, match="--overwrite"), atomic_directory(tmp_path / "d", "set"):
        entered = True
    assert not entered
    assert names(tmp_path) == ["d"]


def test_empty_directory_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    make(tmp_path / "d", "new")
    assert names(tmp_path / "d") == [MARK, "new"]
    assert names(tmp_path) == ["d"]


def test_what_comes_to_be_there_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="exists already"),
        atomic_directory(tmp_path / "d", "set", overwrite=True),
    ):
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "theirs").touch()
    assert names(tmp_path / "d") == ["theirs"]
    assert names(tmp_path) == ["d"]


def test_two_at_a_time_are_refused(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom chainstitch.utils.files import atomic_directory\n"
        "with atomic_directory(sys.argv[1], 'set'):\n"
        "    print('ready', flush=True); time.sleep(60)\n"
    )
    process = start(code, tmp_path / "d")
    with (
        pytest.raises(UserError, match=f"in use by process {process.pid}"),
        atomic_directory(tmp_path / "d", "set"),
    ):
        pytest.fail("two in one directory")
    kill(process)
    make(tmp_path / "d", "new")
    assert names(tmp_path) == ["d"]


# Between which two steps a process is killed -> what the next one finds, and that all is whole.
STEPS = {
    "rename old": ["old", MARK],
    "rename new": ["old", MARK],
    "after new": ["new", MARK],
    "rename replaced": ["new", MARK],
    "remove": ["new", MARK],
}


@pytest.mark.parametrize("step", STEPS)
def test_kill_while_directories_change_places_loses_neither(tmp_path: Path, step: str) -> None:
    make(tmp_path / "d", "old")
    code = f"""
import os, signal, sys
from pathlib import Path
from chainstitch.utils import files

step, done = {step!r}, []
rename, remove = os.rename, files.remove

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def renamed(source, target):
    names = ["rename old", "rename new", "rename replaced"]
    if step == names[len(done)]:
        kill()
    rename(source, target)
    done.append(target)
    if step == "after new" and len(done) == 2:
        kill()

def removed(path):
    if step == "remove" and len(done) == 3:
        (path / "old").unlink()
        kill()
    remove(path)

files.os.rename, files.remove = renamed, removed
with files.atomic_directory(Path(sys.argv[1]), "set", overwrite=True) as temporary:
    (temporary / "new").touch()
"""
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "d")])
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(UsageError, match="exists already"):
        check_directory(tmp_path / "d", "set")
    with locked(tmp_path / "d"):
        pass
    assert names(tmp_path) == ["d"] and names(tmp_path / "d") == sorted(STEPS[step])


def test_a_rename_that_fails_gives_the_old_one_its_name_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "d", "old")
    rename, calls = os.rename, []

    def failing(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError("the disk is gone")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OSError, match="the disk is gone"):
        make(tmp_path / "d", "new", overwrite=True)
    assert names(tmp_path) == ["d"] and names(tmp_path / "d") == [MARK, "old"]


def test_a_link_at_the_temporary_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / f".tmp-{os.getpid()}-x").symlink_to("precious")
    with atomic_file(tmp_path / "x") as stream:
        stream.write("new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "x").is_symlink() and names(tmp_path) == ["precious", "x"]


def test_the_next_writer_removes_what_a_dead_one_left(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    alive = os.getppid()
    for name in (f"{dead.pid}-x", f"{dead.pid}-xx", f"{dead.pid}-a-x", f"{alive}-x", "x"):
        (tmp_path / f".tmp-{name}").write_text("half")
    with atomic_file(tmp_path / "x") as stream:
        stream.write("new")
    left = [f".tmp-{dead.pid}-a-x", f".tmp-{dead.pid}-xx", f".tmp-{alive}-x", ".tmp-x", "x"]
    assert names(tmp_path) == sorted(left)


def test_kill_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    code = (
        "import sys, time\nfrom chainstitch.utils.files import atomic_file\n"
        "with atomic_file(sys.argv[1]) as stream:\n"
        "    stream.write('new'); stream.flush(); print('ready', flush=True); time.sleep(60)\n"
    )
    kill(start(code, tmp_path / "x"))
    assert (tmp_path / "x").read_text() == "old"
    with atomic_file(tmp_path / "x") as stream:
        stream.write(f"newer {time.time() > 0}")
    assert (tmp_path / "x").read_text() == "newer True"
    assert names(tmp_path) == ["x"]
