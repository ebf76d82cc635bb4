"""ARPA files that lie are refused by line; those of other dress are read."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.lang import directory, ngram
from tests.faults.arpa import ARPA
from tests.faults.refusals import refused
from tests.toy import LEXICON


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a lexicon and an ARPA file."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"lexicon": LEXICON, "lm": ARPA}.items():
        Path(name).write_text(text)
    return tmp_path


LIES: dict[str, tuple[Callable[[str], str], str]] = {
    "decimal comma": (lambda t: t.replace("-0.5\t", "-0,5\t"), "line 9: .*'-0,5' has"),
    "comma of a back-off": (
        lambda t: t.replace("-0.2\n", "-0,2\n"), "line 9: the back-off weight '-0,2' has a decimal",
    ),
    "comma in 2-grams": (lambda t: t.replace("-0.4\t", "-0,4\t"), "line 14: .* decimal comma"),
    "above 0": (lambda t: t.replace("-0.5\t", "0.5\t"), "line 9: .*'0.5' is above 0"),
    "2-gram above 0": (lambda t: t.replace("-0.4\t", "0.4\t"), "line 14: .*'0.4' is above 0"),
    "natural logs of counts": (lambda t: t.replace("-0.4\t", "4\t"), "line 14: .*'4' is above 0"),
    "minus infinity": (lambda t: t.replace("-0.5\t", "-inf\t"), "line 9: .*'-inf' is not finite"),
    "NaN": (lambda t: t.replace("-0.4\t", "nan\t"), "line 14: .*'nan' is not finite"),
    "huge": (lambda t: t.replace("-0.4\t", "-1e999\t"), "line 14: .* is not finite"),
    "infinite back-off": (lambda t: t.replace("-0.2\n", "inf\n"), "line 9: .*not finite"),
    "no number": (lambda t: t.replace("-0.4\t", "x\t"), "line 14: the log-probability 'x' is not"),
    "underscore": (lambda t: t.replace("-0.4\t", "-1_0\t"), "line 14: .*'-1_0' is not a number"),
    "no </s>": (
        lambda t: t.replace("-1.0\t</s>\n", "").replace("1=4", "1=3"), "no 1-gram </s> above",
    ),
    "no <s>": (
        lambda t: t.replace("-1.0\t<s>\t-0.3\n", "").replace("1=4", "1=3"), "no 1-gram <s> above",
    ),
    "fewer than promised": (
        lambda t: t.replace("2=2", "2=3"), "line 16: 2 2-grams above, the header promises 3",
    ),
    "more than promised": (
        lambda t: t.replace("1=4", "1=3"), "line 12: 4 1-grams above, the header promises 3",
    ),
    "order missing": (lambda t: t.replace("ngram 1=4\n", ""), "line 5: wanted lines ngram 1=COUNT"),
    "orders turned": (
        lambda t: t.replace("ngram 1=4\nngram 2=2", "ngram 2=2\nngram 1=4"), "wanted lines ngram 1",
    ),
    "sections turned": (lambda t: t.replace("\\1-grams", "\\2-grams", 1), "wanted .1-grams:"),
    "section missing": (
        lambda t: t[: t.index("\\2-")] + "\\end\\\n", "line 12: found .*, wanted .2-grams:",
    ),
    "section more": (
        lambda t: t.replace("\\end", "\\3-grams:\n-1\ta b c\n\n\\end"), "line 16: .*wanted .end",
    ),
    "cut short": (lambda t: t[: t.index("-0.4")], "the file ends here, without .end"),
    "cut short in the header": (lambda t: t[: t.index("ngram 2")], "line 3: "),
    "a word too many": (lambda t: t.replace("low high", "low high low"), "line 13: found"),
    "a word too few": (lambda t: t.replace("<s> low", "low"), "line 14: found"),
    "nothing": (lambda t: "", "no line .data. before it"),
    "no ARPA": (lambda t: "hello\n" * 9, "line 9: the end, and no line .data"),
    "Latin-1": (lambda t: t.replace("high\t", "h\udce9\t"), ":10: byte 7 of the line, 0xe9"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
def test_arpa_files_that_lie_are_refused_by_line(
    place: Path, name: str, zipped: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    change, wanted = LIES[name]
    content = change(ARPA).encode(errors="surrogateescape")
    file = "lm.gz" if zipped else "lm"
    Path(file).write_bytes(gzip.compress(content) if zipped else content)
    if zipped:  # the same code behind the reader: without a command
        with pytest.raises(UserError, match=wanted):
            ngram.arpa_fst(file, "words.txt", {})
        return
    line = refused(["lang", "lexicon", "--lm", file, "--out", "o"], place, capsys)
    with pytest.raises(UserError, match=wanted):
        raise UserError(line)
    assert "language model lm" in line


FINE: dict[str, Callable[[str], str]] = {
    "as it is": lambda t: t,
    "no blank lines": lambda t: t.replace("\n\n", "\n"),
    "blanks for tabs": lambda t: t.replace("\t", "  "),
    "comments first": lambda t: "a comment\n-1,5 with commas\n" + t,
    "something behind": lambda t: t + "garbage 0,5\n",
    "zero": lambda t: t.replace("-0.4\t", "0.0\t"),
    "rounding above 0": lambda t: t.replace("-0.4\t", "0.00001\t"),
    "minus zero, and exponents": lambda t: t.replace("-0.4\t", "-4e-1\t").replace("-0.2\n", "-0\n"),
    "back-off above 0": lambda t: t.replace("-0.2\n", "1.25\n"),
    "-99": lambda t: t.replace("-1.0\t<s>", "-99\t<s>"),
    "an order without n-grams": lambda t: t.replace("2=2", "2=0").replace(
        "-0.3\tlow high\n-0.4\t<s> low\n", ""
    ),
    "space in the header": lambda t: t.replace("ngram 1=4", "ngram  1 = 4"),
    "word that is a number": lambda t: t.replace("high\t", "-7\t"),
    "back-off at a word that is a number": lambda t: t.replace("low high", "low -7"),
    "more letters": lambda t: t.replace("high\t", "\u00fcber\t"),
}


@pytest.mark.parametrize("name", FINE)
def test_arpa_files_of_other_dress_are_read(place: Path, name: str) -> None:
    Path("lm").write_text(FINE[name](ARPA))
    words = ["<eps>", "low", "high", "-7", "\u00fcber", "#0", "<s>", "</s>"]
    table = {word: n for n, word in enumerate(words)}
    directory.write_table(table, Path("words.txt"))
    assert ngram.arpa_fst("lm", "words.txt", table).num_states > 0
