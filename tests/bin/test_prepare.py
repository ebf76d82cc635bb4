"""`chainstitch prepare` at the terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from chainstitch.bin import main, prepare


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main.app(["prepare", *map(str, arguments)])
    return int(stop.value.code or 0)


def test_unknown_corpus_gets_the_nearest_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("digit", tmp_path, tmp_path / "data") == 2
    assert capsys.readouterr().err == (
        "chainstitch prepare: error: unknown corpus 'digit'; did you mean 'digits'? "
        "known: yesno, digits, kaldi, folder, tedlium, ami, ami-dict, fisher, swbd, eval2000, "
        "rt03, cifar10, cifar100, mnist\n"
    )
    assert run("librispeech", tmp_path, tmp_path / "data") == 2
    assert "unknown corpus 'librispeech'; known: yesno, " in capsys.readouterr().err
    assert run() == 2
    assert "wanted a corpus: yesno, digits, " in capsys.readouterr().err


def test_a_corpus_has_its_own_options_only(capsys: pytest.CaptureFixture[str]) -> None:
    cifar = ("cifar10", "cifar100")
    own = {"--protocol": ("digits",), "--split": ("folder",), "--unofficial": cifar}
    own["--max-train"] = (*cifar, "mnist")
    for corpus in prepare.SUBCOMMANDS:
        assert run(corpus, "--help") == 0
        shown = capsys.readouterr().out
        for option, having in own.items():
            assert (option in shown) == (corpus in having)
    assert run("yesno", "a", "b", "--split", "dev=0.1") == 2
    assert "see chainstitch prepare yesno --help" in capsys.readouterr().err


def test_a_source_that_is_not_there_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("yesno", tmp_path / "none", tmp_path / "data") == 2
    assert "none is not a directory" in capsys.readouterr().err


def test_folder_is_prepared_once_and_then_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    for k in range(10):
        soundfile.write(tmp_path / "in" / f"u{k}.wav", np.full(2000, 0.01), 8000)
        (tmp_path / "in" / f"u{k}.txt").write_text("hello")
    out = tmp_path / "data"
    assert run("folder", tmp_path / "in", out, "--split", "dev=0.1,test=0.1") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{out}/train: 8 utterances",
        f"{out}/dev: 1 utterances",
        f"{out}/test: 1 utterances",
    ]
    before = (out / "train" / "cuts.jsonl.gz").read_bytes()
    assert run("folder", tmp_path / "in", out, "--split", "dev=0.2") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (out / "train" / "cuts.jsonl.gz").read_bytes() == before
    assert run("folder", tmp_path / "in", out, "--split", "dev=0.2", "--overwrite") == 0
