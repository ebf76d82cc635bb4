"""`chainstitch decode` at the command line, around a network that says what the test wants."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import chainstitch.nnet.infer  # noqa: F401  before a part of it is replaced
from chainstitch.bin.main import app
from chainstitch.utils.config import save
from chainstitch.utils.hmm import topology
from chainstitch.utils.lang import ngram
from chainstitch.utils.lang.directory import write_lang
from chainstitch.utils.outputs import MARK
from chainstitch.utils.score.sweep import Choice
from tests.k2.needed import needs_k2

LEXICON = {"one": [("W", "N")], "two": [("T", "U")]}  # N 2, T 3, U 4, W 5
SPOKEN = {"utt-a": [5, 2, 3, 4], "utt-b": [1, 3, 4, 1]}
TEXTS = {"utt-a": "one two", "utt-b": "two"}


def _cut(name: str) -> SimpleNamespace:
    part = SimpleNamespace(id=name, start=0.0, text=TEXTS[name], speaker="s1")
    return SimpleNamespace(id=name, supervisions=[part])


class _Reader:
    def __init__(self, directory: Path) -> None:
        self.cuts = [_cut(name) for name in SPOKEN]

    def load(self, cut: SimpleNamespace) -> list[int]:
        return SPOKEN[cut.id]


def _log_likes(model: SimpleNamespace, feats: list[list[int]]) -> list[Any]:
    outputs = []
    for phones in feats:
        path = [pdf for p in phones for pdf in (topology.entry_pdf(p), topology.loop_pdf(p))]
        scores = np.full((len(path), topology.num_pdfs(5)), -9.0, dtype=np.float32)
        scores[np.arange(len(path)), path] = np.nan if model.broken else 0.0
        outputs.append(scores)
    return outputs


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lang directory and an experiment; the network and the features are made up."""
    write_lang(tmp_path / "lang", LEXICON, ngram.from_words())
    (tmp_path / "exp").mkdir()
    infer: Any = ModuleType("chainstitch.nnet.infer.outputs")
    infer.load_model = lambda exp, device: SimpleNamespace(
        broken=(exp / "broken").exists(), subsampling=3
    )
    infer.log_likes = lambda model, features, ivectors, pieces: _log_likes(model, features)
    infer.Pieces = lambda *sizes: sizes
    infer.ivector_reader = lambda model, data: None
    infer.check_features = lambda exp, model, reader: None
    monkeypatch.setitem(sys.modules, "chainstitch.nnet.infer.outputs", infer)
    monkeypatch.setattr("chainstitch.nnet.infer.outputs", infer, raising=False)
    monkeypatch.setattr("chainstitch.utils.data.features.FeatureReader", _Reader)
    return tmp_path


def _run(place: Path, *arguments: str | Path) -> int:
    command = ["decode", place / "exp", "--data", "data", "--lang", place / "lang"]
    command += ["--out", place / "exp" / "decode_dev", *arguments]
    with pytest.raises(SystemExit) as done:
        app([str(a) for a in command])
    code = done.value.code
    return code if isinstance(code, int) else int(code is not None)


def _content(directory: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in directory.iterdir() if p.name != MARK}


@pytest.mark.parametrize(("batch", "count"), [(1, 2), (16, 2), (1, 3)])
def test_shares_put_together_are_the_whole(
    place: Path, monkeypatch: pytest.MonkeyPatch, batch: int, count: int
) -> None:
    monkeypatch.setattr(sys.modules["chainstitch.bin.decode"], "BATCH", batch)
    assert _run(place, "--nj", "1") == 0
    whole = _content(place / "exp" / "decode_dev")
    (place / "exp" / "decode_dev").rename(place / "whole")
    for number in range(1, count + 1):
        assert _run(place, "--nj", "1", "--part", f"{number}/{count}") == 0
    assert not (place / "exp" / "decode_dev").exists()
    assert _run(place, "--merge", str(count)) == 0
    assert _content(place / "exp" / "decode_dev") == whole
    assert not (place / "exp" / "decode_dev.parts").exists()
    assert _run(place, "--nj", "1", "--part", "1/2") == 2  # it is there already


def test_shares_of_other_sweeps_or_sets_are_not_put_together(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _run(place, "--merge", "1") == 2
    assert "1of1 is missing" in capsys.readouterr().err
    monkeypatch.setattr(sys.modules["chainstitch.bin.decode"], "BATCH", 1)
    assert _run(place, "--nj", "1", "--part", "1/2") == 0
    assert _run(place, "--nj", "1", "--part", "2/2", "--lmwt", "9") == 0
    assert _run(place, "--merge", "2") == 2
    assert "has other files than" in capsys.readouterr().err
    assert _run(place, "--nj", "1", "--part", "2/2") == 0
    monkeypatch.setitem(SPOKEN, "utt-c", [1])
    monkeypatch.setitem(TEXTS, "utt-c", "one")
    assert _run(place, "--merge", "2") == 2
    assert "is of another set" in capsys.readouterr().err
    assert not (place / "exp" / "decode_dev").exists()


def test_whole_sweep_is_written(place: Path) -> None:
    assert _run(place, "--nj", "1") == 0
    content = _content(place / "exp" / "decode_dev")
    assert len([name for name in content if name.startswith("hyp_")]) == 55
    assert content["hyp_10_0.5"] == content["ref"] == "utt-a one two\nutt-b two\n"
    assert content["utt2spk"] == "utt-a s1\nutt-b s1\n"
    assert content["ctm"] == (
        "utt-a 1 0.00 0.12 one\nutt-a 1 0.12 0.12 two\nutt-b 1 0.06 0.12 two\n"
    )
    assert len(list((place / "exp").glob("graph_lang_*/HLG.fst"))) == 1


def test_choice_of_the_dev_set_is_the_only_point(place: Path) -> None:
    save(Choice(9.0, 0.5, "dev", "%WER", 33), place / "choice.toml")
    assert _run(place, "--choice", place / "choice.toml", "--nj", "1") == 0
    assert set(_content(place / "exp" / "decode_dev")) == {"ref", "utt2spk", "hyp_9_0.5", "ctm"}


def test_existing_directory_stays(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "exp" / "decode_dev").mkdir()
    (place / "exp" / "decode_dev" / "mine").write_text("mine")
    assert _run(place) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert _content(place / "exp" / "decode_dev") == {"mine": "mine"}


def test_broken_network_names_the_utterance_and_leaves_nothing(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "exp" / "broken").touch()
    assert _run(place, "--nj", "1") == 1
    assert "utt-a: 8 of 80 log-likelihoods are not finite" in capsys.readouterr().err
    assert not (place / "exp" / "decode_dev").exists()


def test_bad_sweep_is_a_usage_error(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(place, "--lmwt", "17:7") == 2
    assert "--lmwt '17:7'" in capsys.readouterr().err


@needs_k2
@pytest.mark.parametrize("nj", ["1", "2"])
def test_k2_decodes_to_the_same_files(place: Path, nj: str) -> None:
    assert _run(place, "--nj", "1") == 0
    kaldi = _content(place / "exp" / "decode_dev")
    assert _run(place, "--nj", nj, "--decoder", "k2", "--overwrite") == 0
    assert _content(place / "exp" / "decode_dev") == kaldi


def test_a_decoder_that_cannot_run_is_one_line_before_anything_is_read(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "k2", None)
    for decoder, code, said in (("k2", 1, "k2 is not installed"), ("htk", 2, "wants kaldi or k2")):
        assert _run(place, "--decoder", decoder) == code
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("chainstitch decode: error: ") and said in line
    assert list((place / "exp").iterdir()) == []
