"""`chainstitch info` on an experiment, a data set and a lang directory; what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chainstitch.bin.info import info
from chainstitch.utils.errors import UsageError
from chainstitch.utils.summary import summarise


def test_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"iter": 0, "train_objf": -0.2, "valid_objf": -0.3, "parameters": 471000},
        {"iter": 1, "train_objf": -0.1, "valid_objf": -0.15, "parameters": 471000},
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("0.pt", "1.pt", "final.pt"):
        (tmp_path / name).touch()
    (tmp_path / "decode_test").mkdir()
    line = "%WER 2.50 [ 1 / 40, 1 ins, 0 del, 0 sub ]"
    (tmp_path / "decode_test" / "best_wer").write_text(line + "\n")
    info(tmp_path, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "experiment"
    assert (found["iterations"], found["parameters"], found["models"]) == (2, 471000, 3)
    assert (found["final"], found["valid_objf"]) == (True, -0.15)
    assert found["wer"] == {"test": line}
    info(tmp_path)
    assert f"test {line}" in capsys.readouterr().out


def test_data_set(tmp_path: Path) -> None:
    from lhotse import MonoCut, Recording, SupervisionSegment

    from chainstitch.utils.data.manifests import write_set

    cuts = []
    for n, (speaker, text) in enumerate([("a", "yes no"), ("b", "no"), ("a", "no no no")]):
        recording = Recording(
            id=f"r{n}", sources=[], sampling_rate=8000, num_samples=8000 * (n + 1), duration=n + 1.0
        )
        supervision = SupervisionSegment(
            id=f"u{n}", recording_id=f"r{n}", start=0, duration=n + 1.0, text=text, speaker=speaker
        )
        cuts.append(
            MonoCut(
                id=f"u{n}", start=0, duration=n + 1.0, channel=0, recording=recording,
                supervisions=[supervision],
            )
        )  # fmt: skip
    write_set(tmp_path / "train", cuts)
    found = summarise(tmp_path / "train")
    assert (found["kind"], found["cuts"], found["speakers"]) == ("data", 3, 2)
    assert (found["words"], found["distinct_words"]) == (6, 2)
    assert found["hours"] == pytest.approx(6 / 3600, abs=1e-4)
    assert found["sampling_rates"] == "8000"
    assert found["features"] is False


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_what_is_no_directory_of_ours_is_a_usage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="give data/<set>, data/lang or exp/<name>"):
        info(tmp_path / name)
