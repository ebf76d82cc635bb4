"""Switchboard's rules: what Kaldi's scripts made of the same lines, and dull twins."""

from __future__ import annotations

import random
import string
from pathlib import Path

import pytest

from chainstitch.utils.corpora import swbd, swbd_acronyms, swbd_lexicon, swbd_speakers, swbd_stm
from chainstitch.utils.corpora import swbd_text as rules
from chainstitch.utils.corpora.swbd_dict_patch import ADDED, DELETED
from chainstitch.utils.errors import UserError
from tests.reference import swbd as twins
from tests.utils.corpora.gold import rows


def sections(path: Path) -> dict[str, list[str]]:
    """The lines below each line `INPUT ...` or `OUTPUT ...`."""
    found: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.split(" ")[0] in ("INPUT", "OUTPUT", "WARNINGS"):
            lines = found.setdefault(line.partition(" (")[0], [])
        elif line:
            lines.append(line)
    return found


def gold_forms(gold: Path) -> dict[str, str]:
    return {word: form for word, form, _ in rows(gold / "swbd_acronyms_map.tsv")}


@pytest.mark.parametrize("name", ["swbd_map_words.tsv", "swbd_map_words_real.tsv"])
def test_words_are_those_of_the_gold(gold: Path, name: str) -> None:
    found = rows(gold / name)
    assert len(found) > 50
    assert [swbd.map_word(token) for token, _ in found] == [word for _, word in found]


def test_transcripts_are_those_of_the_gold(gold: Path) -> None:
    forms = gold_forms(gold)
    for line, wanted in rows(gold / "swbd_transcripts.tsv"):
        assert rules.text_line(line, forms) == wanted


def test_lexicon_and_acronyms_are_those_of_the_gold(
    gold: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = [line.split("\t", 1) for line in (gold / "swbd_lexicon.tsv").read_text().splitlines()]
    read = [line for kind, line in table if kind == "IN" and line and line[0] != "#"]
    wanted = [line for kind, line in table if kind == "OUT"]
    lexicon, acronyms = swbd_lexicon.lexicon(read, keep_article=False)
    assert lexicon == wanted
    assert [one.row().split("\t") for one in acronyms] == rows(gold / "swbd_acronyms_map.tsv")
    assert not caplog.text
    kept, fewer = swbd_lexicon.lexicon(read)
    assert "the dictionary has `a ey`, by which each `a`" in caplog.text
    assert {*kept} - {*wanted} == {"a ey"} and {*wanted} <= {*kept}
    assert [one.word for one in acronyms if one not in fewer] == ["a"]


def test_patch_is_that_of_the_gold(gold: Path) -> None:
    for kind, lines in (("delete", DELETED), ("add", ADDED)):
        wanted = [" ".join(row[1].split()) for row in rows(gold / "swbd_dict_patch.tsv")
                  if row[0] == kind]  # fmt: skip
        assert lines.splitlines() == wanted


def test_segments_are_those_of_the_gold(gold: Path) -> None:
    for line, segment, speaker, _ in rows(gold / "swbd_segments.tsv"):
        name = line.split()[0]
        assert rules.segment_line(name) == segment
        assert f"{name} {rules.side(name)}" == speaker


def test_speakers_are_those_of_the_gold(
    gold: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = (gold / "swbd_conv_tab.txt").read_text()
    table, _, rest = text.partition("INPUT utt2spk\n")
    old, _, output = rest.partition("OUTPUT\n")
    (tmp_path / "conv.tab").write_text(table.partition("\n")[2])
    pins = swbd_speakers.read_pins(tmp_path / "conv.tab")
    names = [line.split()[0] for line in old.splitlines()]
    found = [" ".join(pair) for pair in swbd_speakers.with_speakers(names, pins)]
    assert found == output.partition("utt2spk.new <==\n")[2].split("\n")[:3]
    assert "1 calls are not in conv.tab" in caplog.text and "2099" in caplog.text


def test_eval2000_is_that_of_the_gold(gold: Path, caplog: pytest.LogCaptureFixture) -> None:
    parts = sections(gold / "eval2000.txt")
    pem = {swbd_stm.segment(line) for line in parts["INPUT pem"] if ";;" not in line}
    segments = swbd_stm.padded(sorted(pem))
    shown = [f"{one.id} {one.side} {one.start:.2f} {one.end:.2f}" for one in segments]
    assert shown == parts["OUTPUT segments"]
    assert "en_4156-B_030100-030300 and en_4156-B_030200-030400 overlap" in caplog.text
    lines = parts["INPUT stm"]
    assert [swbd_stm.scored_line(line) for line in lines] == parts["OUTPUT stm"]
    texts = {swbd_stm.segment(line).id: said for line in lines if (said := swbd_stm.text(line))}
    assert [f"{name} {texts[name]}" for name in sorted(texts)] == parts["OUTPUT text"]
    ids = [swbd_stm.segment(line).id for line in lines if ";;" not in line]
    assert swbd_stm.different(ids, [one.id for one in segments]) is None


def test_rt03_is_that_of_the_gold(gold: Path) -> None:
    parts = sections(gold / "rt03.txt")
    lines = parts["INPUT stm"]
    scored = [swbd_stm.scored_line(line, numbered=True) for line in lines]
    assert [line for line in scored if line is not None] == parts["OUTPUT stm"]
    spoken = [line for line in lines if ";;" not in line and swbd_stm.GAP not in line]
    shown, texts = [], []
    for line in spoken:
        one = swbd_stm.segment(line, numbered=True)
        shown.append(f"{one.id} {one.side} {' '.join(line.split()[3:5])}")
        if said := swbd_stm.text(line):
            texts.append(f"{one.id} {said}")
    assert sorted(shown) == parts["OUTPUT segments"]
    assert sorted(texts) == parts["OUTPUT text"]


def test_words_are_those_of_the_twin() -> None:
    generator = random.Random(0)
    pieces = ["[", "]", "[", "]", "-", "/", "a", "b", "_1", "_", "{", "}", "[laughter-", "B", "'"]
    for _ in range(20_000):
        token = "".join(generator.choices(pieces, k=generator.randrange(1, 10)))
        assert rules.map_word(token) == twins.map_word(token), token


def test_acronyms_in_a_text_are_those_of_the_twin() -> None:
    generator = random.Random(0)
    forms = {letter: f"{letter.lower()}." for letter in string.ascii_uppercase}
    forms |= {"TV": "t._v.", "i": "i.", "a": "a."}
    for _ in range(5000):
        text = " ".join(generator.choices(["I", "i", "B", "A", "TV", "Tv", "a"], k=6))
        assert swbd_acronyms.written(text, forms) == twins.written(text, forms)


def test_padding_is_that_of_the_twin() -> None:
    generator = random.Random(0)
    for _ in range(300):
        segments = []
        for n in range(generator.randrange(1, 8)):
            start = generator.randrange(300) / 100
            end = start + generator.randrange(1, 80) / 100
            segments.append(swbd_stm.Segment(f"{n}", generator.choice("AB"), start, end))
        sides, times = [one.side for one in segments], [one[2:] for one in segments]
        found = [one[2:] for one in swbd_stm.padded(segments)]
        assert found == list(twins.padded(sides, times, swbd_stm.PAD))


def test_a_word_of_a_million_letters_takes_no_time() -> None:
    assert len(rules.map_word("a" * 1_000_000)) == 1_000_000
    assert rules.map_word("x[" + "a" * 1_000_000) == "x[" + "a" * 1_000_000


def test_a_word_in_a_small_s_is_no_acronym_as_a_whole() -> None:
    assert swbd_acronyms.find("us", "y uw eh s") is None
    assert swbd_acronyms.find("s", "eh s") is None
    assert swbd_acronyms.find("AAA", "t r ih p l ey") is None


def test_conv_tab_that_cannot_be_is_named(tmp_path: Path) -> None:
    table = tmp_path / "conv.tab"
    for content, said in (
        ('2001,"X",1012\n', "conv.tab:1: .*wanted `CALL"),
        ('2001,"X",1012,1055,\n2005,"Y",,1\n', "conv.tab:2: "),
        ("\n", "holds no calls"),
    ):
        table.write_text(content)
        with pytest.raises(UserError, match=said):
            swbd_speakers.read_pins(table)
    with pytest.raises(UserError, match="is missing; give conv.tab"):
        swbd_speakers.read_pins(tmp_path / "none")
