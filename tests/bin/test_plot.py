"""`chainstitch plot` at the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainstitch.bin.main import app


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as caught:
        app(["plot", *map(str, arguments)])
    return int(str(caught.value.code or 0))


def test_experiments_and_decode_directories_have_their_own_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exp, decoded = tmp_path / "exp", tmp_path / "exp" / "decode_test"
    decoded.mkdir(parents=True)
    (exp / "train.jsonl").write_text('{"iter": 0, "train_objf": -1.0, "valid_objf": -1.1}\n')
    for name, line in {"ref": "u one\n", "hyp": "u ten\n", "utt2spk": "u ann\n"}.items():
        (decoded / name).write_text(line)
    assert run(exp) == 0
    assert run(decoded) == 0
    assert capsys.readouterr().out.split() == [
        str(exp / "objective.png"),
        str(decoded / "per_spk.png"),
    ]
    assert (exp / "objective.png").is_file()
    assert (decoded / "per_spk.png").is_file()
    assert run(exp, decoded) == 2


def test_no_log_is_one_line_that_says_what_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--out", tmp_path / "a.png") == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert "chainstitch train" in error[0]
    assert not (tmp_path / "a.png").exists()
