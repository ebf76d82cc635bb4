"""Decoding a set: sweep points, processes, files."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from chainstitch.utils.decode.graph import Graph
from chainstitch.utils.decode.outcome import Utterance, Wanted, ctm_point
from chainstitch.utils.decode.sets import (
    Item,
    decode_items,
    point_name,
    sweep_points,
    write_decode,
)
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.outputs import MARK
from tests.k2.needed import needs_k2

POINTS = [(7.0, 0.0), (10.0, 0.0), (10.0, 0.5)]
WANTED = Wanted(POINTS)


def _items(graph: Graph, number: int = 12) -> list[Item]:
    rng = np.random.default_rng(0)
    return [
        (f"utt-{n}", rng.normal(size=(5 + n, graph.num_pdfs)).astype(np.float32))
        for n in range(number)
    ]


def test_ranges_have_both_ends_and_lists_are_as_given() -> None:
    points = sweep_points("7:17", "0,0.5,1.0")
    assert len(points) == 33 and points[0] == (7.0, 0.0) and points[-1] == (17.0, 1.0)
    assert sweep_points("9.5", "-0.5") == [(9.5, -0.5)]
    assert ctm_point(points) == (10.0, 0.0) and ctm_point([(12.0, 0.5)]) == (12.0, 0.5)


def test_point_names_are_plain() -> None:
    names = [point_name(p) for p in ((10.0, 0.0), (7.0, 0.5), (9.5, 1.0), (12.0, -0.5))]
    assert names == ["10_0.0", "7_0.5", "9.5_1.0", "12_-0.5"]


@pytest.mark.parametrize(
    ("lmwt", "wip"),
    [("17:7", "0"), ("x", "0"), ("", "0"), ("7", "0,"), ("0:3", "0"), ("7,7", "0"), ("1:2:3", "0"),
     ("nan", "0"), ("7", "inf")],
)  # fmt: skip
def test_other_points_are_usage_errors(lmwt: str, wip: str) -> None:
    with pytest.raises(UsageError, match="--lmwt|--wip"):
        sweep_points(lmwt, wip)


@pytest.mark.parametrize("decoder", ["kaldi", pytest.param("k2", marks=needs_k2)])
def test_processes_give_what_one_gives_in_order(trigram: Graph, decoder: str) -> None:
    items = _items(trigram)
    alone = list(decode_items(trigram, items, WANTED, decoder=decoder))
    assert [u.name for u in alone] == [name for name, _ in items]
    assert list(decode_items(trigram, iter(items), WANTED, nj=2, decoder=decoder)) == alone


@needs_k2
def test_both_decoders_give_the_same_words_and_times(trigram: Graph) -> None:
    items = _items(trigram)
    kaldi, k2 = (
        list(decode_items(trigram, items, WANTED, 30.0, decoder=d)) for d in ("kaldi", "k2")
    )
    assert kaldi == k2


@pytest.mark.parametrize("nj", [1, 2])
def test_a_decoder_that_is_not_there_is_an_error(
    trigram: Graph, nj: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="--decoder wants kaldi or k2, found 'k3'"):
        list(decode_items(trigram, _items(trigram), WANTED, nj=nj, decoder="k3"))
    monkeypatch.setitem(sys.modules, "k2", None)
    with pytest.raises(UserError, match="k2 is not installed; .* --decoder kaldi in decoding"):
        list(decode_items(trigram, _items(trigram), WANTED, nj=nj, decoder="k2"))


def test_errors_of_a_process_arrive(trigram: Graph) -> None:
    items = _items(trigram, 3)
    items[1][1][0, 0] = np.nan
    with pytest.raises(UserError, match="utt-1: .*not finite"):
        list(decode_items(trigram, items, WANTED, nj=2))


def _utterance(name: str, words: list[str], complete: bool = True) -> Utterance:
    timed = [(3 * n, 3 * n + 2, word, None) for n, word in enumerate(words)]
    return Utterance(name, 9, complete, dict.fromkeys(POINTS, words), dict.fromkeys(POINTS, timed))


def test_files_are_sorted_and_complete(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    utterances = [_utterance("b", ["x", "y"]), _utterance("a", [], complete=False)]
    refs, speakers = {"a": "z", "b": "x y"}, {"a": "s2", "b": "s1"}
    with caplog.at_level(logging.INFO):
        write_decode(tmp_path / "decode", utterances, WANTED, refs, speakers, 0.03)
    content = {p.name: p.read_text() for p in (tmp_path / "decode").iterdir() if p.name != MARK}
    assert content == {
        "ref": "a z\nb x y\n",
        "utt2spk": "a s2\nb s1\n",
        "hyp_7_0.0": "a\nb x y\n",
        "hyp_10_0.0": "a\nb x y\n",
        "hyp_10_0.5": "a\nb x y\n",
        "ctm": "b 1 0.00 0.06 x\nb 1 0.09 0.06 y\n",
    }
    assert "a: no final state reached" in caplog.text
    assert "decoded 2 utterances, 18 output frames" in caplog.text and "1 partial" in caplog.text


def test_failure_leaves_no_directory_and_existing_ones_stay(tmp_path: Path) -> None:
    def broken() -> object:
        yield _utterance("a", [])
        raise UserError("in the middle")

    with pytest.raises(UserError, match="in the middle"):
        write_decode(tmp_path / "new", broken(), WANTED, {"a": ""}, {"a": "s"}, 0.03)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "hyp").write_text("mine")
    with pytest.raises(UsageError, match="--overwrite"):
        write_decode(tmp_path / "old", [], WANTED, {}, {}, 0.03)
    assert (tmp_path / "old" / "hyp").read_text() == "mine"


def test_each_point_has_its_ctm_where_all_times_are_wanted(tmp_path: Path, trigram: Graph) -> None:
    log_likes = np.random.default_rng(0).normal(0, 2, (30, trigram.num_pdfs)).astype(np.float32)
    wanted = Wanted(POINTS, all_times=True)
    utterances = list(decode_items(trigram, [("u", log_likes)], wanted))
    write_decode(tmp_path / "out", utterances, wanted, {"u": "ab"}, {"u": "s"}, 0.03)
    for point in POINTS:
        name = point_name(point)
        said = [line.split()[4] for line in (tmp_path / f"out/ctm_{name}").read_text().splitlines()]
        assert said == (tmp_path / f"out/hyp_{name}").read_text().split()[1:]
    at = point_name(ctm_point(POINTS))
    assert (tmp_path / "out/ctm").read_text() == (tmp_path / f"out/ctm_{at}").read_text()
