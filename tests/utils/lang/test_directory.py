"""The lang directory: what is written is read back, and a failure leaves what was there."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.hmm import topology
from chainstitch.utils.lang import ngram
from chainstitch.utils.lang.dictionary import SILENCE_PHONES
from chainstitch.utils.lang.directory import FILES, Lang, read_lang, write_lang
from chainstitch.utils.lang.probabilities import EntryProbabilities, Probabilities
from chainstitch.utils.outputs import MARK

LEXICON = {"no": [("N", "O")], "know": [("N", "O")], "on": [("O", "N")]}


def _write(out: Path, overwrite: bool = False) -> Lang:
    return write_lang(out, LEXICON, ngram.from_words(), overwrite=overwrite)


def test_directory_holds_the_contract_s_files_and_reads_back(tmp_path: Path) -> None:
    written = _write(tmp_path / "lang")
    assert {p.name for p in (tmp_path / "lang").iterdir()} == {MARK, *FILES, SILENCE_PHONES}
    lang = read_lang(tmp_path / "lang")
    assert lang == written
    assert lang.words == {
        "<eps>": 0, "know": 1, "no": 2, "on": 3, "#0": 4, "<s>": 5, "</s>": 6
    }  # fmt: skip
    assert list(lang.phones) == ["<eps>", "SIL", "N", "O", "#0", "#1", "#2", "#3"]
    assert (lang.num_phones, lang.disambiguation) == (3, [4, 5, 6, 7])
    assert lang.pronunciations == {1: [(2, 3)], 2: [(2, 3)], 3: [(3, 2)]}
    assert (tmp_path / "lang" / "topo").read_text() == topology.describe(3)
    for name in ("L.fst", "L_disambig.fst", "G.fst"):
        assert lang.fst(name).num_states > 0


def test_directories_made_before_there_were_several_silences_are_read(tmp_path: Path) -> None:
    lang = _write(tmp_path / "lang")
    (tmp_path / "lang" / SILENCE_PHONES).unlink()
    assert read_lang(tmp_path / "lang") == lang and lang.silences == ("SIL",)


def test_silences_probabilities_and_the_unknown_word_are_read_back(tmp_path: Path) -> None:
    lexicon = {"no": [("N", "O"), ("N",)], "<unk>": [("SPN",)]}
    probabilities = Probabilities(
        {("no", ("N",)): EntryProbabilities(0.25, 0.3, 1.5, 0.8),
         ("no", ("N", "O")): EntryProbabilities(), ("<unk>", ("SPN",)): EntryProbabilities()},
        0.7, 1.1, 0.9, 0.4,
    )  # fmt: skip
    made = write_lang(
        tmp_path / "lang", lexicon, ngram.from_words(), silences=("sil", "SPN", "NSN"),
        probabilities=probabilities, unknown="<unk>",
    )  # fmt: skip
    assert list(made.phones)[:6] == ["<eps>", "sil", "SPN", "NSN", "N", "O"] and made.silence == 1
    assert made.probabilities == probabilities and made.unknown == "<unk>"
    assert made.known(["no", "what"]) == ["no", "<unk>"]
    path = tmp_path / "lang" / "lexiconp_silprob.txt"
    path.write_text(path.read_text().replace("no 0.25 0.30 1.50 0.80 N\n", ""))
    with pytest.raises(UserError, match="have other pronunciations"):
        read_lang(tmp_path / "lang")
    path.unlink()
    (tmp_path / "lang" / "oov.txt").write_text("what\n")
    with pytest.raises(UserError, match="oov.txt:1: 'what' is no word"):
        read_lang(tmp_path / "lang")


def test_same_input_makes_the_same_bytes(tmp_path: Path) -> None:
    _write(tmp_path / "a")
    _write(tmp_path / "b")
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_failure_leaves_the_old_directory(tmp_path: Path) -> None:
    _write(tmp_path / "lang")
    before = {p.name: p.read_bytes() for p in (tmp_path / "lang").iterdir()}
    with pytest.raises(UsageError, match="--overwrite"):
        _write(tmp_path / "lang")
    with pytest.raises(UserError, match="does not exist"):
        write_lang(
            tmp_path / "lang",
            {"new": [("N",)]},
            ngram.from_arpa(tmp_path / "none.arpa"),
            overwrite=True,
        )
    assert {p.name: p.read_bytes() for p in (tmp_path / "lang").iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["lang"]
    _write(tmp_path / "lang", overwrite=True)


@pytest.mark.parametrize(
    ("name", "old", "new", "wanted"),
    [
        ("words.txt", "no 2", "no", "words.txt:3"),
        ("words.txt", "no 2", "no 1", "one number"),
        ("words.txt", "no 2", "on 2", "words.txt:4"),
        ("phones.txt", "SIL 1\nN 2", "N 1\nSIL 2", "SIL = 1"),
        ("lexicon.txt", "on O N", "on O M", "'M' has no number"),
    ],
)
def test_damaged_tables_are_errors(
    tmp_path: Path, name: str, old: str, new: str, wanted: str
) -> None:
    _write(tmp_path / "lang")
    path = tmp_path / "lang" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=wanted):
        read_lang(tmp_path / "lang")


def test_other_directories_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no words.txt"):
        read_lang(tmp_path)
