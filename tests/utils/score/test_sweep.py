"""Choosing a sweep point on dev, reusing it on test, and refusing to choose on test."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.score.sweep import choose, edges, read_choice, score_directory, sweep_points
from chainstitch.utils.score.wer import Counts


def decode(path: Path, hyps: dict[str, str], ref: str = "a one two\nb three\n") -> Path:
    path.mkdir(parents=True)
    (path / "ref").write_text(ref, encoding="utf-8")
    (path / "utt2spk").write_text("a ann\nb bob\n")
    for point, text in hyps.items():
        (path / f"hyp_{point}").write_text(text, encoding="utf-8")
    return path


def contents(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in path.iterdir()}


SWEEP = {
    "9_0.0": "a one two\nb ten\n",  # 1 error
    "10_0.0": "a one\nb ten\n",  # 2 errors
    "11_0.0": "a one two\nb three\n",  # none
    "12_0.0": "a one two\n",  # 1 error, b is missing
}


def totals(errors: dict[tuple[float, float], int]) -> dict[tuple[float, float], Counts]:
    return {point: Counts(1, 10, 0, 0, count, 1) for point, count in errors.items()}


def test_the_best_point_of_dev_is_chosen_and_written(tmp_path: Path) -> None:
    result = score_directory(decode(tmp_path / "decode_dev", SWEEP))
    files = contents(tmp_path / "decode_dev")
    line = b"%WER 0.00 [ 0 / 3, 0 ins, 0 del, 0 sub ]\n"
    assert files["best_wer"] == line
    assert files["hyp"] == files["hyp_11_0.0"]
    assert files["wer_12_0.0"] == (
        b"%WER 33.33 [ 1 / 3, 0 ins, 1 del, 0 sub ]\n%SER 50.00 [ 1 / 2 ]\n"
        b"Scored 2 sentences, 1 not present in hyp.\n"
    )
    assert {"wer_9_0.0", "wer_10_0.0", "wer_11_0.0", "errors.txt", "per_spk"} <= files.keys()
    choice = read_choice(tmp_path / "decode_dev" / "choice.toml")
    assert choice == result.choice
    assert (choice.lmwt, choice.wip, choice.set, choice.points) == (11, 0, "dev", 4)
    assert choice.line + "\n" == line.decode()
    assert not result.edges


def test_test_is_scored_at_the_point_chosen_on_dev_only(tmp_path: Path) -> None:
    dev = score_directory(decode(tmp_path / "decode_dev", {"9_0.0": "a one two\nb three\n"})).choice
    test = decode(tmp_path / "decode_test", SWEEP)  # 11 would be better here
    result = score_directory(test, dev)
    assert result.scores.total.errors == 1
    assert [path.name for path in test.glob("wer_*")] == ["wer_9_0.0"]
    assert read_choice(test / "choice.toml") == dev


def test_a_sweep_on_test_is_refused_unless_allowed(tmp_path: Path) -> None:
    test = decode(tmp_path / "decode_test_strings", SWEEP)
    before = contents(test)
    with pytest.raises(UsageError, match="--choice .*--allow-sweep"):
        score_directory(test)
    assert contents(test) == before
    assert score_directory(test, allow_sweep=True).choice.lmwt == 11


def test_one_point_on_test_is_no_sweep(tmp_path: Path) -> None:
    test = decode(tmp_path / "decode_test", {"10_0.0": "a one\nb three\n"})
    assert score_directory(test).choice.points == 1


def test_a_choice_that_was_not_decoded_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    dev = score_directory(decode(tmp_path / "decode_dev", SWEEP)).choice
    test = decode(tmp_path / "decode_test", {"10_0.5": "a one\n"})
    before = contents(test)
    with pytest.raises(UsageError, match="lmwt 11 and wip 0 .*hyp_10_0.5.*--choice"):
        score_directory(test, dev)
    assert contents(test) == before


@pytest.mark.parametrize(
    ("hyps", "said"),
    [
        ({}, "no hyp_<lmwt>_<wip>"),
        ({"10": "a\n"}, "not named"),
        ({"10_0": "a\n", "10_0.0": "a\n"}, "same point"),
        ({"10_0": "a x\na y\n", "11_0": "a x\n"}, "occurs twice"),
        ({"10_0": "a x\nstranger y\n"}, "'stranger'"),
    ],
)
def test_broken_decode_directories_stay_as_they_are(
    tmp_path: Path, hyps: dict[str, str], said: str
) -> None:
    dev = decode(tmp_path / "decode_dev", hyps)
    before = contents(dev)
    with pytest.raises(UserError, match=said):
        score_directory(dev)
    assert contents(dev) == before


def test_scoring_again_replaces_and_agrees(tmp_path: Path) -> None:
    dev = decode(tmp_path / "decode_dev", SWEEP)
    score_directory(dev)
    first = contents(dev)
    score_directory(dev)
    assert contents(dev) == first
    assert sorted(sweep_points(dev)) == [(9, 0), (10, 0), (11, 0), (12, 0)]


def test_no_choice_file_and_a_broken_one_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="chainstitch score"):
        read_choice(tmp_path / "choice.toml")
    (tmp_path / "choice.toml").write_text("lmwt = 3.0\n")
    with pytest.raises(UsageError, match="missing key"):
        read_choice(tmp_path / "choice.toml")


@pytest.mark.parametrize(
    ("tied", "winner"),
    [
        ([(7, 0), (9, 0), (12, 0)], (9, 0)),
        ([(9, 0), (11, 0)], (9, 0)),  # equally near: the smaller lmwt
        ([(10, 0.5), (10, 0), (10, -0.5)], (10, 0)),
        ([(10, 0.5), (10, -0.5)], (10, -0.5)),
        ([(11, 0), (10, 1)], (10, 1)),  # lmwt is looked at before wip
    ],
)
def test_ties_go_to_the_middle_whatever_the_order(
    tied: list[tuple[float, float]], winner: tuple[float, float]
) -> None:
    generator = random.Random(1)
    for _ in range(5):
        generator.shuffle(tied)
        assert choose(totals({(13.0, 0.0): 9} | dict.fromkeys(tied, 3))) == winner


def test_fewer_errors_beat_the_middle() -> None:
    assert choose(totals({(10, 0): 4, (17, 1): 3})) == (17, 1)


def test_a_best_point_at_the_edge_is_told() -> None:
    found = edges(totals({(9, 0): 5, (10, 0): 4, (11, 0): 3}), (11, 0))
    assert len(found) == 1
    assert "lmwt, 11," in found[0]
    assert "9 to 11" in found[0]


def test_an_edge_no_better_than_the_inside_is_not_told() -> None:
    errors = totals({(9, 0): 4, (10, 0): 3, (11, 0): 3})
    assert edges(errors, choose(errors)) == []
    assert edges(errors, (11, 0)) == []
    assert edges(totals({(10, 0): 3}), (10, 0)) == []


def test_each_axis_has_its_own_edge() -> None:
    errors = totals(
        {(lm, wip): 9 - (lm == 10) - (wip == 1) for lm in (9, 10, 11) for wip in (0, 1)}
    )
    (sentence,) = edges(errors, choose(errors))
    assert "wip, 1," in sentence
