"""`chainstitch lang-probs`: from an alignment directory to a lang directory with probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from chainstitch.nnet.chain import DenominatorGraph, NumeratorCompiler
from chainstitch.nnet.chain.supervision import NumeratorStore, phone_sentences
from chainstitch.nnet.infer.aligner import Aligner
from chainstitch.utils.data.alignment_directory import AlignedUtterance, write_alignment_directory
from chainstitch.utils.errors import UserError
from chainstitch.utils.hmm.topology import monophones
from chainstitch.utils.lang.directory import Lang, read_lang
from tests.toy import Toy, run


@pytest.fixture
def lang(tmp_path: Path) -> Lang:
    """`read` has two pronunciations; there is an unknown word."""
    (tmp_path / "lexicon").write_text("read R E D\nread(2) R I D\nit I T\n<unk> SPN\n")
    (tmp_path / "text").write_text("read it now\nit\nread\nnow it\n")
    command = ["lang", tmp_path / "lexicon", "--oov", "unk", "--silence-phones", "SIL SPN"]
    assert run(*command, "--text", tmp_path / "text", "--out", tmp_path / "lang") == 0
    return read_lang(tmp_path / "lang")


@pytest.fixture
def ali(lang: Lang, tmp_path: Path) -> Path:
    """Three utterances, the last one without words."""

    def said(phones: str, *words: tuple[str, int, int]) -> AlignedUtterance:
        pairs = [(lang.phones[phone], 3 * n) for n, phone in enumerate(phones.split(), 1)]
        return AlignedUtterance(pairs, list(words), -1.0)

    aligned = {
        "u1": said("SIL R E D I T SIL", ("read", 1, 4), ("it", 4, 6)),
        "u2": said("R I D SIL SPN", ("read", 0, 3), ("now", 4, 5)),
        "u3": said("SIL"),
    }
    write_alignment_directory(tmp_path / "ali", aligned, lang.phones, {}, textgrids=False)
    return tmp_path / "ali"


def test_probabilities_are_those_of_the_alignment_and_reach_l(
    lang: Lang, ali: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "dict"
    assert run("lang-probs", ali, "--lang", lang.path, "--out", out) == 0
    assert "4 words and 4 silences of 3 utterances; 4 of 4" in capsys.readouterr().out
    assert (out / "sil_counts.txt").read_text() == (
        "2 1 0 0 </s>\n0 0 2 1 <s>\n1 0 0 1 <unk> SPN\n0 1 1 0 it I T\n"
        "1 0 0 1 read R E D\n0 1 1 0 read R I D\n"
    )
    assert (out / "silence_phones.txt").read_text() == "SIL\nSPN\n"
    assert (out / "nonsilence_phones.txt").read_text() == "D\nE\nI\nR\nT\n"
    made = ["lang", out, "--text", tmp_path / "text", "--oov", "unk", "--out", tmp_path / "new"]
    assert run(*made) == 0
    new = read_lang(tmp_path / "new")
    assert new.phones == lang.phones and new.words == lang.words and new.unknown == "<unk>"
    # P(s | it) = (1 + 2 * .57) / (1 + 2), 4 of 7 gaps being silent
    assert new.probabilities.overall == 0.57
    assert new.probabilities.of("it", ("I", "T")).silence == 0.71
    assert new.weights.of("it", (5, 7)).then_silence == pytest.approx(np.log(2 * 0.71))
    assert (new.path / "L.fst").stat().st_size != (lang.path / "L.fst").stat().st_size


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("u1 1 0.03 0.27 read", "u1 1 0.03 0.26 read", "ctm:1: read of u1 is not where"),
        ("u1 1 0.30 0.33 it\n", "", "ctm: the end of u1 is not where"),
        ("u2 1 0.30 0.15 now\n", "", "ctm: the end of u2 is not where"),
        ("u1 1 0.03", "u1 1 zero", "ctm:1: 'u1 1 zero 0.27 read' is no line of a ctm"),
        ("0.15 now\n", "0.15 now\nu9 1 0.00 0.18 it\n", "ctm: u9 is not in"),
    ],
)
def test_a_ctm_that_does_not_fit_is_named_by_its_line(
    lang: Lang, ali: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    old: str, new: str, wanted: str,
) -> None:  # fmt: skip
    text = (ali / "ctm").read_text()
    assert old in text, text
    (ali / "ctm").write_text(text.replace(old, new))
    assert run("lang-probs", ali, "--lang", lang.path, "--out", tmp_path / "dict") == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert wanted in message and not (tmp_path / "dict").exists()


def test_unknown_words_are_said_counted_and_aligned_as_the_unknown_word(toy: Toy, tmp_path: Path):  # type: ignore[no-untyped-def]
    (tmp_path / "lexicon").write_text("low L\nhigh H\nrise L H\n<unk> SPN\n")
    command = ["lang", tmp_path / "lexicon", "--text", toy.train, "--silence-phones", "SIL SPN"]
    assert run(*command, "--out", tmp_path / "lang") == 1  # fall, hiss and hush are missing
    assert run(*command, "--oov", "unk", "--out", tmp_path / "lang") == 0
    den = tmp_path / "den.npz"
    assert (
        run("den-graph", toy.conf, "--data", toy.train, "--lang", tmp_path / "lang", "--out", den)
        == 0
    )
    lang = read_lang(tmp_path / "lang")
    assert phone_sentences([["hiss"]], lang, 0.0, 0.0) == [[lang.phones["SPN"]]]
    store = NumeratorStore(lang, NumeratorCompiler(DenominatorGraph.load(den)))
    graph, wanted = (store.get(text)[0] for text in ("low hiss", "low <unk>"))
    assert graph is not None and wanted is not None
    assert all(np.array_equal(getattr(graph, k), getattr(wanted, k)) for k in ("src", "dst", "pdf"))
    outputs = torch.randn(12, 2 * lang.num_phones, generator=torch.manual_seed(0)).numpy()
    found = Aligner(lang, monophones(lang.num_phones)).align("low hiss", outputs, 36)
    assert [word for word, _, _ in found.words] == ["low", "hiss"]
    (_, a, b) = found.words[1]
    assert [phone for phone, _ in found.phones[a:b]] == [lang.phones["SPN"]]


def test_the_unknown_word_has_to_be_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lexicon").write_text("low L\n")
    command = ["lang", tmp_path / "lexicon", "--grammar", "uniform", "--out", tmp_path / "lang"]
    assert run(*command, "--oov", "unk") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path / 'lexicon'} has no word <unk> for --oov unk" in line
    with pytest.raises(UserError, match="SIL comes twice"):
        from chainstitch.utils.lang.dictionary import read_dictionary

        read_dictionary(tmp_path / "lexicon", ["SIL", "SIL"])
