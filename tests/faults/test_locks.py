"""What is a lock, and whose: other files of that name, and what a kill left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chainstitch.utils.lock import locked
from tests.faults.output_place import TRAIN, refused


@pytest.mark.parametrize(
    "command", [f"{TRAIN} --out out", "features mfcc.toml --data dev --out out"]
)
@pytest.mark.parametrize("what", ["link", "dangling", "file", "json", "second name", "pipe", "dir"])
def test_what_is_no_lock_is_not_taken_for_one(
    place: Path, capsys: pytest.CaptureFixture[str], command: str, what: str
) -> None:
    lock, precious = place / ".out.lock", place / "precious"
    precious.write_text("" if what == "second name" else "precious")
    if what in ("link", "dangling"):
        lock.symlink_to(precious if what == "link" else "nowhere")
    elif what in ("file", "json"):
        lock.write_text('{"mine": 1}' if what == "json" else "precious")
    elif what == "second name":
        os.link(precious, lock)
    elif what == "pipe":
        os.mkfifo(lock)
    else:
        lock.mkdir()
    wanted = f"{place}/.out.lock is where the lock of out belongs"
    refused(place, capsys, command, wanted, code=1, overwrite=False)


@pytest.mark.parametrize("content", ["", '{"host', '{"host": "x", "pid": 1, "since": "y"}'])
def test_a_lock_that_a_kill_left_is_one(tmp_path: Path, content: str) -> None:
    (tmp_path / ".out.lock").write_text(content)
    with locked(tmp_path / "out"), locked(tmp_path / "out", nested=True):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_another_s_by_now_is_left_to_it(tmp_path: Path) -> None:
    with locked(tmp_path / "out"):
        (tmp_path / ".out.lock").unlink()
        (tmp_path / ".out.lock").write_text('{"host": "another"}')
    assert (tmp_path / ".out.lock").read_text() == '{"host": "another"}'
