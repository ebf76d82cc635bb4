"""`chainstitch compare` at the terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from chainstitch.bin.main import app


def experiment(path: Path, hyp: str) -> None:
    directory = path / "decode_dev"
    directory.mkdir(parents=True)
    (directory / "ref").write_text("a one two\nb three four\n")
    (directory / "hyp").write_text(hyp)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/chainstitch", *arguments])
    with pytest.raises(SystemExit) as caught:
        app(arguments)
    return int(str(caught.value.code or 0))


def test_table_and_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment(Path("exp/base_s0"), "a one ten\nb ten four\n")
    experiment(Path("exp/new_s0"), "a one two\nb three four\n")
    experiment(Path("exp/new_s1"), "a one two\nb three ten\n")
    runs = ["exp/base_s0", "exp/new_s0", "exp/new_s1"]
    options = ["--baseline", "base", "--markdown", "R.md", "--section", "Two words"]
    assert run(monkeypatch, "compare", *runs, *options) == 0
    heading, base, new, *_ = capsys.readouterr().out.splitlines()
    assert heading.split()[:6] == ["set", "experiment", "WER", "%", "sd", "n"]
    assert base.split()[:5] == ["dev", "base", "50.00", "-", "1"]
    assert new.split()[:5] == ["dev", "new", "12.50", "17.68", "2"]
    text = Path("R.md").read_text()
    found = json.loads(Path("results/two_words.json").read_text())
    command = "chainstitch compare exp/base_s0 exp/new_s0 exp/new_s1 --baseline base"
    assert found["command"].startswith(command) and "3 runs: " in text
    assert "somewhere" not in text
    first = Path("R.md").read_bytes()
    assert run(monkeypatch, "compare", *runs, *options) == 0
    assert Path("R.md").read_bytes() == first


def test_an_error_leaves_the_results_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment(Path("exp/a_s0"), "a one\nstranger x\n")
    Path("R.md").write_text("mine\n")
    assert run(monkeypatch, "compare", "exp/a_s0", "--markdown", "R.md") == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert "'stranger'" in error[0]
    assert Path("R.md").read_text() == "mine\n"
