"""A directory's lock: one at a time, and gone with its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.lock import locked

HOLD = """
import sys, time
from chainstitch.utils.lock import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(directory: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    process = holder(tmp_path / "exp")
    wanted = rf"exp is in use by process {process.pid} on {os.uname().nodename}, since 20\d\d-"
    with pytest.raises(UserError, match=wanted), locked(tmp_path / "exp"):
        pytest.fail("two in one directory")
    with locked(tmp_path / "other"):
        pass
    process.kill()
    process.wait()
    with locked(tmp_path / "exp"):  # a killed owner holds nothing
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_lock_goes_whichever_way_the_block_ends(tmp_path: Path) -> None:
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), locked(tmp_path / "exp"):
            assert (tmp_path / ".exp.lock").exists()
            raise error
        assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_file_was_deleted_is_not_taken_for_held(tmp_path: Path) -> None:
    process = holder(tmp_path / "exp")
    (tmp_path / ".exp.lock").unlink()  # by hand
    with locked(tmp_path / "exp"):
        assert (tmp_path / ".exp.lock").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_many_at_once_are_in_one_after_the_other(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("0")
    script = (
        "import sys, time\n"
        "from chainstitch.utils.errors import UserError\n"
        "from chainstitch.utils.lock import locked\n"
        "for _ in range(40):\n"
        "    while True:\n"
        "        try:\n"
        "            with locked(sys.argv[1]):\n"
        "                n = int(open(sys.argv[2]).read())\n"
        "                open(sys.argv[2], 'w').write(str(n + 1))\n"
        "            break\n"
        "        except UserError:\n"
        "            time.sleep(0.0005)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "exp"), str(count)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert count.read_text() == "120"


@pytest.mark.parametrize("look", [1, 2])
def test_a_lock_whose_file_vanishes_just_then_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    place, stat, looks = tmp_path / ".exp.lock", Path.stat, []

    def vanishing(path: Path, **options: Any) -> os.stat_result:
        if path == place:
            looks.append(path)
            if len(looks) == look:
                path.unlink()  # by the owner before, who held it until a moment ago
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", vanishing)
    with locked(tmp_path / "exp"):
        assert looks and os.path.exists(place)


def test_what_killed_processes_left_unfinished_is_removed(tmp_path: Path) -> None:
    for name in (".tmp-12-exp", ".tmp-345-exp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").write_text("")
    (tmp_path / ".tmp-9-exp").write_text("")
    others = [".tmp-12-exp_s1", ".tmp-12-other", ".tmp-exp", "exp"]
    for name in others:
        (tmp_path / name).mkdir()
    with locked(tmp_path / "exp"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


def test_a_fork_that_outlives_the_owner_does_not_hold_it(tmp_path: Path) -> None:
    # The fork says so itself, once it has given the lock up, and in one write: two processes that
    # print into one pipe may mix their lines.
    say = "os.fork() or os.write(1, b'%d\\n' % os.getpid())"
    forking = HOLD.replace("time.sleep(60)", say + "\n    time.sleep(60)")
    command = [sys.executable, "-c", "import os" + forking, str(tmp_path / "exp")]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None and owner.stdout.readline() == "held\n"
    fork = int(owner.stdout.readline())
    assert fork != owner.pid
    owner.kill()
    owner.wait()
    try:
        with locked(tmp_path / "exp"):
            os.kill(fork, 0)  # it is there
    finally:
        os.kill(fork, signal.SIGKILL)
        owner.stdout.close()
