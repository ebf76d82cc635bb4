"""`chainstitch lang` at the command line: each LM source, missing words, and errors in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainstitch.bin.main import app
from chainstitch.utils.lang.directory import read_lang


def _run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as done:
        app(["lang", *(str(a) for a in arguments)])
    code = done.value.code
    return code if isinstance(code, int) else int(code is not None)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "lexicon").write_text("one W A N\ntwo T U\n")
    (tmp_path / "text").write_text("one two\ntwo\none one\none two\n")
    (tmp_path / "more").write_text("one tree\n")
    (tmp_path / "lm.arpa").write_text(
        "\\data\\\nngram 1=4\n\n\\1-grams:\n-1 <s>\n-0.5 </s>\n-0.4 one\n-0.7 ten\n\n\\end\\\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    "source", [("--text", "text"), ("--lm", "lm.arpa"), ("--grammar", "uniform")]
)
def test_each_source_makes_a_lang_directory(place: Path, source: tuple[str, str]) -> None:
    option, value = source
    path = value if option == "--grammar" else place / value
    assert _run(place / "lexicon", option, path, "--out", place / "lang") == 0
    lang = read_lang(place / "lang")
    assert (list(lang.lexicon), lang.num_phones) == (["one", "two"], 6)


def test_exactly_one_source_is_wanted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = ("--text", place / "text", "--grammar", "uniform")
    for sources in ((), both):
        assert _run(place / "lexicon", *sources, "--out", place / "lang") == 2
        assert "exactly one of --text" in capsys.readouterr().err
    assert not (place / "lang").exists()


def test_missing_words_are_named_or_spelled(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (place / "lexicon", "--text", place / "text", "--words-from", place / "more")
    command += ("--out", place / "lang")
    assert _run(*command) == 1
    message = capsys.readouterr().err
    assert "1 words of the text are not in the lexicon: 'tree' (1 time)" in message
    assert len(message.splitlines()) == 1 and not (place / "lang").exists()
    assert _run(*command, "--oov", "graphemes") == 0
    assert read_lang(place / "lang").lexicon["tree"] == [("g_T", "g_R", "g_E", "g_E")]


def test_own_entries_mend_missing_words(place: Path) -> None:
    (place / "extra").write_text("tree T R I\n")
    assert (
        _run(place / "lexicon", "--grammar", "uniform", "--words-from", place / "more",
             "--extra-lexicon", place / "extra", "--out", place / "lang") == 0
    )  # fmt: skip
    assert read_lang(place / "lang").lexicon["tree"] == [("T", "R", "I")]


def test_lexicon_may_be_left_out_with_graphemes(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("--text", place / "text", "--out", place / "lang")
    assert _run(*command) == 2
    assert "no lexicon" in capsys.readouterr().err
    assert _run(*command, "--oov", "graphemes") == 0
    assert list(read_lang(place / "lang").lexicon) == ["one", "two"]


def test_what_exists_is_left_untouched(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "lang").mkdir()
    (place / "lang" / "mine").write_text("mine")
    command = (place / "lexicon", "--grammar", "uniform", "--out", place / "lang")
    assert _run(*command) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert [p.name for p in (place / "lang").iterdir()] == ["mine"]
    assert _run(*command, "--overwrite") == 2
    assert "was not made by chainstitch lang" in capsys.readouterr().err
    assert [p.name for p in (place / "lang").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--grammar", "uniforn"), "wanted uniform"),
        (("--grammar", "uniform", "--oov", "skip"), "wanted error or graphemes"),
        (("--text", "nowhere"), "does not exist"),
        (("--text", "TEXT", "--ngram-order", "9"), "less than or equal to 6"),
    ],
)
def test_bad_options_are_usage_errors(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    wanted: str,
) -> None:
    arguments = tuple(str(place / "text") if a == "TEXT" else a for a in arguments)
    assert _run(place / "lexicon", *arguments, "--out", place / "lang") == 2
    message = capsys.readouterr().err
    assert wanted in message and len(message.splitlines()) == 1
    assert not (place / "lang").exists()
