"""L and the phone graphs say of every sentence what its probabilities say, silence by silence."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path
from typing import Any

import kaldifst
import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.hmm.phone_graph import PhoneGraph, phone_graph
from chainstitch.utils.hmm.topology import hmm_fst
from chainstitch.utils.lang import compose, ngram
from chainstitch.utils.lang.dictionary import read_dictionary
from chainstitch.utils.lang.lexicon import Lexicon
from chainstitch.utils.lang.probabilities import (
    EVEN,
    EntryProbabilities,
    Probabilities,
    write_probabilities,
)
from tests.reference.lexicon import best

SILENCES = ("SIL", "SPN")
# homophones, a prefix, words of one phone, two ways to divide A B (a b, ab), noise
LEXICON: Lexicon = {
    "<unk>": [("SPN",)],
    "a": [("A",), ("A", "A")],
    "ab": [("A", "B")],
    "b": [("B",), ("B", "C", "C")],
    "bee": [("B",)],
}
SENTENCES = [[], ["a"], ["a", "b"], ["ab", "<unk>"], ["a", "a", "bee"], ["<unk>", "b", "ab"]]


def some(seed: int) -> Probabilities:
    draw = random.Random(seed)
    entries = {
        (word, pron): EntryProbabilities(
            draw.choice([1.0, 0.25]), round(draw.uniform(0.01, 0.99), 2),
            round(draw.uniform(0.3, 3), 2), round(draw.uniform(0.3, 3), 2),
        )
        for word, prons in LEXICON.items() for pron in prons if draw.random() < 0.8
    }  # fmt: skip
    return Probabilities(entries, 0.2, draw.uniform(0.5, 2), draw.uniform(0.5, 2), 0.31)


def l_fst(probabilities: Probabilities, disambiguated: bool) -> tuple[Any, dict, dict]:
    marked, highest = compose.disambiguate(LEXICON)
    words = compose.word_table(LEXICON)
    phones = compose.phone_table(LEXICON, highest + 1, SILENCES)
    plain = [(word, pron) for word in sorted(LEXICON) for pron in LEXICON[word]]
    chosen, behind = (marked, f"#{highest + 1}") if disambiguated else (plain, None)
    fst = compose.lexicon_fst(chosen, words, phones, probabilities, "SIL", behind)
    return fst, words, phones


def log_weights(graph: PhoneGraph) -> dict[tuple[int, ...], float]:
    found, todo = {}, [(0, (), 0.0)]
    while todo:
        state, phones, weight = todo.pop()
        if graph.final[state]:
            found[phones] = weight + graph.ending[state]
        for (phone, to), w in zip(graph.arcs[state].items(), graph.weights[state], strict=True):
            todo.append((to, (*phones, phone), weight + w))
    return found


@pytest.mark.parametrize("probabilities", [EVEN, some(1), some(2)])
def test_l_gives_each_sentence_with_silences_what_is_worked_out_by_hand(probabilities) -> None:
    fst, words, phones = l_fst(probabilities, disambiguated=False)
    for sentence in SENTENCES:
        said = kaldifst.make_linear_acceptor([words[word] for word in sentence])
        of_sentence = compose.compose(fst, said)
        for string, weight in best(sentence, LEXICON, probabilities).items():
            linear = kaldifst.make_linear_acceptor([phones[p] for p in string])
            path = kaldifst.shortest_path(compose.compose(linear, of_sentence))
            _, _, _, cost = kaldifst.get_linear_symbol_sequence(path)
            assert cost.value == pytest.approx(-weight, abs=1e-4), (sentence, string)


@pytest.mark.parametrize("probabilities", [EVEN, some(1), some(2), some(3)])
def test_phone_graphs_weigh_strings_relative_to_the_best(probabilities: Probabilities) -> None:
    phones = compose.phone_table(LEXICON, 0, SILENCES)
    pronunciations = {
        word: [tuple(phones[p] for p in pron) for pron in prons] for word, prons in LEXICON.items()
    }
    for sentence in SENTENCES:
        weights = probabilities.weights(phones)
        graph = phone_graph(sentence, pronunciations, phones["SIL"], weights)
        wanted = best(sentence, LEXICON, probabilities)
        most = max(wanted.values())
        found = log_weights(graph)
        assert found.keys() == {tuple(phones[p] for p in string) for string in wanted}
        for string, weight in wanted.items():
            of = found[tuple(phones[p] for p in string)]
            assert of == pytest.approx(weight - most, abs=1e-7)
        assert max(map(max, filter(None, graph.weights)), default=0.0) <= 0.0
        if probabilities is EVEN:
            assert set(found.values()) == {0.0}


def test_the_search_graph_has_the_costs_of_grammar_and_lexicon() -> None:
    probabilities = some(1)
    l_disambig, words, phones = l_fst(probabilities, disambiguated=True)
    g = ngram.uniform(words)
    symbols = [n for phone, n in phones.items() if phone.startswith("#")]
    hlg = compose.build_hlg(hmm_fst(phones["#0"] - 1, symbols), l_disambig, g)
    word_cost = math.log(len(LEXICON) + 1)
    for sentence in SENTENCES[1:4]:
        said = kaldifst.make_linear_acceptor([words[word] for word in sentence])
        of_sentence = compose.compose(hlg, said)
        for string, weight in best(sentence, LEXICON, probabilities).items():
            pdfs = [2 * (phones[p] - 1) + 1 for p in string]  # one frame each
            path = kaldifst.shortest_path(
                compose.compose(kaldifst.make_linear_acceptor(pdfs), of_sentence)
            )
            _, _, _, cost = kaldifst.get_linear_symbol_sequence(path)
            wanted = -weight + (len(sentence) + 1) * word_cost + len(string) * math.log(2.0)
            assert cost.value == pytest.approx(wanted, abs=2e-2)  # weights are quantised


def test_what_no_factor_tells_apart_is_one_state_and_the_graph_of_old() -> None:
    plain, _, _ = l_fst(EVEN, disambiguated=False)
    only_p, _, _ = l_fst(Probabilities(start=0.3, overall=0.2), disambiguated=False)
    split, _, _ = l_fst(some(1), disambiguated=False)
    assert plain.num_states == only_p.num_states == split.num_states - 1


def test_probabilities_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "silence_phones.txt").write_text("SPN\nSIL\n")
    (tmp_path / "optional_silence.txt").write_text("SIL\n")
    written = some(4)
    write_probabilities(tmp_path, LEXICON, written)
    found = read_dictionary(tmp_path)
    assert found.silences == SILENCES
    assert {w: sorted(p) for w, p in found.lexicon.items()} == LEXICON
    for word, pron in itertools.chain(*([(w, p) for p in LEXICON[w]] for w in LEXICON)):
        assert found.probabilities.of(word, pron) == written.of(word, pron)
    assert found.probabilities.end_silence == pytest.approx(written.end_silence, rel=1e-14)
    (tmp_path / "lexiconp_silprob.txt").unlink()  # then lexiconp.txt counts
    only_p = read_dictionary(tmp_path).probabilities
    assert only_p.of("a", ("A",)) == (written.of("a", ("A",)).said, 0.5, 1.0, 1.0)


LINES = "lexiconp_silprob.txt"
GOOD = {
    "silence_phones.txt": "SIL\nSPN\n", "optional_silence.txt": "SIL\n",
    "nonsilence_phones.txt": "A\nB\n", "silprob.txt": "<s> .2\n</s>_s 2\n</s>_n .9\noverall .1\n",
    LINES: "!SIL 1 .5 1 1 SIL\na 1 .5 1.2 .7 A\na .5 .5 1 1 A B\n"
    "<unk> 1 .2 1 1 SPN\n",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "old", "new", "wanted"),
    [
        ("silence_phones.txt", "SPN", "SIL", "silence_phones.txt: SIL comes twice"),
        ("optional_silence.txt", "SIL", "A", "optional_silence.txt:1: found A, wanted one phone"),
        ("nonsilence_phones.txt", "A\n", "", "has the phone A, which neither"),
        (LINES, "a 1", "a 1.5", "silprob.txt:2: number 1 .* '1.5'; wanted above 0"),
        (LINES, "a .5", "a 0", "silprob.txt:3: number 1 .* '0'; wanted above 0"),
        (LINES, ".5 1.2", "1 1.2", "silprob.txt:2: number 2 .*below 1"),
        (LINES, "1.2 .7 A", "1.2 A", "silprob.txt:2: number 4 .* 'A'"),
        (LINES, "1.2 .7 A", "1.2 .7", "silprob.txt:2: 'a' has no pronunciation"),
        (LINES, "A B", "A SPN", "silprob.txt:3: 'a' contains the silence phone SPN"),
        (LINES, "A B", "SIL B", "silprob.txt:3: 'a' contains the silence phone SIL"),
        ("silprob.txt", "<s> .2", "<s> 1", "silprob.txt:1: found '<s> 1', wanted <s> and"),
        ("silprob.txt", "overall .1\n", "", "has no line overall"),
        ("silprob.txt", "overall", "over", "silprob.txt:4: found 'over .1', wanted one of"),
    ],
)  # fmt: skip
def test_bad_dictionaries_are_named_by_file_and_line(
    tmp_path: Path, name: str, old: str, new: str, wanted: str
) -> None:
    for file, text in GOOD.items():
        (tmp_path / file).write_text(text)
    assert sorted(read_dictionary(tmp_path).lexicon) == ["<unk>", "a"]  # without !SIL
    assert old in GOOD[name]
    (tmp_path / name).write_text(GOOD[name].replace(old, new))
    with pytest.raises(UserError, match=wanted) as raised:
        read_dictionary(tmp_path)
    assert str(raised.value).startswith(str(tmp_path)) and "\n" not in str(raised.value)
