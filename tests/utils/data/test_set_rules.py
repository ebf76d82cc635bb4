"""The rules of `chainstitch data`: what Kaldi's own code gave, and plain twins on random rows."""

from __future__ import annotations

import random
import re
import typing
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from chainstitch.bin import data
from chainstitch.utils.data import duplicates, pseudo_speakers, short_utterances, subset
from chainstitch.utils.data.segment_times import extended
from tests.reference import set_operations as plain


@pytest.fixture
def gold(data_dir: Path) -> Path:
    """What the original code gave on inputs that were written for it."""
    return data_dir.parent / "gold" / "corpora"


def sections(path: Path) -> dict[str, list[list[str]]]:
    """The fields of the lines below each heading: INPUT spk2utt, OUTPUT, ..."""
    found: dict[str, list[list[str]]] = {}
    for line in path.read_text().splitlines():
        if re.match(r"(INPUT|OUTPUT|STDERR)", line):
            heading = line
            found[heading] = []
        else:
            found[heading].append(line.split())
    return found


def test_subsets_are_spread_as_by_kaldi(gold: Path) -> None:
    names = "abcdefghij"
    rows = re.findall(r"N=(\d+): (.+)", (gold / "subset_scp.txt").read_text())
    assert len(rows) == 10
    for count, wanted in rows:
        assert [names[n] for n in subset.even(10, int(count))] == wanted.split()
    assert ["abcdefg"[n] for n in subset.even(7, 5)] == list("acefg")


def test_subsets_are_spread_as_by_the_twin() -> None:
    for total in range(40):
        for count in range(total + 1):
            wanted = plain.even([*map(str, range(total))], count)
            assert [*map(str, subset.even(total, count))] == wanted
    assert sum(1 for _ in subset.even(1_000_000, 654_321)) == 654_321


def test_duplicates_are_removed_as_by_kaldi(gold: Path) -> None:
    text = (gold / "remove_dup_utts.txt").read_text()
    lines = [line.split(maxsplit=1) for line in text.splitlines() if re.match(r"u\d+ ", line)]
    counts = {said: sum(s == said for _, s in lines) for _, said in lines}
    rows = re.findall(r"KEPT max-count (\d+): (.+)", text)
    assert len(lines) == 24 and len(rows) == 3
    for most, wanted in rows:
        keeps = duplicates.kept([said for _, said in lines], counts, int(most))
        kept = [name for (name, _), keep in zip(lines, keeps, strict=True) if keep]
        assert kept == wanted.split()


def test_short_utterances_are_combined_as_by_kaldi(gold: Path) -> None:
    parts = sections(gold / "combine_short.txt")
    seconds = {name: float(duration) for name, duration in parts["INPUT utt2dur"]}
    speakers = {name: row[0] for row in parts["INPUT spk2utt"] for name in row[1:]}
    ids = sorted(seconds)
    found = short_utterances.groups(
        ids, [speakers[name] for name in ids], [seconds[name] for name in ids], 1.55
    )
    wanted = parts["OUTPUT utt2utts (min 1.55)"]
    assert [[g.id, *(ids[n] for n in g.members)] for g in found] == wanted
    assert [[g.id, g.speaker] for g in found] == parts["OUTPUT utt2spk"]


@pytest.mark.parametrize("shortest", [1, 5])
def test_groups_are_those_of_the_twin(shortest: int) -> None:
    generator = random.Random(shortest)
    for _ in range(400):
        count = generator.randint(1, 25)
        durations = [0.1 * generator.randint(shortest, 20) for _ in range(count)]
        found = short_utterances.join(durations, 1.55)
        assert [list(range(*part)) for part in found] == plain.join(durations, 1.55)


def test_many_utterances_that_are_all_short_take_no_longer_each() -> None:
    (whole,) = short_utterances.join([0.5] * 100_000, 1.55)[:1]  # a quadratic one takes minutes
    assert whole[0] == 0


def test_a_tie_of_shares_goes_to_the_first_speaker_by_name() -> None:
    (group,) = short_utterances.groups(["1", "2"], ["b", "a"], [0.5, 0.5], 1.0)
    assert group == short_utterances.Group("2-comb2", "a", (1, 0))


def test_pseudo_speakers_are_those_of_the_twin_and_sort_by_their_numbers() -> None:
    generator = random.Random(0)
    utterances = [(generator.choice("abc"), 0.1 * generator.randint(1, 400)) for _ in range(300)]
    names = pseudo_speakers.pseudo_speakers(*map(list, zip(*utterances, strict=True)), 30.0)
    for speaker, rows in plain.pseudo_speakers(utterances, 30.0).items():
        width = len(str(len(rows)))
        for number, row in enumerate(rows, start=1):
            assert {names[n] for n in row} == {f"{speaker}-{number:0{width}d}"}


def test_segments_are_extended_as_by_kaldi(gold: Path) -> None:
    parts = sections(gold / "ted_extend_segments.txt")
    (given,) = (rows for heading, rows in parts.items() if heading.startswith("INPUT"))
    (wanted,) = (rows for heading, rows in parts.items() if heading.startswith("OUTPUT"))
    found, overlaps = {}, 0
    for recording in {row[1] for row in given}:
        own = [row for row in given if row[1] == recording]
        times, fixed = extended([(float(row[2]), float(row[3])) for row in own], 0.15, 0.1, 0.1)
        overlaps += fixed
        found |= {row[0]: extent for row, extent in zip(own, times, strict=True)}
    for name, _, start, end in wanted:
        assert found[name] == pytest.approx((float(start), float(end)), abs=1e-9)
    assert len(wanted) == len(found) == 5 and overlaps == 2


def test_subsets_by_speaker() -> None:
    speakers = [*"aaaaaaabbbcc"]
    assert subset.of_each_speaker(speakers, 3) == [0, 2, 4, 7, 8, 9, 10, 11]
    for seed in range(4):
        taken = {speakers[n] for n in subset.whole_speakers(speakers, 4, seed)}
        chosen = subset.whole_speakers(speakers, 4, seed)
        assert chosen == [n for s in dict.fromkeys(speakers[n] for n in chosen) for n in
                          range(12) if speakers[n] == s]  # fmt: skip
        assert len(chosen) >= 4 and len(taken) <= 2
    assert len({tuple(subset.whole_speakers(speakers, 4, seed)) for seed in range(9)}) > 1


def test_the_command_offers_every_way_to_choose() -> None:
    (offered, *_) = typing.get_args(typing.get_type_hints(data.subset, include_extras=True)["how"])
    assert typing.get_args(offered) == tuple(subset.HOW)
    for how in subset.HOW:
        assert len(set(subset.choose(how, 2, [2.0, 1.0, 3.0], ["a", "b", "a"], 0))) in (1, 2, 3)
    with pytest.raises(ValueError, match="'random' is not one of even, first"):
        subset.choose("random", 2, [1.0], ["a"], 0)


def test_segments_and_duplicates_are_those_of_the_twins() -> None:
    generator = random.Random(0)
    for _ in range(200):
        starts = [Fraction(generator.randint(0, 3000), 100) for _ in range(generator.randint(1, 9))]
        segments = [(start, start + Fraction(generator.randint(1, 900), 100)) for start in starts]
        padding = [Fraction(generator.randint(0, 40), 100) for _ in range(3)]
        floats = [(float(start), float(end)) for start, end in segments]
        found, _ = extended(floats, *map(float, padding))
        for number, times in plain.extended(segments, *padding).items():
            assert found[number] == pytest.approx([*map(float, times)], abs=1e-9)
        texts = generator.choices("abcdef", range(1, 7), k=60)
        most = generator.randint(1, 20)
        kept = list(duplicates.kept(texts, Counter(texts), most))
        assert kept == plain.kept(texts, most)
