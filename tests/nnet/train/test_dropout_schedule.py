"""Dropout schedules: Kaldi's own examples, patterns, and what is said to text that is none."""

from __future__ import annotations

import pytest

from chainstitch.nnet.train.dropout_schedule import DropoutSchedule
from chainstitch.utils.errors import UsageError

LAYERS = ["tdnn1", "lstm.1", "lstm.2"]


def at(text: str, fraction: float) -> float:
    """The one value that all layers have."""
    proportions = DropoutSchedule(text, LAYERS).at(fraction)
    assert list(proportions) == LAYERS
    (value,) = set(proportions.values())
    return value


@pytest.mark.parametrize(
    ("fraction", "value"),
    [(0, 0), (0.1, 0), (0.2, 0), (0.35, 0.15), (0.5, 0.3), (0.75, 0.15), (0.9, 0.06), (1, 0)],
)
def test_gold_one_schedule_for_all(fraction: float, value: float) -> None:
    assert at("0,0@0.20,0.3@0.50,0", fraction) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("fraction", "others", "lstm"), [(0.25, 0.25, 0.1), (0.5, 0.5, 0.2), (0.75, 0.25, 0.3)]
)
def test_gold_later_patterns_take_precedence(fraction: float, others: float, lstm: float) -> None:
    schedule = DropoutSchedule("*=0.0,0.5,0.0 lstm.*=0.0,0.3@0.75,0.0", LAYERS)
    wanted = {"tdnn1": others, "lstm.1": lstm, "lstm.2": lstm}
    assert schedule.at(fraction) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("text", "fraction", "value"),
    [
        ("0.1,0.3", 0.0, 0.1),  # a straight line
        ("0.1,0.3", 0.5, 0.2),
        ("0.1,0.3", 1.0, 0.3),
        ("0.1,0.3,0.2", 0.5, 0.3),  # no fraction: at half
        ("0,0.5@0.5,0.1@0.5,0", 0.499999, 0.5),  # a jump
        ("0,0.5@0.5,0.1@0.5,0", 0.5, 0.1),
        ("0.5,0.1@0,0.1", 0.0, 0.1),
        ("  1,1  ", 0.3, 1.0),
    ],
)
def test_values_hold_where_they_stand(text: str, fraction: float, value: float) -> None:
    assert at(text, fraction) == pytest.approx(value, abs=1e-5)


def test_layers_that_no_pattern_fits_are_left_alone() -> None:
    assert DropoutSchedule("lstm.[12]=0.5,0.5", LAYERS).at(0) == {"lstm.1": 0.5, "lstm.2": 0.5}
    assert DropoutSchedule("", LAYERS).at(0) == {} == DropoutSchedule("", []).at(0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.3", "found '0.3'; wanted [PATTERN=]VALUE,VALUE@FRACTION,...,VALUE"),
        ("=0,0", "found '=0,0'; wanted"),
        ("0, 0.3, 0", "found '' in '0,'; wanted"),
        ("0,x,0", "found 'x' in '0,x,0'"),
        ("0,0.3@,0", "found '' in '0,0.3@,0'"),
        ("0,0.3@0.2@0.3,0", "found '0.2@0.3'"),
        ("0@0.2,0", "found '0@0.2'"),  # the ends have no fraction
        ("0,1.5,0", "found '1.5' in '0,1.5,0'; values and fractions lie in 0 ... 1"),
        ("0,0.3@2,0", "found '2'"),
        ("-0.1,0", "found '-0.1'"),
        ("nan,0", "found 'nan'"),
        ("0,0.3@0.5,0.1@0.2,0", "the fractions go back"),
        ("tdn=0,0", "no layer fits 'tdn'; layers with dropout: tdnn1, lstm.1, lstm.2"),
        ("*=0,0 LSTM*=0,0", "no layer fits 'LSTM*'"),
    ],
)
def test_mistakes_are_named(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        DropoutSchedule(text, LAYERS)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_network_without_dropout_is_told_how_to_have_some() -> None:
    with pytest.raises(UsageError, match=r"no layer fits '\*'; write dropout-proportion=0 on"):
        DropoutSchedule("0,0.3,0", [])
