"""egs/backstitch: parts of a corpus and of sets of images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from chainstitch.utils.data.images import read_images, write_images
from chainstitch.utils.errors import UsageError
from tests import images
from tests.recipes.backstitch_scripts import RECIPE

LOCAL = RECIPE / "local"


def test_parts_of_a_set_are_apart_and_have_all_speakers(local):
    def cut(name):
        segment = SimpleNamespace(speaker=name[:1])
        return SimpleNamespace(id=name, supervisions=[segment])

    cuts = [cut(f"{speaker}-{n:02d}") for speaker in "abcd" for n in range(8)]
    parts = [local.part_of_set.part(cuts, 4, first) for first in range(4)]
    ids = [{cut.id for cut in part} for part in parts]
    assert set.union(*ids) == {cut.id for cut in cuts}
    assert sum(map(len, ids)) == len(cuts)
    assert all({name[0] for name in part} == set("abcd") for part in ids)
    halves = [local.part_of_set.part(cuts, speakers=f"{n}/2") for n in (0, 1)]
    assert [{cut.id[0] for cut in half} for half in halves] == [{"a", "c"}, {"b", "d"}]
    with pytest.raises(UsageError, match="wanted some of a,b,c,d"):
        local.part_of_set.part(cuts, speakers="a,x")


def part_of_images(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(LOCAL / "part_of_images.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_part_of_a_set_is_those_images_and_is_written_once(tmp_path: Path) -> None:
    whole = images.images(10)
    write_images(whole, tmp_path / "set")
    arguments = (tmp_path / "set", tmp_path / "part", "--first", 7, "--count", 3)
    done = part_of_images(*arguments)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'part'}: 3 images\n")
    found = read_images(tmp_path / "part")
    assert np.array_equal(found.pixels, whole.pixels[7:])
    assert found.labels.tolist() == whole.labels[7:].tolist() and found.classes == whole.classes
    again = part_of_images(*arguments)
    assert again.returncode == 2 and "--overwrite" in again.stderr


@pytest.mark.parametrize(
    ("first", "count", "said"),
    [
        (8, 3, "--first 8 --count 3: wanted a part of images 0 to 9"),
        (-1, 3, "--first -1 --count 3: wanted"),
        (0, 0, "--first 0 --count 0: wanted"),
    ],
)
def test_a_part_that_is_not_there_is_refused(
    tmp_path: Path, first: int, count: int, said: str
) -> None:
    write_images(images.images(10), tmp_path / "set")
    done = part_of_images(tmp_path / "set", tmp_path / "part", f"--first={first}", "--count", count)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "part").exists()
