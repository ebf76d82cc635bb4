"""Full disks and kills: one line, what was there stays, nothing is left, the next run succeeds.

All stages of a small recipe go through kills.py (`python -m tests.faults.kills --help`), a few
times here and a thousand times by hand; the table has what no stage of it writes, or not enough of.
"""

from __future__ import annotations

import errno
import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from chainstitch.utils import checkpoint
from chainstitch.utils.data.alignments import write_alignments
from chainstitch.utils.data.images import ImageSet, write_images
from chainstitch.utils.data.ivectors import write_ivectors
from chainstitch.utils.files import atomic_file
from chainstitch.utils.lang.compose import write_fst
from chainstitch.utils.lm.training import train
from chainstitch.utils.report.tensorboard import Scalars
from tests.faults.small_disk import NoSmallDisk, SmallDisk, small_disk
from tests.toy import run

ROOM = 48 * 1024


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    try:
        with small_disk(tmp_path_factory.mktemp("small") / "disk") as found:
            yield found
    except NoSmallDisk as reason:
        pytest.skip(f"no small disk: {reason}")


def ivectors(path: Path, size: int) -> None:
    matrices = ((f"u{n}", np.ones((1, 100))) for n in range(size // 400))
    write_ivectors(path, matrices, 0, 100, b"model" * (size // 10), overwrite=True)


def images(path: Path, size: int) -> None:
    pixels = np.zeros((size // 300, 3, 10, 10), np.uint8)
    write_images(ImageSet(pixels, np.zeros(len(pixels), np.int64), ["a"]), path, overwrite=True)


def fst(path: Path, size: int) -> None:
    import kaldifst

    made = kaldifst.StdVectorFst()
    for _ in range(size // 20):
        made.add_state()
    made.start = 0
    with atomic_file(path, "wb") as stream:  # as a directory of them is
        write_fst(made, Path(stream.name))


def alignments(path: Path, size: int) -> None:
    draw = np.random.default_rng(1)
    found = {f"u{n}": [(1, int(d)) for d in draw.integers(1, 9999, 9)] for n in range(size // 40)}
    write_alignments(path, found, {1: "A"})


def events(path: Path, size: int) -> None:
    path.mkdir(exist_ok=True)
    with Scalars(path) as scalars:
        for number in range(size // 300):
            row = {"iter": number, "train_objf": -1.0, "valid_objf": -1.0, "lr": 1.0}
            scalars.write(row | {"seconds": 1.0, "alpha": 0.3})


def language_model(path: Path, size: int) -> None:
    draw = np.random.default_rng(1)
    with tempfile.NamedTemporaryFile("w") as text:
        text.writelines(f"{line}\n" for line in np.array2string(
            draw.integers(0, 999, size // 16), threshold=size
        ).strip("[]").splitlines())  # fmt: skip
        text.flush()
        train([text.name], path, 3)


WRITERS: list[Callable[[Path, int], None]] = [
    ivectors, images, fst, alignments, events, language_model,
]  # fmt: skip
MODELS: dict[str, Callable[[int], dict[str, object]]] = {
    "one tensor": lambda size: {"model": torch.zeros(size // 4)},
    "many tensors": lambda size: {"model": {str(n): torch.zeros(9) for n in range(size // 200)}},
}


def save(name: str) -> Callable[[Path, int], None]:
    def write(path: Path, size: int) -> None:
        checkpoint.save(MODELS[name](size), path)

    write.__name__ = name
    return write


@pytest.mark.parametrize("size", [3 * ROOM, 8 * ROOM, 24 * ROOM], ids=str)
@pytest.mark.parametrize("write", [*map(save, MODELS), *WRITERS], ids=lambda write: write.__name__)
def test_a_full_disk_is_said_and_what_was_there_stays(
    disk: SmallDisk, write: Callable[[Path, int], None], size: int
) -> None:
    place = disk.path / re.sub(r"\W", "-", f"{write.__name__}-{size}")
    place.mkdir()
    out = place / "out"
    write(out, 2048)
    kept = content(place)
    with disk.room(ROOM):
        with pytest.raises(OSError) as error:
            write(out, size)
        assert error.value.errno == errno.ENOSPC
        gc.collect()  # what a library does with a file that it could not close
        if write is not events:  # which go on where they are
            assert content(place) == kept
    write(out, size)
    shutil.rmtree(place)


def content(place: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(place)): path.read_bytes() if path.is_file() else b""
        for path in place.rglob("*")
    }


@pytest.mark.parametrize("room", [0, 4096, ROOM])
def test_a_job_whose_log_has_no_room_has_failed(
    disk: SmallDisk, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    place = disk.path / f"run-{room}"
    place.mkdir()
    monkeypatch.chdir(place)
    script = f"head -c {2 * ROOM} /dev/zero 2>&1 | tr '\\0' x; exit 0"
    (place / "x.1.log").write_text("of before\n")
    with disk.room(room):
        assert run("run", "JOB=1:2", "x.JOB.log", "sh", "-c", script) == 1
        said = capfd.readouterr().err
        if room == 0:  # the record did not fit
            assert (place / "x.1.log").read_text() == "of before\n"
    assert "No space left" in said and "Traceback" not in said
    assert [line for line in said.splitlines() if "error:" in line] == said.splitlines()[-1:]
    assert not [name for name in content(place) if ".tmp-" in name or ".lock" in name]
    assert run("run", "JOB=1:2", "x.JOB.log", "true") == 0
    assert len(list((place / "q").iterdir())) == 1


@pytest.mark.parametrize("thorough_only", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_all_stages_of_a_recipe_survive_full_disks_and_kills(
    disk: SmallDisk, tmp_path: Path, thorough_only: bool
) -> None:
    more = ["--kills", "200"] if thorough_only else ["--kills", "12", "--sizes", "0.8"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.kills", "--disk", *more, "--work", str(tmp_path)],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    print(done.stdout.splitlines()[-1])
