"""Reading train.jsonl: resumed, cut off, and broken ones."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.score.train_log import number, read_train_log


def test_rows_come_by_iteration_and_the_later_of_two_counts(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"iter": 1, "lr": 1}\n{"iter": 0, "lr": 2}\n{"iter": 1, "lr": 3}\n')
    assert [row["lr"] for row in read_train_log(path)] == [2, 3]


def test_an_unfinished_last_line_is_skipped_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"iter": 0}\n{"iter": 1, "tra')
    with caplog.at_level(logging.WARNING):
        assert len(read_train_log(path)) == 1
    assert "unfinished" in caplog.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "chainstitch train"),
        ("", "no iterations yet"),
        ('{"iter": 0}\nnonsense\n', "line 2"),
        ('{"lr": 0}\n', "line 1"),
        ("[1]\n", "line 1"),
    ],
)
def test_other_trouble_is_an_error_of_one_line(
    tmp_path: Path, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "train.jsonl").write_text(content)
    with pytest.raises(UserError, match=said) as caught:
        read_train_log(tmp_path / "train.jsonl")
    assert "\n" not in str(caught.value)


def test_numbers_are_found_in_nested_rows_or_absent() -> None:
    row = {"valid_objf": None, "max_change": {"global": 1}}
    assert number(row, "max_change", "global") == 1.0
    assert number(row, "valid_objf") is None
    assert number(row, "valid_objf", "deeper") is None
