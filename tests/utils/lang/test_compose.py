"""L takes exactly the right phone strings; disambiguation makes L o G determinisable."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import kaldifst
import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.hmm import topology
from chainstitch.utils.lang import compose, ngram
from chainstitch.utils.lang.lexicon import Lexicon
from chainstitch.utils.lang.probabilities import Probabilities
from tests.leaves import random_leaves
from tests.reference.numerator import spoken

# a homophone (two, too), a prefix (on of one), two pronunciations (the)
LEXICON: Lexicon = {
    "on": [("W", "A")],
    "one": [("W", "A", "N")],
    "too": [("T",)],
    "two": [("T",)],
    "the": [("A",), ("N",)],
}


def _tables(lexicon: Lexicon, highest: int) -> tuple[dict[str, int], dict[str, int]]:
    return compose.word_table(lexicon), compose.phone_table(lexicon, highest)


def _plain(lexicon: Lexicon) -> list[compose.Entry]:
    return [(word, pron) for word in lexicon for pron in lexicon[word]]


def _paths(fst: Any, phones: list[int]) -> Any:
    return kaldifst.StdVectorFst(kaldifst.compose(kaldifst.make_linear_acceptor(phones), fst))


def test_tables_have_kaldi_s_order() -> None:
    words, phones = _tables({"b": [("Z",)], "a": [("Y",)]}, 2)
    assert list(words) == ["<eps>", "a", "b", "#0", "<s>", "</s>"]
    assert list(phones) == ["<eps>", "SIL", "Y", "Z", "#0", "#1", "#2"]
    assert list(phones.values()) == list(range(7))


def test_disambiguation_marks_homophones_and_prefixes_only() -> None:
    marked, highest = compose.disambiguate(LEXICON)
    assert highest == 2
    assert dict(marked)["one"] == ("W", "A", "N")
    assert ("on", ("W", "A", "#1")) in marked
    assert {dict(marked)["too"], dict(marked)["two"]} == {("T", "#1"), ("T", "#2")}
    assert ("the", ("A",)) in marked and ("the", ("N",)) in marked
    assert len({pron for _, pron in marked}) == len(marked)


def test_lexicon_takes_exactly_its_strings_with_optional_silences() -> None:
    words, phones = _tables(LEXICON, 3)
    fst = compose.lexicon_fst(_plain(LEXICON), words, phones)
    sil, longest = phones["SIL"], 4
    expected: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    prons = [(words[w], tuple(phones[p] for p in pron)) for w, pron in _plain(LEXICON)]
    for number in range(longest + 1):
        for chosen in itertools.product(prons, repeat=number):
            for silences in itertools.product([(), (sil,)], repeat=number + 1):
                string = silences[0]
                for (_, pron), silence in zip(chosen, silences[1:], strict=True):
                    string += pron + silence
                if len(string) <= longest:
                    expected.setdefault(string, set()).add(tuple(w for w, _ in chosen))
    for length in range(longest + 1):
        for string in itertools.product(range(1, len(phones) - 4), repeat=length):
            paths = _paths(fst, list(string))
            assert (paths.num_states > 0) == (string in expected), string
            if paths.num_states == 0:
                continue
            _, _, said, cost = kaldifst.get_linear_symbol_sequence(kaldifst.shortest_path(paths))
            assert tuple(said) in expected[string]
            gaps = min(len(w) for w in expected[string]) + 1
            assert cost.value == pytest.approx(gaps * math.log(2.0), abs=1e-5)


def test_silence_probability_is_that_of_each_gap() -> None:
    words, phones = _tables({"a": [("A",)]}, 0)
    fifth = Probabilities(start=0.2, overall=0.2)
    fst = compose.lexicon_fst([("a", ("A",))], words, phones, fifth)
    for string, probability in (([2], 0.64), ([1, 2], 0.16), ([1, 2, 1], 0.04)):
        _, _, _, cost = kaldifst.get_linear_symbol_sequence(_paths(fst, string))
        assert cost.value == pytest.approx(-math.log(probability), abs=1e-5)


def _l_disambig(lexicon: Lexicon) -> tuple[Any, int, list[int]]:
    """L, how many phones there are, and the disambiguation symbols."""
    marked, highest = compose.disambiguate(lexicon)
    words, phones = _tables(lexicon, highest + 1)
    fst = compose.lexicon_fst(marked, words, phones, silence_disambiguation=f"#{highest + 1}")
    return fst, phones["#0"] - 1, list(range(phones["#0"], len(phones)))


def _hlg(lexicon: Lexicon, g: Any, leaves: topology.Leaves | None = None) -> Any:
    l_disambig, num_phones, disambiguation = _l_disambig(lexicon)
    return compose.build_hlg(topology.hmm_fst(num_phones, disambiguation, leaves), l_disambig, g)


def test_graph_holds_each_word_of_a_homophone_and_no_symbol_but_pdfs() -> None:
    words = compose.word_table(LEXICON)
    hlg = _hlg(LEXICON, ngram.uniform(words))  # without disambiguation this would never end
    assert hlg.is_ilabel_sorted
    num_pdfs = topology.num_pdfs(5)
    arcs = [a for s in range(hlg.num_states) for a in kaldifst.ArcIterator(hlg, s)]
    assert {a.ilabel for a in arcs} == set(range(num_pdfs + 1))
    assert {a.olabel for a in arcs} == {0} | {words[word] for word in LEXICON}
    # T (phone 4) for one frame: either homophone, nothing else
    paths = _paths(hlg, [topology.entry_pdf(4) + 1])
    said = set()
    for path in range(1, 3):
        nbest = kaldifst.shortest_path(paths, n=path)
        said |= {a.olabel for s in range(nbest.num_states) for a in kaldifst.ArcIterator(nbest, s)}
    assert said - {0} == {words["two"], words["too"]}


def _kaldi_s_way(lexicon: Lexicon, g: Any, leaves: topology.Leaves) -> Any:
    """H o (C o LG) as Kaldi has them: C by kaldifst, H one state with a loop for each window."""
    l_disambig, _, disambiguation = _l_disambig(lexicon)
    lg = compose.compose(l_disambig, g)
    kaldifst.determinize_star(lg, use_log=True)
    clg, windows = kaldifst.compose_context(disambiguation, 3, 1, lg)
    h = kaldifst.StdVectorFst()
    h.start = h.add_state()
    h.set_final(h.start, 0.0)
    for number, window in enumerate(windows):
        if len(window) == 1:  # a disambiguation symbol, or what stands before the first phone
            h.add_arc(h.start, kaldifst.StdArc(0, number, 0.0, h.start))
        elif window:
            entry, loop = leaves.pdfs(*window)
            state = h.add_state()
            h.add_arc(h.start, kaldifst.StdArc(entry + 1, number, 0.0, state))
            h.add_arc(state, kaldifst.StdArc(loop + 1, 0, math.log(2.0), state))
            h.add_arc(state, kaldifst.StdArc(0, 0, math.log(2.0), h.start))
    return compose.compose(h, clg)


def _spoken(fst: Any, frames: int) -> dict[tuple[tuple[int, ...], tuple[int, ...]], float]:
    """(pdfs, words) -> the least cost, of all paths of up to so many frames."""
    found: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
    todo = [(fst.start, (), (), 0.0)]
    while todo:
        state, pdfs, words, cost = todo.pop()
        final = cost + fst.final(state).value
        if math.isfinite(final):
            found[pdfs, words] = min(final, found.get((pdfs, words), math.inf))
        for arc in kaldifst.ArcIterator(fst, state):
            after = (*pdfs, arc.ilabel - 1) if arc.ilabel else pdfs
            said = (*words, arc.olabel) if arc.olabel else words
            if len(after) <= frames:
                todo.append((arc.nextstate, after, said, cost + arc.weight.value))
    return found


@pytest.mark.parametrize("pdfs", [400, 20, 3])
def test_triphones_are_those_of_kaldi_s_context_transducer(pdfs: int) -> None:
    leaves = random_leaves(pdfs, pdfs, 5, 3)
    g = ngram.uniform(compose.word_table(LEXICON))
    found = _spoken(_hlg(LEXICON, g, leaves), 4)
    wanted = _spoken(_kaldi_s_way(LEXICON, g, leaves), 4)
    assert found.keys() == wanted.keys() and len(found) > 100
    for path, cost in wanted.items():
        assert found[path] == pytest.approx(cost, abs=5e-3)  # weights are quantised


def test_a_sentence_has_the_pdfs_that_the_tree_says() -> None:
    leaves = random_leaves(0, 400, 5, 3)
    words, phones = _tables(LEXICON, 3)
    hlg = _hlg(LEXICON, ngram.uniform(words), leaves)
    said = kaldifst.make_linear_acceptor([words["one"], words["too"]])
    found = {pdfs for pdfs, _ in _spoken(compose.compose(hlg, said), 6)}
    sil, one, too = phones["SIL"], [phones[p] for p in "WAN"], [phones["T"]]
    wanted = set()
    for a, b, c in itertools.product([[], [sil]], repeat=3):
        string = [*a, *one, *b, *too, *c]
        for frames in range(len(string), 7):
            wanted |= spoken(string, frames, leaves)
    assert found == wanted


def test_arguments_of_composition_are_not_changed() -> None:
    words = compose.word_table(LEXICON)
    g = ngram.uniform(words)
    before = str(g)
    _hlg(LEXICON, g)
    assert str(g) == before


def test_empty_graph_is_an_error() -> None:
    g = kaldifst.compile("0 1 1 1 0.5\n1 2 1 1 0.5\n")  # no final state
    with pytest.raises(UserError, match="graph is empty"):
        _hlg({"a": [("A",)]}, g)


def test_missing_and_damaged_fsts_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        compose.read_fst(tmp_path / "L.fst")
    compose.write_fst(ngram.uniform({"a": 1}), tmp_path / "L.fst")
    content = (tmp_path / "L.fst").read_bytes()
    (tmp_path / "L.fst").write_bytes(content[:-4])
    with pytest.raises(UserError, match="damaged"):
        compose.read_fst(tmp_path / "L.fst")
    with pytest.raises(FileNotFoundError, match="none/L.fst"):
        compose.write_fst(ngram.uniform({"a": 1}), tmp_path / "none" / "L.fst")
