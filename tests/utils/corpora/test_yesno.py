"""The split of waves_yesno, and what happens when it is not complete."""

from __future__ import annotations

import filecmp
from pathlib import Path

import pytest

from chainstitch.utils.corpora import yesno
from chainstitch.utils.data.manifests import cut_text, read_cuts
from chainstitch.utils.errors import UserError


def test_the_split_is_kaldis_with_four_of_train_as_dev(data_dir: Path, tmp_path: Path) -> None:
    counts = yesno.prepare(data_dir / "waves_yesno", tmp_path)
    assert counts == {"train": 27, "dev": 4, "test": 29}
    cuts = {name: read_cuts(tmp_path / name) for name in counts}
    names = [cut.id for name in ("train", "dev", "test") for cut in cuts[name]]
    assert names == sorted(path.stem for path in (data_dir / "waves_yesno").glob("*.wav"))
    assert sum(len(cut_text(cut).split()) for cut in cuts["test"]) == 232
    assert cuts["train"][0].id == "0_0_0_0_1_1_1_1"
    assert cut_text(cuts["train"][0]) == "NO NO NO NO YES YES YES YES"
    yesno.prepare(data_dir / "waves_yesno", tmp_path / "again")
    for name in counts:
        files = [path.name for path in (tmp_path / name).iterdir()]
        same = filecmp.cmpfiles(tmp_path / name, tmp_path / "again" / name, files, shallow=False)
        assert sorted(same[0]) == sorted(files) and len(files) == 4


def test_another_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds 0 wav files, wanted the 60"):
        yesno.prepare(tmp_path, tmp_path / "data")
    for k in range(60):
        (tmp_path / f"{k}.wav").touch()
    with pytest.raises(UserError, match=r"0.wav: a waves_yesno name is eight 0/1"):
        yesno.prepare(tmp_path, tmp_path / "data")
    assert not (tmp_path / "data").exists()
