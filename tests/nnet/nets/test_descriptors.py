"""Descriptors: what they come to, and what is said of those that cannot be read."""

from __future__ import annotations

import pytest

from chainstitch.nnet.nets.descriptors import Term, parse_descriptor
from chainstitch.utils.errors import UsageError

ABOVE = ["ivector", "input", "tdnn1", "tdnn2.a", "lstm-1"]


def parse(text: str) -> list[tuple[Term, ...]]:
    return parse_descriptor(text, ABOVE, "lstm-1", "line 3")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", [(Term("lstm-1"),)]),
        ("tdnn1", [(Term("tdnn1"),)]),
        ("Append(-3, 0,+3)", [(Term("lstm-1", n),) for n in (-3, 0, 3)]),
        ("Offset(tdnn2.a, -2)", [(Term("tdnn2.a", -2),)]),
        ("Offset(Append(tdnn1,-1),2)", [(Term("tdnn1", 2),), (Term("lstm-1", 1),)]),
        (
            "Append(0, Append(tdnn1, 1))",
            [(Term("lstm-1"),), (Term("tdnn1"),), (Term("lstm-1", 1),)],
        ),
        ("Sum(tdnn1, tdnn2.a, lstm-1)", [(Term("tdnn1"), Term("tdnn2.a"), Term("lstm-1"))]),
        (
            "Append(-1, Sum(tdnn1, Scale(0.5, Offset(tdnn2.a, 3))))",
            [(Term("lstm-1", -1),), (Term("tdnn1"), Term("tdnn2.a", 3, 0.5))],
        ),
        ("Scale(-2, Scale(.25, tdnn1))", [(Term("tdnn1", 0, -0.5),)]),
        ("IfDefined(Offset(tdnn1,-3))", [(Term("tdnn1", -3),)]),
        (
            "Append(-1,0,ReplaceIndex(ivector, t, 0))",
            [(Term("lstm-1", -1),), (Term("lstm-1"),), (Term("ivector", constant=True),)],
        ),
    ],
)
def test_offsets_and_scales_arrive_at_the_leaves(text: str, parts: list[tuple[Term, ...]]) -> None:
    assert parse(text) == parts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Apend(0,1)", "did you mean 'Append'"),
        ("Append(tdnn3)", "did you mean 'tdnn1'"),
        ("3", "cannot read the input at '3'"),
        ("Append()", "cannot read"),
        ("Append(0,1", "cannot read"),
        ("Append(0,1))", "cannot read the input at ')'"),
        ("Append(0 1)", "cannot read"),
        ("Append(0;1)", "cannot read"),
        ("Append(0.5,1)", "cannot read"),
        ("Offset(tdnn1)", "cannot read"),
        ("Offset(tdnn1,1.5)", "cannot read"),
        ("Offset(tdnn1,lstm-1)", "cannot read"),
        ("Sum(tdnn1)", "cannot read"),
        ("Sum(tdnn1,Append(0,1))", "cannot read"),
        ("Scale(tdnn1,2)", "cannot read"),
        ("ReplaceIndex(ivector,x,0)", "cannot read"),
        ("ReplaceIndex(ivector,t,1)", "cannot read"),
        ("ReplaceIndex(Offset(ivector,1),t,0)", "cannot read"),
        ("(", "cannot read"),
    ],
)
def test_what_cannot_be_read_is_shown_with_what_can(text: str, message: str) -> None:
    with pytest.raises(UsageError, match="^line 3: ") as error:
        parse(text)
    assert message in str(error.value)
    assert "did you mean" in message or "Append(-3,0,3)" in str(error.value)
