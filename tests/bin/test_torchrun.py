"""`train` in several processes, that torchrun or `--processes` started, as a user starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from chainstitch.utils import checkpoint
from tests import images
from tests.toy import Toy, rows, run, same_tensors, spawn
from tests.waiting import wait_for

SAME = ("--set", "training.dropout_schedule=0,0", "--set", "optim.backstitch.scale=1.0")


def torchrun(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         "-m", "chainstitch.bin.main", *arguments],
        capture_output=True, text=True, env=os.environ | {"NUMBA_NUM_THREADS": "1"},
    )  # fmt: skip


def test_two_processes_train_what_one_does(toy: Toy, tmp_path: Path) -> None:
    assert run(*toy.arguments(tmp_path / "one", *SAME)) == 0
    done = torchrun(toy.arguments(tmp_path / "two", *SAME))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("iterations done") == 1 and done.stderr.count("iter 1/") == 1
    one, two = (checkpoint.load(tmp_path / name / "4.pt")["model"] for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-4, msg=name)
    for a, b in zip(rows(tmp_path / "one"), rows(tmp_path / "two"), strict=True):
        assert a["valid_objf"] == pytest.approx(b["valid_objf"], rel=1e-4)
    assert {path.name for path in (tmp_path / "one").iterdir()} == {
        path.name for path in (tmp_path / "two").iterdir()
    }


@pytest.mark.parametrize(
    "numbers",
    [
        [signal.SIGUSR1],
        pytest.param([signal.SIGTERM], marks=pytest.mark.thorough),
        pytest.param([signal.SIGTERM, signal.SIGUSR1], marks=pytest.mark.thorough),
    ],
)
def test_processes_that_are_told_to_stop_exit_as_one_does_and_go_on(
    toy: Toy, tmp_path: Path, numbers: list[signal.Signals]
) -> None:
    more = ("--processes", "2", "--set", "training.passes=12", "--resume", "auto")

    def started(out: Path) -> subprocess.Popen[str]:
        return spawn(toy.arguments(out, *more))

    for number, last in zip(numbers, (1, 4), strict=False):
        process = started(tmp_path / "stopped")
        wait_for((tmp_path / "stopped" / f"{last}.pt").exists, 240, process)
        process.send_signal(number)
        _, said = process.communicate()
        assert process.returncode == 144, said
        assert f"stopped by {number.name}" in said and "Traceback" not in said
    again, whole = started(tmp_path / "stopped"), started(tmp_path / "whole")
    assert [again.wait(), whole.wait()] == [0, 0]
    (final,) = {f"{len(rows(tmp_path / name))}.pt" for name in ("stopped", "whole")}
    one, two = (checkpoint.load(tmp_path / name / final)["model"] for name in ("stopped", "whole"))
    assert same_tensors(one, two)


def test_a_process_that_fails_ends_all(toy: Toy, tmp_path: Path) -> None:
    arguments = toy.arguments(tmp_path / "exp", "--processes", "2", den=tmp_path / "none.npz")
    process = spawn(arguments)
    _, said = process.communicate()
    assert process.returncode == 1 and "none.npz" in said
    assert "of 2 processes failed" in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("variables", "more", "said"),
    [
        ({}, ("--set", "training.jobs_final=2"), "has them share each minibatch"),
        ({"RANK": ""}, (), "WORLD_SIZE is 2, but RANK not set; start the processes with torchrun"),
    ],
)
def test_what_does_not_go_with_it_is_refused(
    toy: Toy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    more: tuple[str, ...],
    said: str,
) -> None:
    if variables:
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("LOCAL_RANK", "0")
        assert run(*toy.arguments(tmp_path / "exp", *more)) == 2
        assert said in capsys.readouterr().err
    else:
        done = torchrun(toy.arguments(tmp_path / "exp", *more))
        assert done.returncode != 0 and said in done.stderr
    assert not (tmp_path / "exp").exists()


def test_two_processes_train_images_as_one_does_by_the_first_iteration(tmp_path: Path) -> None:
    images.write(tmp_path)
    same = ("--set", "training.max_shift=0", "--set", "training.flip=false")
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(*images.arguments(tmp_path, one, *same)) == 0
    process = spawn(images.arguments(tmp_path, two, "--processes", "2", *same))
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    assert said.count("iterations done") == 1 and errors.count("iter 1/") == 1
    a, b = rows(one), rows(two)
    assert len(a) == len(b) == 4 and {path.name for path in one.iterdir()} == {
        path.name for path in two.iterdir()
    }
    for figure in ("train_objf", "valid_objf"):
        assert a[0][figure] == pytest.approx(b[0][figure], rel=1e-4)
    assert all(x["images"] == y["images"] == 16 for x, y in zip(a, b, strict=True))
    assert run(*images.arguments(tmp_path, two, "--resume", "auto", *same)) == 0
