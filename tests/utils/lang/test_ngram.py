"""Grammars: probabilities add up, ARPA files become their FST, bad ones are named."""

from __future__ import annotations

import gzip
import logging
import math
import random
from pathlib import Path
from typing import Any

import kaldifst
import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.lang import ngram

Ngrams = dict[tuple[str, ...], tuple[float, float]]


def _parse(arpa: str) -> Ngrams:
    """ARPA text -> n-gram -> (probability, back-off weight), read the dull way."""
    table: Ngrams = {}
    for line in arpa.splitlines():
        fields = line.split("\t")
        if len(fields) >= 2:
            weight = 10.0 ** float(fields[2]) if len(fields) > 2 else 1.0
            table[tuple(fields[1].split(" "))] = (10.0 ** float(fields[0]), weight)
    return table


def _probability(table: Ngrams, history: tuple[str, ...], word: str) -> float:
    if (*history, word) in table:
        return table[(*history, word)][0]
    if not history:
        return 0.0
    return table.get(history, (0.0, 1.0))[1] * _probability(table, history[1:], word)


def _assert_normalised(arpa: str) -> None:
    table = _parse(arpa)
    vocabulary = [n[0] for n in table if len(n) == 1 and n[0] != "<s>"]
    longest = max(len(n) for n in table)
    histories = {n for n in table if len(n) < longest and n[-1] != "</s>"} | {()}
    for history in histories:
        total = sum(_probability(table, history, word) for word in vocabulary)
        assert total == pytest.approx(1.0, abs=1e-5), history


def _sentences(number: int, vocabulary: int, seed: int) -> list[list[str]]:
    draw = random.Random(seed)
    words = [f"w{n}" for n in range(vocabulary)]
    return [
        draw.choices(words, range(1, vocabulary + 1), k=draw.randint(1, 6)) for _ in range(number)
    ]


@pytest.mark.parametrize("vocabulary", [3, 8, 40])
@pytest.mark.parametrize("order", [2, 3])
def test_thirty_sentences_make_a_model_that_sums_to_one(
    tmp_path: Path, vocabulary: int, order: int
) -> None:
    sentences = _sentences(30, vocabulary, seed=vocabulary)
    _assert_normalised(ngram.estimate(sentences, order, tmp_path / "arpa").read_text())


def test_one_sentence_makes_a_model_in_which_each_word_may_follow_each(tmp_path: Path) -> None:
    arpa = ngram.estimate([["a", "b", "c"]], 3, tmp_path / "arpa").read_text()
    _assert_normalised(arpa)
    table = _parse(arpa)
    assert _probability(table, ("a",), "b") > _probability(table, ("a",), "c") > 0.01


def test_text_without_words_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no words"):
        ngram.estimate([[], []], 3, tmp_path / "arpa")


def test_uniform_gives_each_word_and_the_end_the_same() -> None:
    words = {"<eps>": 0, "a": 1, "b": 2, "c": 3, "#0": 4, "<s>": 5, "</s>": 6}
    g = ngram.uniform(words)
    costs = {a.ilabel: a.weight.value for a in kaldifst.ArcIterator(g, 0)}
    assert costs == pytest.approx({1: math.log(4), 2: math.log(4), 3: math.log(4)}, abs=1e-6)
    assert g.final(0).value == pytest.approx(math.log(4), abs=1e-6)


def _words_txt(directory: Path, words: list[str]) -> tuple[Path, dict[str, int]]:
    table = {w: n for n, w in enumerate(["<eps>", *words, "#0", "<s>", "</s>"])}
    path = directory / "words.txt"
    path.write_text("".join(f"{w} {n}\n" for w, n in table.items()), encoding="utf-8")
    return path, table


def _cost(g: Any, words: dict[str, int], sentence: list[str]) -> float:
    """The cost of the cheapest path, `#0` free at any place."""
    loops = kaldifst.make_linear_acceptor([words[word] for word in sentence])
    for state in range(loops.num_states):
        loops.add_arc(state, kaldifst.StdArc(words["#0"], 0, 0.0, state))
    kaldifst.arcsort(g, "ilabel")
    inputs = kaldifst.StdVectorFst(kaldifst.compose(_project(loops), g))
    *_, cost = kaldifst.get_linear_symbol_sequence(kaldifst.shortest_path(inputs))
    return float(cost.value)


def _project(fst: Any) -> Any:
    text = [line.split() for line in str(fst).splitlines()]
    arcs = [[f[0], f[1], f[2], f[2], "0"] if len(f) >= 4 else [f[0]] for f in text]
    out = kaldifst.compile("\n".join(" ".join(f) for f in arcs) + "\n")
    kaldifst.arcsort(out, "olabel")
    return out


def _arpa_cost(table: Ngrams, sentence: list[str], order: int) -> float:
    """-log P of a sentence, each word by its cheapest way through the back-offs, as in an FST."""

    def best(history: tuple[str, ...], word: str) -> float:
        seen = table.get((*history, word), (0.0, 1.0))[0]
        if not history:
            return seen
        return max(seen, table.get(history, (0.0, 1.0))[1] * best(history[1:], word))

    total, history = 0.0, ("<s>",)
    for word in [*sentence, "</s>"]:
        total -= math.log(best(history[-(order - 1) :], word))
        history = (*history, word)
    return total


def test_fst_of_an_estimated_model_has_its_probabilities(tmp_path: Path) -> None:
    sentences = _sentences(30, 8, seed=1)
    arpa = ngram.estimate(sentences, 2, tmp_path / "arpa").read_text()
    path, words = _words_txt(tmp_path, sorted({w for s in sentences for w in s}))
    g = ngram.from_text(sentences, 2)(path, words)
    table = _parse(arpa)
    for sentence in [*sentences[:8], ["w0", "w0"], ["w7"]]:
        assert _cost(g, words, sentence) == pytest.approx(_arpa_cost(table, sentence, 2), abs=1e-3)


SMALL = (
    "\\data\\\nngram 1=5\nngram 2=1\n\n\\1-grams:\n-1.0 <s> -0.2\n-0.5 </s>\n-0.4 a -0.3\n-0.7 zz\n"
    "-0.9 <unk>\n\n\\2-grams:\n-0.1 a </s>\n\n\\end\\\n"
)


@pytest.mark.parametrize("form", ["plain", "gzip", "dos", "preamble"])
def test_arpa_in_any_dress_is_read_and_foreign_words_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, form: str
) -> None:
    path, words = _words_txt(tmp_path, ["a", "b"])
    arpa = tmp_path / ("lm.arpa.gz" if form == "gzip" else "lm.arpa")
    text = {"dos": SMALL.replace("\n", "\r\n"), "preamble": "made by hand\n\n" + SMALL}.get(
        form, SMALL
    )
    arpa.write_bytes(gzip.compress(text.encode()) if form == "gzip" else text.encode())
    with caplog.at_level(logging.WARNING):
        g = ngram.from_arpa(arpa)(path, words)
    assert (
        "1 of its 3 words are not in the lexicon; their n-grams are dropped (first: zz)"
        in caplog.text
    )
    assert "lacks 1 words of the lexicon" in caplog.text
    expected = math.log(10.0) * (0.2 + 0.4 + 0.1)
    assert _cost(g, words, ["a"]) == pytest.approx(expected, abs=1e-4)
    backoffs = [
        a
        for s in range(g.num_states)
        for a in kaldifst.ArcIterator(g, s)
        if a.ilabel == words["#0"]
    ]
    assert backoffs and all(a.olabel == 0 for a in backoffs)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, "does not exist"),
        ("hello\n", "not a good ARPA file"),
        (SMALL.replace("-0.4 a", "x a"), "line 8: the log-probability 'x' is not a number"),
        (SMALL[: SMALL.index("-0.7")], "not a good ARPA file"),
        (SMALL.replace(" a", " A"), "upper and lower case"),
    ],
)
def test_bad_arpa_files_are_errors_and_not_aborts(
    tmp_path: Path, text: str | None, wanted: str
) -> None:
    path, words = _words_txt(tmp_path, ["a", "b"])
    arpa = tmp_path / "lm.arpa"
    if text is not None:
        arpa.write_text(text)
    with pytest.raises(UserError, match=wanted) as raised:
        ngram.arpa_fst(arpa, path, words)
    assert str(arpa) in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("an4.ug.arpa", ["A", "APRIL", "NINETEEN"]),
        ("kaldi_0.1k_3gram_unpruned.arpa", ["the", "parking", "lot"]),
        ("kenlm_test.arpa", ["a", "also", "higher"]),
        ("mfa_test_lm.arpa", ["rachel", "lynde", "is", "surprised"]),
    ],
)
def test_real_arpa_files_are_read(
    data_dir: Path, tmp_path: Path, name: str, known: list[str]
) -> None:
    path, words = _words_txt(tmp_path, known)
    g = ngram.arpa_fst(data_dir / "arpa-lm" / name, path, words)
    said = {a.olabel for s in range(g.num_states) for a in kaldifst.ArcIterator(g, s)}
    assert {words[word] for word in known} <= said
    assert math.isfinite(_cost(g, words, known))
