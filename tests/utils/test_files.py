"""Atomic writes: whole under the final name, or not there at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chainstitch.utils.errors import UsageError
from chainstitch.utils.files import atomic_directory, atomic_file, refuse_existing


class Failure(Exception):
    pass


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


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


def test_directory_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er"
    with atomic_directory(target) as temporary:
        (temporary / "a").write_text("1")
        assert not target.exists()
    assert names(target) == ["a"]
    assert names(target.parent) == ["er"]


def test_failure_leaves_the_old_directory(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").touch()
    with pytest.raises(Failure), atomic_directory(tmp_path / "d", overwrite=True) as temporary:
        (temporary / "new").touch()
        raise Failure
    assert names(tmp_path / "d") == ["old"]
    assert names(tmp_path) == ["d"]


def test_overwrite_replaces_all_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").touch()
    with atomic_directory(tmp_path / "d", overwrite=True) as temporary:
        (temporary / "new").touch()
    assert names(tmp_path / "d") == ["new"]
    assert names(tmp_path) == ["d"]


def test_existing_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").touch()
    entered = False
    with pytest.raises(UsageError, match="--overwrite"), atomic_directory(tmp_path / "d"):
        entered = True
    assert not entered
    assert names(tmp_path) == ["d"]


def test_empty_directory_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    refuse_existing(tmp_path / "d", overwrite=False)
    refuse_existing(tmp_path / "absent", overwrite=False)
    with atomic_directory(tmp_path / "d") as temporary:
        (temporary / "new").touch()
    assert names(tmp_path / "d") == ["new"]


def test_overwrite_replaces_a_file_by_a_directory(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("file")
    with atomic_directory(tmp_path / "d", overwrite=True) as temporary:
        (temporary / "new").touch()
    assert names(tmp_path / "d") == ["new"]


def test_link_to_a_directory_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "precious").touch()
    (tmp_path / "link").symlink_to("real")
    with atomic_directory(tmp_path / "link", overwrite=True) as temporary:
        (temporary / "new").touch()
    assert names(tmp_path / "link") == ["new"]
    assert names(tmp_path / "real") == ["precious"]


def test_file_of_zero_length_and_dangling_link_are_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("empty", "dangling"):
        with pytest.raises(UsageError):
            refuse_existing(tmp_path / name, overwrite=False)


def test_kill_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    code = (
        "import sys, time\nfrom chainstitch.utils.files import atomic_file\n"
        "with atomic_file(sys.argv[1]) as stream:\n"
        "    stream.write('new'); stream.flush(); print('ready', flush=True); time.sleep(60)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "x")], stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert (tmp_path / "x").read_text() == "old"
    with atomic_file(tmp_path / "x") as stream:
        stream.write(f"newer {time.time() > 0}")
    assert (tmp_path / "x").read_text() == "newer True"
