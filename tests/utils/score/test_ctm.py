"""Lines of a ctm, against what the scripts of Kaldi's recipes made of the same lines."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.score.ctm import (
    RULES,
    CtmLine,
    Place,
    in_recordings,
    read_acronyms,
    read_ctm,
    split_acronyms,
)


@pytest.mark.parametrize("rule", ["ted", "ami"])
def test_what_is_scored_is_what_the_recipe_scores(gold: Path, rule: str) -> None:
    for row in (gold / f"{rule}_ctm_filter.tsv").read_text().splitlines():
        line, kept = row.split("\t")
        assert RULES[rule](line) == (kept == "kept"), line


def test_switchboard_loses_noises_and_has_its_acronyms_as_letters(
    gold: Path, tmp_path: Path
) -> None:
    acronyms = read_acronyms(gold / "swbd_acronyms_map.tsv")
    ctm = tmp_path / "ctm"
    for row in (gold / "swbd_ctm.tsv").read_text().splitlines():
        given, expected = row.split("\t")
        ctm.write_text(given + "\n")
        kept = [line for line in read_ctm(ctm) if RULES["swbd"](str(line))]
        found = " ||| ".join(map(str, split_acronyms(kept, acronyms)))
        assert found == expected, given


def test_words_move_into_their_recording(
    gold: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = (gold / "convert_ctm.txt").read_text().splitlines()
    given, expected = lines[1:4], lines[7:10]
    utterance, _, start, end = lines[4].split()[1:]
    _, file, channel = lines[5].split()[1:]
    (tmp_path / "ctm").write_text("\n".join(given) + "\n")
    places = {utterance: Place(file, channel, float(start), float(end))}
    with caplog.at_level(logging.WARNING):
        moved = in_recordings(read_ctm(tmp_path / "ctm"), places, "ctm")
        assert [str(line) for line in moved] == expected
    assert "1 words end behind" in caplog.text and expected[2] in caplog.text


def test_an_utterance_without_a_place_is_named() -> None:
    with pytest.raises(UserError, match="utterance 'u' is not in --data"):
        list(in_recordings([CtmLine("u", "1", "0", "1", "a")], {}, "ctm"))


@pytest.mark.parametrize("line", ["a A 1.0 0.3", "a A x 0.3 w", "a A 1 -2 w", "a A 1 nan w 1 2"])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "ctm").write_text(f";; fine\n\n{line}\n")
    with pytest.raises(UserError, match="ctm:3: "):
        read_ctm(tmp_path / "ctm")
