"""Back-off models in tables: what ARPA says, what G says, and what the search takes."""

from __future__ import annotations

import gzip
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.lang import ngram
from chainstitch.utils.lang.backoff import read_arpa, read_grammar, sentence_cost
from chainstitch.utils.lang.compose import word_table, write_fst
from chainstitch.utils.lang.directory import write_table
from chainstitch.utils.lang.lexicon import Lexicon
from tests.reference import arpa as twin

LEXICON: Lexicon = {word: [("A",)] for word in "abcde"}
WORDS = word_table(LEXICON)
FORMS = [list(said) for size in range(4) for said in itertools.product("abcd", repeat=size)]


def _arpa(order: int) -> str:
    """A model of any probabilities, so that backing off is sometimes the cheaper way."""
    rng = np.random.default_rng(order)
    grams = [[("<s>",), ("</s>",), *((word,) for word in "abcd")]]
    for _ in range(order - 1):
        longer = [(*g, w) for g in grams[-1] if g[-1] != "</s>" for w in ("</s>", *"abcd")]
        grams.append([g for g in longer if rng.random() < 0.5])
    lines = ["\\data\\", *(f"ngram {n}={len(some)}" for n, some in enumerate(grams, 1))]
    for n, some in enumerate(grams, 1):
        lines += ["", f"\\{n}-grams:"]
        for gram in (some[i] for i in rng.permutation(len(some))):
            backoff = f"\t{rng.uniform(-1, 0.2):.4f}" if n < order and gram[-1] != "</s>" else ""
            lines.append(f"{rng.uniform(-2, -0.1):.4f}\t{' '.join(gram)}{backoff}")
    return "\n".join([*lines, "", "\\end\\", ""])


def _numbers(said: list[str]) -> list[int]:
    return [WORDS[word] for word in said]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_costs_are_what_the_file_says(tmp_path: Path, order: int) -> None:
    arpa = _arpa(order)
    (tmp_path / "lm.gz").write_bytes(gzip.compress(arpa.encode()))
    model, known = read_arpa(tmp_path / "lm.gz", WORDS), twin.read(arpa)
    for said in FORMS:
        wanted = twin.cost(known, said, order)
        assert sentence_cost(model, _numbers(said)) == pytest.approx(wanted, abs=1e-4), said


@pytest.mark.parametrize("order", [1, 2, 3])
def test_g_costs_the_least_of_all_its_ways(tmp_path: Path, order: int) -> None:
    arpa = _arpa(order)
    (tmp_path / "lm").write_text(arpa)
    write_table(WORDS, tmp_path / "words.txt")
    g = ngram.arpa_fst(tmp_path / "lm", tmp_path / "words.txt", WORDS)
    write_fst(g, tmp_path / "G.fst")
    search = read_grammar(tmp_path / "G.fst", WORDS)
    arcs: dict[int, list[tuple[int, int, float]]] = {}
    import kaldifst

    for state in range(g.num_states):
        for arc in kaldifst.ArcIterator(g, state):
            label = 0 if arc.ilabel == WORDS["#0"] else arc.ilabel
            arcs.setdefault(state, []).append((label, arc.nextstate, float(arc.weight.value)))

    def least(state: int, said: list[int]) -> float:
        ways = [g.final(state).value if not said else math.inf]
        for label, target, cost in arcs.get(state, []):
            if label == 0:
                ways.append(cost + least(target, said))
            elif said and label == said[0]:
                ways.append(cost + least(target, said[1:]))
        return min(ways)

    proper = read_arpa(tmp_path / "lm", WORDS)
    cheaper = 0
    for said in FORMS:
        wanted = least(g.start, _numbers(said))
        assert sentence_cost(search, _numbers(said)) == pytest.approx(wanted, abs=1e-3), said
        plain = sentence_cost(search.model, _numbers(said))
        assert plain == pytest.approx(sentence_cost(proper, _numbers(said)), abs=1e-3)
        cheaper += wanted < plain - 1e-3
    assert cheaper > 0 or order == 1


def test_uniform_grammar_and_words_that_are_not_known(tmp_path: Path) -> None:
    write_fst(ngram.uniform(WORDS), tmp_path / "G.fst")
    search = read_grammar(tmp_path / "G.fst", WORDS)
    assert sentence_cost(search, _numbers(["a", "e"])) == pytest.approx(3 * math.log(6.0))
    (tmp_path / "lm").write_text(_arpa(2))
    model = read_arpa(tmp_path / "lm", WORDS)
    assert sentence_cost(model, _numbers(["a", "e"])) == math.inf


def test_foreign_words_and_lost_histories_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ["\\data\\", "ngram 1=5", "ngram 2=2", "ngram 3=2", "", "\\1-grams:", "-9 <s> -0.5",
             "-1 </s>", "-0.5 a -0.2", "-0.6 b -0.1", "-0.7 zz -0.3", "", "\\2-grams:",
             "-0.3 a b -0.4", "-0.2 a zz", "", "\\3-grams:", "-0.1 a b a", "-0.1 b a a", "",
             "\\end\\", ""]  # fmt: skip
    (tmp_path / "lm").write_text("\n".join(lines))
    model = read_arpa(tmp_path / "lm", WORDS)
    assert "2 n-grams with words that are not in words.txt, and 1 without their" in caplog.text
    # <s> -0.5 a -0.5; a b -0.3; (a b) a -0.1; then -0.2 for a's back-off and -1 for the end
    found = sentence_cost(model, _numbers(["a", "b", "a"]))
    assert found == pytest.approx(math.log(10) * (0.5 + 0.5 + 0.3 + 0.1 + 0.2 + 1.0), abs=1e-5)


def test_an_n_gram_twice_is_refused(tmp_path: Path) -> None:
    arpa = "\\data\\\nngram 1=4\n\n\\1-grams:\n-1 <s>\n-1 </s>\n-1 a\n-1 a\n\n\\end\\\n"
    (tmp_path / "lm").write_text(arpa)
    with pytest.raises(UserError, match="lm: an n-gram of 1 words stands there twice"):
        read_arpa(tmp_path / "lm", WORDS)
