"""An stm or a glm that NIST's programs would misread is refused by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.score.reference import NO_RULES, check_glm, check_stm


def test_real_rules_pass(data_dir: Path, gold: Path) -> None:
    samples = data_dir / "speech-format-samples" / "nist-stm-ctm"
    assert check_glm(samples / "en20030506.glm") > 1500
    assert check_glm(samples / "example.glm") > 20
    assert [check_glm(gold / "scoring" / toy / "glm") for toy in ("swbd", "ted")] == [9, 1]


def test_what_stands_for_no_rules_is_a_glm(tmp_path: Path) -> None:
    (tmp_path / "glm").write_text(NO_RULES)
    assert check_glm(tmp_path / "glm") == 1


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("uh hesitation", "has no =>"),
        ("=> hesitation", "nothing before"),
        ("[ ] => hesitation", "nothing before"),
        ("we're => [{we are / we were]", "without its }"),
        ("uh => %hesitation / [ ] [ ]", "no __"),
        ("uh ;; => %hesitation", "has no =>"),
    ],
)
def test_a_rule_that_does_not_parse_is_named(tmp_path: Path, rule: str, fault: str) -> None:
    (tmp_path / "glm").write_text(f";; toy\n* name 'x'\na => b / [ ] __ ;; fine\n{rule}\n")
    with pytest.raises(UserError, match=f"glm:4: .*{fault}"):
        check_glm(tmp_path / "glm")


def test_more_rules_than_it_allows_itself(tmp_path: Path) -> None:
    (tmp_path / "glm").write_text("* max_nrules = '1'\na => b\nb => c\n")
    with pytest.raises(UserError, match="glm:3: .*max_nrules allows 1"):
        check_glm(tmp_path / "glm")


def test_the_conversations_of_a_reference(gold: Path) -> None:
    assert check_stm(gold / "scoring" / "ted" / "stm") == {("X_2010", "A"), ("Y_2011", "A")}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("x A s 9.0 8.0 <o> w", "before its start"),
        ("x A s 1.0", "wanted"),
        ("x A s 1 b w", "wanted"),
    ],
)
def test_a_segment_that_cannot_be_is_named(tmp_path: Path, line: str, fault: str) -> None:
    (tmp_path / "stm").write_text(f";; toy\nx A s 0.0 1.0 <o> w\n{line}\n")
    with pytest.raises(UserError, match=f"stm:3: .*{fault}"):
        check_stm(tmp_path / "stm")


def test_a_reference_without_segments(tmp_path: Path) -> None:
    (tmp_path / "stm").write_text(";; nothing\n")
    with pytest.raises(UserError, match="no segments"):
        check_stm(tmp_path / "stm")
