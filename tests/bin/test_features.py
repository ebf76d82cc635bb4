"""`chainstitch features` at the terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from chainstitch.bin import main
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.manifests import read_recording, whole_cut, write_set


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main.app(["features", *map(str, arguments)])
    return int(stop.value.code or 0)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A config, and a set `train` beside it."""
    path = tmp_path / "u0.wav"
    soundfile.write(path, np.random.default_rng(0).standard_normal(8000) * 0.1, 8000)
    write_set(tmp_path / "train", [whole_cut(read_recording(path, "u0"), "YES", "s")])
    (tmp_path / "features.toml").write_text("sampling_rate = 8000\n")
    return tmp_path / "features.toml"


def test_features_are_written_counted_and_refused_twice(
    conf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = conf.parent / "train", conf.parent / "hires"
    assert run(conf, "--data", data, "--out", out, "--augment", "--set", "mean=utterance") == 0
    frames = 100 + 111 + 91
    line = capsys.readouterr().out
    assert line.startswith(f"{out}: 3 utterances, {frames} frames of 40 in ")
    assert FeatureReader(out).config.mean == "utterance"
    before = (out / "means.npz").read_bytes()
    assert run(conf, "--data", data, "--out", out) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (out / "means.npz").read_bytes() == before
    assert run(conf, "--data", data, "--out", out, "--overwrite") == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("samplingrate = 8000\n", "did you mean 'sampling_rate'?"),
        ('sampling_rate = 8000\nmean = "median"\n', "wanted one of speaker, utterance"),
        ("num_ceps = 40\n", "set sampling_rate = 8000"),
    ],
)
def test_configs_that_do_not_fit_exit_2(
    conf: Path, capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    conf.write_text(text)
    assert run(conf, "--data", conf.parent / "train", "--out", conf.parent / "hires") == 2
    err = capsys.readouterr().err
    assert reason in err.splitlines()[-1]
    assert not (conf.parent / "hires").exists()
