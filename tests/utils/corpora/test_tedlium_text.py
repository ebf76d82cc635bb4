"""The text rules of TED-LIUM: the gold of Kaldi's recipe, and a dull twin of the joining."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from chainstitch.utils.corpora import tedlium_text as rules
from tests.reference.tedlium import joined
from tests.utils.corpora.gold import rows


def test_stm_text_and_segments_are_those_of_the_gold(gold: Path) -> None:
    found = rows(gold / "ted_stm.tsv")
    assert len(found) >= 26
    for raw, scored, text, segment in found:
        assert rules.scored_line(raw) == scored
        assert (rules.text_line(scored) or "") == text
        assert (rules.segment_line(text.split()[0]) if text else "") == segment


def test_lm_text_is_that_of_the_gold(gold: Path) -> None:
    for raw, wanted in rows(gold / "ted_lm_text.tsv"):
        assert rules.lm_line(raw) == wanted
    assert rules.lm_line("it 's a test </s>", release=3) == "it 's a test"


def test_dictionary_is_that_of_the_gold(gold: Path) -> None:
    found = rows(gold / "ted_dict.tsv")
    lexicon = rules.dictionary_lines(line for kind, line in found if kind == "IN")
    assert lexicon == [line for kind, line in found if kind == "OUT"]
    phones = [line for kind, line in found if kind == "NONSILENCE"]
    assert rules.nonsilence_phones(lexicon) == phones


def test_phone_of_unknown_words_is_silence_unless_a_word_has_it() -> None:
    lexicon = rules.dictionary_lines(["a AH", "<unk> GBG", "x<s> S", "<sil> SIL"])
    assert lexicon == ["<sil> SIL", "<unk> NSN", "a AH", "x<s> S"]
    assert rules.nonsilence_phones(lexicon) == ["AH", "S"]


def test_joining_is_that_of_the_twin() -> None:
    generator = random.Random(0)
    pieces = ["a", "it", "'s", "'", "''x", "o'c", "<o,f0,male>", "\u00e9t\u00e9", "\u00a0", "  "]
    for _ in range(2000):
        line = " ".join(generator.choices(pieces, k=generator.randrange(9)))
        assert rules.joined(line) == joined(line)


def test_a_word_of_a_million_letters_takes_no_time() -> None:
    assert len(rules.joined("x " + "a" * 1_000_000)) == 1_000_002


def test_release_3_keeps_what_only_release_1_and_2_have() -> None:
    raw = "X 1 X 0 1.5 <o,f0,male> it 's(2) <sil> good (X-0-1.5)"
    assert rules.scored_line(raw, 3) == "X A X 0 1.5 <o,f0,male> it's(2) <sil> good"
    assert rules.scored_line(raw, 2) == "X A X 0 1.5 <o,f0,male> it's good"


def test_a_key_before_a_blank_is_not_at_the_end() -> None:
    raw = "X 1 X 0 1 <F0_F> yes (X-1) <sil>"
    assert rules.scored_line(raw) == "X A X 0 1 <o,f0,female> yes (X-1)"


@pytest.mark.parametrize(("time", "shown"), [("0.29", 28), ("1.15", 114), ("304.71", 30470)])
def test_times_are_cut_off_in_binary_floating_point(time: str, shown: int) -> None:
    line = rules.text_line(f"X A X 0 {time} <o,f0,male> a")
    assert line == f"X-0000000-{shown:07d} a"


def test_order_is_by_talk_channel_and_start_as_a_number() -> None:
    lines = ["X 1 X 10 11 <o> b", "X 1 X 9.5 11 <o> c", "W 2 W 0 1 <o> d", "X 1 X 10 11 <o> a"]
    assert sorted(lines, key=rules.order) == [lines[2], lines[1], lines[3], lines[0]]
