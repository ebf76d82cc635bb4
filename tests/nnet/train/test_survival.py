"""What a kill, a full disk or a second training leave of a training: all that was saved."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chainstitch.utils import checkpoint
from chainstitch.utils.lock import locked
from tests.bin.test_train import ITERATIONS, LONG, assert_same_run, whole  # noqa: F401
from tests.toy import Toy, run

KILLS = os.environ.get("CHAINSTITCH_TEST_KILLS")  # in both tests together
JOBS = (
    *("--set", "training.frames_per_iteration=2200", "--set", "training.minibatch_size=2"),
    *("--set", "training.jobs_initial=2", "--set", "training.jobs_final=3"),
)
SHORTER = ("--set", "training.passes=3")


@pytest.mark.parametrize(
    "jobs",
    [
        pytest.param((), id="one process"),
        # a driver and its jobs: test_averaged_jobs.py, and tests/faults/kills.py
        pytest.param(JOBS, id="parallel jobs", marks=pytest.mark.thorough),
    ],
)
def test_killed_at_random_moments_it_ends_as_the_undisturbed_run(
    toy: Toy, tmp_path: Path, thorough: bool, jobs: tuple[str, ...]
) -> None:
    length = () if thorough else SHORTER
    given = toy.arguments(tmp_path / "unused", *LONG, *jobs, *length)[1:]
    at = given.index("--out")
    arguments = given[:at] + given[at + 2 :]
    kills = str(int(KILLS or (20 if thorough else 6)) // 2)
    command = ["tests.nnet.train.killed_training", kills, "1", str(tmp_path / "whole")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command, str(tmp_path / "exp"), "--", *arguments],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"{kills} kills" in done.stdout.splitlines()[-1]
    print(done.stdout.splitlines()[-1])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no small disk: {error}")
    if done.returncode:
        pytest.skip(f"no small disk: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_leaves_the_last_checkpoint_usable(
    toy: Toy,
    whole: Path,  # noqa: F811
    small_disk: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = small_disk / "exp"
    files = {p: p.stat().st_size for p in whole.rglob("*") if p.is_file()}
    checkpoints = sum(size for path, size in files.items() if path.suffix == ".pt")
    page = os.statvfs(small_disk).f_bsize
    room = sum(files.values()) + len(files) * page - checkpoints // 2  # for half of them
    filler = small_disk / "filler"
    filler.write_bytes(bytes(os.statvfs(small_disk).f_bavail * page - room))
    command = toy.arguments(out, *LONG, "--resume", "auto")
    assert run(*command) == 1
    assert "No space left on device" in capsys.readouterr().err
    left = checkpoint.iterations(out)
    assert left and left[-1] < ITERATIONS
    for number in left:
        checkpoint.load(out / f"{number}.pt")
    assert not list(out.glob(".tmp-*"))
    filler.unlink()
    assert run(*command) == 0
    assert_same_run(out, whole)


def test_two_trainings_in_one_directory_are_refused(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "exp"
    with locked(out):
        for more in ([], ["--resume", "auto"], ["--overwrite"]):
            assert run(*toy.arguments(out, *more)) == 1
            assert f"in use by process {os.getpid()} on" in capsys.readouterr().err
    assert not out.exists()
