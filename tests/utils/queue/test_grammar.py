"""Kaldi's job grammar: ranges, substitution, and what is refused."""

from __future__ import annotations

import pytest

from chainstitch.utils.errors import UsageError
from chainstitch.utils.queue import grammar
from chainstitch.utils.queue.grammar import Job, is_range, parse


def test_range_and_substitution() -> None:
    jobs = parse(["LM=2:3", "log/LM.log", "score", "--weight=LM", "JOB"])
    assert [jobs.job(number) for number in jobs.numbers] == [
        Job("log/2.log", ("score", "--weight=2", "JOB")),
        Job("log/3.log", ("score", "--weight=3", "JOB")),
    ]
    one = parse(["JOB=4", "a.log", "x", "JOB"])
    assert [one.job(number) for number in one.numbers] == [Job("a.log", ("x", "4"))]
    plain = parse(["a.JOB.log", "x"])
    assert [plain.job(number) for number in plain.numbers] == [Job("a.JOB.log", ("x",))]


@pytest.mark.parametrize("text", ["JOB=1:4", "JOB=7", "LMWT=7:17"])
def test_is_range(text: str) -> None:
    assert is_range(text)


@pytest.mark.parametrize("text", ["JOB", "JOB=", "JOB=a", "1=2:3", "exp/JOB=1.log", "JOB=1:2:3"])
def test_is_no_range(text: str) -> None:
    assert not is_range(text)


def test_option_in_place_of_the_log_is_an_error() -> None:
    with pytest.raises(UsageError, match="where the log file's name should be"):
        parse(["JOB=1:2", "--typo", "2"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("4h", 14400), ("2d", 172800), ("1:30:05", 5405)]
    + [("2-12:00:00", 216000)],
)
def test_times(text: str, seconds: int) -> None:
    assert grammar.seconds(text) == seconds


@pytest.mark.parametrize("text", ["30", "", "0s", "0:00:00", "4 h", "1.5h", "10:00", "-1s", "4w"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--max-time"):
        grammar.seconds(text)


@pytest.mark.parametrize("text", ["4G", "500M", "1.5G", "2000"])
def test_memory(text: str) -> None:
    assert grammar.check_memory(text) == text


@pytest.mark.parametrize("text", ["", "4 G", "4GB", "G", "-4G", "0G", "4g"])
def test_memory_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="--mem"):
        grammar.check_memory(text)
