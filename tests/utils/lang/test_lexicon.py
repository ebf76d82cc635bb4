"""Lexicons: what is read, what is refused and how, and pronunciation by letters."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.lang import lexicon as lx


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_reading_keeps_all_pronunciations_in_order_and_drops_duplicates(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "the DH AH\nthe DH IY\n\nthe\tDH AH\nöre  Ö R E\n"
    with caplog.at_level(logging.WARNING):
        lexicon = lx.read_lexicon(_write(tmp_path / "lexicon.txt", text))
    assert lexicon == {"the": [("DH", "AH"), ("DH", "IY")], "öre": [("Ö", "R", "E")]}
    assert "1 pronunciations came twice" in caplog.text


def test_writing_and_reading_return_the_lexicon(tmp_path: Path) -> None:
    lexicon = {"b": [("B",)], "a": [("A", "B"), ("A",)]}
    lx.write_lexicon(lexicon, tmp_path / "lexicon.txt")
    assert (tmp_path / "lexicon.txt").read_text() == "a A B\na A\nb B\n"
    assert lx.read_lexicon(tmp_path / "lexicon.txt") == lexicon


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("word", "'word' has no pronunciation"),
        ("<eps> A", "reserved"),
        ("#0 A", "reserved"),
        ("</s> A", "reserved"),
        ("word A #1", "reserved"),
        ("word <eps>", "reserved"),
        ("!SIL SIL", "silence phone"),
        ("word 0.75 A B", "lexiconp.txt"),
    ],
)
def test_bad_lines_are_named_by_file_and_number(tmp_path: Path, line: str, wanted: str) -> None:
    path = _write(tmp_path / "lexicon.txt", f"fine F\n{line}\n")
    with pytest.raises(UserError, match=wanted) as raised:
        lx.read_lexicon(path)
    assert str(raised.value).startswith(f"{path}:2:")


def test_symbols_with_white_space_are_refused() -> None:
    for word, phones in (("a b", ("A",)), ("a", ("A B",)), ("a", ("",)), ("", ("A",))):
        with pytest.raises(UserError, match="white space"):
            lx.check_entry(word, phones, "here")


def test_missing_empty_and_binary_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        lx.read_lexicon(tmp_path / "none")
    with pytest.raises(UserError, match="no entries"):
        lx.read_lexicon(_write(tmp_path / "empty", "\n \n"))
    (tmp_path / "binary").write_bytes(b"a \xff\xfe\n")
    with pytest.raises(UserError, match="UTF-8"):
        lx.read_lexicon(tmp_path / "binary")


def test_graphemes_are_upper_case_letters_with_a_prefix() -> None:
    assert lx.graphemes("it's") == ("g_I", "g_T", "g_S")
    assert lx.graphemes("e\u0301t") == ("g_\u00c9", "g_T")  # a decomposed accent is composed
    assert lx.graphemes("h2o!") == ("g_H", "g_O")
    assert lx.graphemes("कि") == ("g_क", "g_ि")  # a vowel sign is a mark, and is spoken
    assert lx.graphemes("42") == ()


def test_missing_words_are_an_error_that_names_counts_and_both_remedies() -> None:
    lexicon: lx.Lexicon = {"a": [("A",)]}
    with pytest.raises(UserError) as raised:
        lx.add_missing(lexicon, {"a": 3, "c": 1, "b": 2}, "error")
    message = str(raised.value)
    assert message.startswith("2 words of the text")
    assert message.index("'b' (2 times)") < message.index("'c' (1 time)")
    assert "--extra-lexicon" in message and "--oov graphemes" in message
    assert "\n" not in message


def test_graphemes_complete_the_lexicon_and_name_each_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        lexicon = lx.add_missing({"a": [("A",)]}, {"a": 1, "be": 2}, "graphemes")
    assert lexicon == {"a": [("A",)], "be": [("g_B", "g_E")]}
    assert "be (2 times): g_B g_E" in caplog.text


def test_words_without_letters_are_an_error() -> None:
    with pytest.raises(UserError, match=r"1 words .*no letters.*'42' \(1 time\)"):
        lx.add_missing({}, {"42": 1, "a": 1}, "graphemes")


def test_own_entries_replace_those_of_the_lexicon() -> None:
    merged = lx.merge({"a": [("A",)], "b": [("B",)]}, {"a": [("E", "I")]})
    assert merged == {"a": [("E", "I")], "b": [("B",)]}
