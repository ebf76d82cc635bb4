"""Grouping of runs by seed and fold, and the numbers of each row."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.score.compare import Row, compare
from chainstitch.utils.score.experiment import read_experiment, split_name

Make = Callable[..., Path]


def rows_of(
    paths: list[Path],
    folds: tuple[str, ...] = (),
    sets: tuple[str, ...] = (),
    baseline: str | None = None,
) -> dict[tuple[str, str, str], Row]:
    rows = compare([read_experiment(path, folds) for path in paths], sets, baseline)
    return {(row.set, row.name, row.fold): row for row in rows}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("tdnn_1a_s3", ("tdnn_1a", "", 3)),
        ("tdnn_1a_theo_s12", ("tdnn_1a", "theo", 12)),
        ("tdnn_1a_theo", ("tdnn_1a", "theo", None)),
        ("tdnn_1a_big_theo_s0", ("tdnn_1a", "big_theo", 0)),  # the longest fold that fits
        ("theo_s1", ("theo", "", 1)),
        ("plain", ("plain", "", None)),
    ],
)
def test_names_split_into_name_fold_and_seed(name: str, parts: tuple[str, str, int | None]) -> None:
    assert split_name(name, ["theo", "big_theo"]) == parts


def test_seeds_make_one_row_with_mean_sd_and_n(make_experiment: Make) -> None:
    paths = [make_experiment(f"a_s{s}", {"dev": e}) for s, e in enumerate((1, 2, 3))]
    (row,) = rows_of(paths).values()
    assert (row.n, row.wer, row.sd, row.words) == ("3", pytest.approx(20), pytest.approx(10), 10)
    assert row.errors == (0, 0, 2)
    assert row.interval is not None
    assert 0 <= row.interval[0] < 20 < row.interval[1]


def test_one_run_has_no_sd(make_experiment: Make) -> None:
    (row,) = rows_of([make_experiment("a", {"dev": 1})]).values()
    assert (row.n, row.sd) == ("1", None)


def test_objectives_are_those_of_the_last_iteration(make_experiment: Make) -> None:
    path = make_experiment(
        "a_s0",
        {"dev": 0},
        train_objf=-0.3,
        train_diag_objf=-0.1,
        valid_objf=-0.2,
        parameters=1234,
        seconds=2.5,
    )
    found = read_experiment(path)
    assert (found.train_objf, found.valid_objf, found.parameters) == (-0.1, -0.2, 1234)
    assert found.seconds == 2.5


def test_development_sets_come_first_and_sets_selects(make_experiment: Make) -> None:
    paths = [make_experiment("a_s0", {"eval": 1, "dev": 0, "test": 2})]
    assert [key[0] for key in rows_of(paths)] == ["dev", "eval", "test"]
    assert [key[0] for key in rows_of(paths, sets=("test", "dev"))] == ["test", "dev"]
    with pytest.raises(UsageError, match="'tset'.*dev, eval, test"):
        rows_of(paths, sets=("tset",))


def test_a_run_without_a_set_is_named_and_lowers_n(
    make_experiment: Make, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [
        make_experiment("a_s0", {"dev": 1, "test": 1}),
        make_experiment("a_s1", {"dev": 1}),
    ]
    with caplog.at_level(logging.WARNING):
        rows = rows_of(paths)
    assert (rows["dev", "a", ""].n, rows["test", "a", ""].n) == ("2", "1")
    assert "a_s1 has no scores for test" in caplog.text


def test_the_baseline_is_paired_with_the_others(make_experiment: Make) -> None:
    paths = [make_experiment(f"base_s{s}", {"dev": 4}) for s in range(2)]
    paths += [make_experiment("new_s0", {"dev": 0}), make_experiment("same_s0", {"dev": 4})]
    rows = rows_of(paths, baseline="base")
    assert rows["dev", "base", ""].better is None
    assert (rows["dev", "new", ""].better or 0) > 0.5
    assert rows["dev", "same", ""].better == 0.0
    with pytest.raises(UsageError, match="base, new, same"):
        rows_of(paths, baseline="bass")


def test_folds_are_rows_of_their_own_with_a_mean(make_experiment: Make) -> None:
    theo, lucas = {"t1": "one two", "t2": "three oh"}, {"l1": "one", "l2": "two three four"}
    paths = []
    for seed, (a, b) in enumerate([(1, 2), (3, 2)]):
        paths.append(make_experiment(f"x_theo_s{seed}", {"test_theo_strings": a}, theo))
        paths.append(make_experiment(f"x_lucas_s{seed}", {"test_lucas_strings": b}, lucas))
        paths.append(make_experiment(f"base_theo_s{seed}", {"test_theo_strings": 4}, theo))
        paths.append(make_experiment(f"base_lucas_s{seed}", {"test_lucas_strings": 4}, lucas))
    rows = rows_of(paths, ("theo", "lucas"), baseline="base")
    assert [key[1:] for key in rows if key[1] == "x"] == [
        ("x", "theo"),
        ("x", "lucas"),
        ("x", "mean"),
    ]
    mean = rows["test_strings", "x", "mean"]
    assert mean.n == "2 folds x 2 seeds"
    assert mean.wer == pytest.approx(50)  # of 25, 75 and 50, 50
    assert mean.sd == pytest.approx(17.678, abs=1e-3)  # of 37.5 and 62.5
    assert mean.words == 8
    assert mean.errors == (0, 0, 4)
    assert 0.9 < (mean.better or 0) < 1  # the right utterance alone is a tie
    assert rows["test_strings", "x", "theo"].wer == pytest.approx(50)


def test_a_mean_over_unequal_folds_states_its_runs(make_experiment: Make) -> None:
    paths = [
        make_experiment("x_theo_s0", {"test": 1}),
        make_experiment("x_theo_s1", {"test": 3}),
        make_experiment("x_lucas_s0", {"test": 6}),
    ]
    mean = rows_of(paths, ("theo", "lucas"))["test", "x", "mean"]
    assert (mean.n, mean.wer, mean.sd) == ("2 folds, 3 runs", pytest.approx(40), None)


def test_runs_of_a_row_share_their_references(make_experiment: Make) -> None:
    paths = [
        make_experiment("a_s0", {"dev": 1}),
        make_experiment("a_s1", {"dev": 1}, {"u1": "one other", "u2": "set"}),
    ]
    with pytest.raises(UserError, match="different references for dev"):
        rows_of(paths)


def test_a_run_given_twice_does_not_raise_n(make_experiment: Make) -> None:
    path = make_experiment("a_s0", {"dev": 1})
    with pytest.raises(UsageError, match="count twice"):
        rows_of([path, path / "." / ""])


def test_an_experiment_without_scores_says_what_to_run(make_experiment: Make) -> None:
    path = make_experiment("a_s0", {"dev": 1})
    (path / "decode_dev" / "hyp").unlink()
    with pytest.raises(UserError, match="chainstitch score"):
        read_experiment(path)
    with pytest.raises(UserError, match="does not exist"):
        read_experiment(path / "nowhere")
