"""`chainstitch score` at the terminal: the %WER line last, errors in one line, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainstitch.bin.main import app


def decode(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "ref").write_text("a one two\nb three\n")
    (path / "utt2spk").write_text("a ann\nb bob\n")
    for lmwt, hyp in {9: "a one two\n", 10: "a one ten\n", 11: "a ten\n"}.items():
        (path / f"hyp_{lmwt}_0.0").write_text(hyp)
    return path


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as caught:
        app([str(argument) for argument in arguments])
    return int(str(caught.value.code or 0))


def test_dev_then_test_at_its_choice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    dev, test = decode(tmp_path / "decode_dev"), decode(tmp_path / "decode_test")
    assert run("score", dev) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "%WER 33.33 [ 1 / 3, 0 ins, 1 del, 0 sub ]"
    assert "lmwt 9, wip 0 (chosen from 3 on dev)" in said
    assert "1 of 2 utterances have no hypothesis" in caplog.text
    assert "the best lmwt, 9, is at the edge of the sweep 9 to 11" in caplog.text
    caplog.clear()
    assert run("score", test, "--choice", dev / "choice.toml") == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "%WER 33.33 [ 1 / 3, 0 ins, 1 del, 0 sub ]"
    assert "edge" not in caplog.text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["decode_test"], 2, "--allow-sweep"),
        (["decode_test", "--choice", "nowhere.toml"], 2, "nowhere.toml does not exist"),
        (["decode_nowhere"], 1, "does not exist"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    decode(tmp_path / "decode_test")
    assert run("score", *arguments) == code
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert said in error[0]
