"""Kneser-Ney models are those of the definition, whatever the text; bad texts are named by line."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import pytest

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.lm import training
from chainstitch.utils.lm.arpa_file import read_model
from chainstitch.utils.lm.perplexity import perplexity
from tests.language_models import Sentences, as_dict, assert_same, draw_sentences, write_text
from tests.reference import ngrams

ROUNDED = 2e-6  # numbers of an ARPA file


@pytest.mark.parametrize("order", [2, 3, 4, 5])
@pytest.mark.parametrize("least", [[1], [2], [1, 2, 3]])
@pytest.mark.parametrize("limited", [False, True])
def test_a_trained_model_is_that_of_the_definition(
    order: int, least: list[int], limited: bool, tmp_path: Path
) -> None:
    sentences = draw_sentences(200, 30, seed=order)
    text = write_text(tmp_path / "text", sentences)
    words = {"w0", "w1", "w2", "w3", "w5", "w8", "w13", "never-seen"} if limited else None
    vocabulary = None
    if words:
        vocabulary = tmp_path / "words"
        vocabulary.write_text("".join(f"{w} {w}\n" for w in sorted(words)))
    full = (least + [least[-1]] * order)[: order - 1]
    training.train([text], tmp_path / "arpa", order, least[: order - 1], vocabulary, parts=3)
    wanted = ngrams.kneser_ney(sentences, order, full, words and {*words, "</s>", "<unk>"})
    assert_same(as_dict(read_model(tmp_path / "arpa")), wanted, ROUNDED)


@pytest.mark.parametrize(
    "sentences",
    [[["a"]], [["a"], ["a"], ["a"]], [["a", "b"]] * 2 + [["b"]], [["a"] * 30]],
    ids=["one word", "one sentence three times", "two words", "one long sentence"],
)
def test_tiny_texts_have_models(
    sentences: Sentences, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = write_text(tmp_path / "text", sentences)
    with caplog.at_level(logging.WARNING):
        training.train([text], tmp_path / "arpa", 3)
    assert "for a discount of each count" in caplog.text
    wanted = ngrams.kneser_ney(sentences, 3, [1, 1], None)
    assert_same(as_dict(read_model(tmp_path / "arpa")), wanted, ROUNDED)


def test_texts_are_read_in_parts_and_in_any_dress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentences = draw_sentences(60, 9, seed=3)
    plain = write_text(tmp_path / "text", sentences)
    training.train([plain], tmp_path / "arpa", 3)
    first = "".join(f"<s> {' '.join(s)} </s>\r\n" for s in sentences[:30])
    second = "".join(f"  {'  '.join(s)}\n\n" for s in sentences[30:])
    (tmp_path / "first").write_bytes(b"\xef\xbb\xbf" + first.encode())
    (tmp_path / "second.gz").write_bytes(gzip.compress(second.encode()))
    monkeypatch.setattr("chainstitch.utils.lm.tokens.TOKENS", 50)
    texts = [tmp_path / "first", tmp_path / "second.gz"]
    training.train(texts, tmp_path / "again.arpa.gz", 3)
    again = gzip.decompress((tmp_path / "again.arpa.gz").read_bytes())
    assert again == (tmp_path / "arpa").read_bytes()


def test_n_grams_of_the_file_are_sorted_by_their_histories(tmp_path: Path) -> None:
    text = write_text(tmp_path / "text", draw_sentences(200, 30, seed=4))
    training.train([text], tmp_path / "arpa", 3)
    model = ngrams.read(tmp_path / "arpa")
    place = {ngram: n for n, ngram in enumerate(model)}
    for n in (2, 3):
        histories = [place[ngram[:-1]] for ngram in model if len(ngram) == n]
        assert histories == sorted(histories)


def test_the_perplexity_of_the_penn_treebank_is_the_published_one(
    data_dir: Path, tmp_path: Path
) -> None:
    training.train([data_dir / "ptb" / "ptb.train.txt"], tmp_path / "arpa", 3)
    score = perplexity(read_model(tmp_path / "arpa"), data_dir / "ptb" / "ptb.test.txt")
    assert (score.sentences, score.words) == (3761, 78_669)
    assert score.perplexity == pytest.approx(148.3, abs=0.05)


BAD = {
    "not UTF-8": (b"low\nh\xe9\n", r"text:2: byte 2 of the line, 0xe9, is not UTF-8"),
    "<s> inside": (b"low\nlow\n<s> low <s>\n", r"text:3: <s> or </s> inside a sentence"),
    "no words": (b"\n \n", "text holds no words"),
    "damaged .gz": (gzip.compress(b"low high\n" * 99)[:-9], "text is damaged near line"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_texts_are_named_by_line_and_leave_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, wanted = BAD[name]
    monkeypatch.chdir(tmp_path)
    Path("text").write_bytes(content)
    with pytest.raises(UserError, match=wanted):
        training.train(["text"], "arpa", 3)
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


@pytest.mark.parametrize("least", [[2, 1], [0], [1, 1, 1]])
def test_least_counts_that_cannot_be_are_refused(least: list[int]) -> None:
    with pytest.raises(UsageError, match="least counts"):
        training.check_least(least, 3)
