"""The graph is built once, kept beside the model, built anew when the lang changes."""

from __future__ import annotations

import pickle
from pathlib import Path

import kaldifst
import pytest

from chainstitch.utils.decode.graph import Graph, load_graph
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.hmm import topology
from chainstitch.utils.lang import ngram
from chainstitch.utils.lang.directory import write_lang
from tests.leaves import random_leaves


def _lang(path: Path, word: str = "b", overwrite: bool = False) -> Path:
    lexicon = {"a": [("A",)], word: [("B",)]}
    write_lang(path, lexicon, ngram.from_words(), overwrite=overwrite)
    return path


def _graphs(exp: Path) -> list[Path]:
    return sorted(exp.glob("graph_*/HLG.fst"))


def test_graph_is_reused_until_the_lang_changes(tmp_path: Path) -> None:
    lang = _lang(tmp_path / "lang")
    exp = tmp_path / "exp"
    exp.mkdir()
    first = load_graph(exp, lang)
    stamp = first.path.stat().st_mtime_ns
    again = load_graph(exp, lang)
    assert again == first and again.path.stat().st_mtime_ns == stamp
    assert _graphs(exp) == [first.path]
    _lang(lang, word="c", overwrite=True)
    changed = load_graph(exp, lang)
    assert changed.path != first.path and len(_graphs(exp)) == 2
    assert changed.words[2] == "c"


def test_tables_go_with_the_graph(uniform: Graph) -> None:
    assert uniform.num_pdfs == 8
    assert uniform.leaves == topology.monophones(4) and uniform.entry_pdfs == {0, 2, 4, 6}
    assert uniform.pronunciations[2] == [(2, 3, 4)] and uniform.words[2] == "abc"


def test_each_tree_has_a_graph_of_its_own(tmp_path: Path) -> None:
    lang = _lang(tmp_path / "lang")
    found = [load_graph(tmp_path, lang, leaves) for leaves in LEAVES]
    assert len({graph.path for graph in found}) == len(LEAVES) == len(_graphs(tmp_path))
    assert [graph.num_pdfs for graph in found] == [6, 9, 9, 10, 9]
    again = load_graph(tmp_path, lang, LEAVES[1])
    assert again == found[1] != found[2]
    assert {a.ilabel for s in range(found[1].hlg.num_states)
            for a in kaldifst.ArcIterator(found[1].hlg, s)} <= set(range(10))  # fmt: skip


LEAVES = [
    None,
    random_leaves(0, 9, 3),
    random_leaves(1, 9, 3),
    topology.Leaves(random_leaves(1, 9, 3).table, 10),
    random_leaves(1, 9, 3, context_width=3),
]


def test_pickle_reads_the_same_graph_again(uniform: Graph) -> None:
    assert uniform.hlg.num_states > 0  # it is in memory, and must not be pickled
    copy = pickle.loads(pickle.dumps(uniform))
    assert copy == uniform and str(copy.hlg) == str(uniform.hlg)


def test_lang_with_other_phones_than_training_is_refused(tmp_path: Path) -> None:
    lang = _lang(tmp_path / "lang")
    table = (lang / "phones.txt").read_text()
    (tmp_path / "phones.txt").write_text(table.replace("#", "#9"))  # these may differ
    load_graph(tmp_path, lang)
    (tmp_path / "phones.txt").write_text(table.replace(" 2\n", "x 2\n"))
    with pytest.raises(UserError, match="phone 2 is .*x in the one.*decode with a lang"):
        load_graph(tmp_path, lang)


def test_missing_places_and_a_damaged_graph_are_errors(tmp_path: Path) -> None:
    lang = _lang(tmp_path / "lang")
    with pytest.raises(UsageError, match="chainstitch train"):
        load_graph(tmp_path / "none", lang)
    with pytest.raises(UsageError, match="chainstitch lang"):
        load_graph(tmp_path, tmp_path)
    graph = load_graph(tmp_path, lang)
    graph.path.write_bytes(graph.path.read_bytes()[:-8])
    with pytest.raises(UserError, match="damaged"):
        _ = load_graph(tmp_path, lang).hlg
