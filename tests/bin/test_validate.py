"""`chainstitch validate` at the terminal: exit codes, one-line errors, and --fix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from chainstitch.bin import main
from chainstitch.utils.data.manifests import read_cuts, read_recording, whole_cut, write_set


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main.app(["validate", *map(str, arguments)])
    return int(stop.value.code or 0)


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """u0 sound, u1 truncated, u2 without text, u3 with an unknown word."""
    cuts = []
    for k, text in enumerate(["YES", "YES", "", "MAYBE"]):
        path = tmp_path / f"u{k}.wav"
        soundfile.write(path, np.full(8000, 0.01), 8000)
        cuts.append(whole_cut(read_recording(path, f"u{k}"), text, "s"))
    path = tmp_path / "u1.wav"
    path.write_bytes(path.read_bytes()[:900])
    (tmp_path / "lexicon.txt").write_text("YES Y E S\n")
    write_set(tmp_path / "train", cuts)
    return tmp_path / "train"


def test_faults_end_in_one_line_and_leave_the_set_alone(
    faulty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in faulty.iterdir()}
    assert run(faulty, "--lexicon", faulty.parent / "lexicon.txt") == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 4  # three kinds, one word
    assert len(err.splitlines()) == 1
    for part in (
        "3 of 4 utterances",
        "truncated (1)",
        "empty transcript (1)",
        "add MAYBE",
        "--fix",
    ):
        assert part in err
    assert {path: path.read_bytes() for path in faulty.iterdir()} == before


def test_fix_drops_them_and_says_which(faulty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lexicon = ("--lexicon", faulty.parent / "lexicon.txt")
    assert run(faulty, *lexicon, "--fix") == 0
    assert f"{faulty}: dropped 3, kept 1: u1, u2, u3" in capsys.readouterr().out
    assert [cut.id for cut in read_cuts(faulty)] == ["u0"]
    assert run(faulty, *lexicon) == 0
    assert capsys.readouterr().out == f"{faulty}: 1 utterances, 0.00 h, 1 speaker: ok\n"


def test_a_directory_that_is_no_set_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path) == 2
    assert "chainstitch prepare" in capsys.readouterr().err
