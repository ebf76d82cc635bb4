"""Pronunciation and silence probabilities are Kaldi's to the letter, from the same alignments."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.lang.estimation import Counts, estimate, write_counts
from chainstitch.utils.lang.lexicon import Entry
from chainstitch.utils.lang.probabilities import write_probabilities

GOLD = Path(__file__).resolve().parents[4] / "shared" / "gold" / "corpora" / "pron_sil_probs.txt"
LEXICON = {"a": [("A",), ("B",)], "b": [("B",)]}


def _sections(path: Path) -> dict[str, list[str]]:
    """The lines under each header, by the file that it is of."""
    found: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        head = line.split(" ")
        if head[0] in ("INPUT", "OUTPUT"):
            rows = found.setdefault(head[1], [])
        elif line:
            rows.append(line)
    return found


def _entry(field: str) -> Entry | None:
    word, *phones = field.split()
    return None if word == "<eps>" else (word, tuple(phones))


def _counts(lines: list[str]) -> Counts:
    counts = Counts()
    for line in lines:
        _, begin, *fields, end = line.split("\t")
        assert (begin, end) == ("<s>", "</s>")
        counts.add([_entry(field) for field in fields])
    return counts


def test_gold_probabilities_and_counts(tmp_path: Path) -> None:
    if not GOLD.is_file():
        pytest.skip(f"{GOLD} is not there")
    gold = _sections(GOLD)
    lexicon: dict[str, list[tuple[str, ...]]] = {}
    for line in gold["lexicon"]:
        word, *phones = line.split()
        lexicon.setdefault(word, []).append(tuple(phones))
    counts = _counts(gold["pron_perutt"])
    write_probabilities(tmp_path, lexicon, estimate(lexicon, counts))
    write_counts(tmp_path, counts, "sil")
    for name in ("lexiconp.txt", "lexiconp_silprob.txt", "silprob.txt"):
        assert (tmp_path / name).read_text().splitlines() == gold[name], name
    for name in ("sil_counts", "pron_bigram_counts", "pron_counts"):
        found = (tmp_path / f"{name}.txt").read_text().splitlines()
        assert sorted(found) == sorted(gold[name]), name  # Kaldi's are in the order of a hash table


def test_shares_are_rounded_before_they_are_divided(tmp_path: Path) -> None:
    # 1/3 and 2/3 with six digits: .333333 / .666667 is not a half
    probabilities = estimate(LEXICON, _counts(["u\t<s>\ta A\t</s>"]))
    assert probabilities.of("a", ("B",)).said == 0.499999


def test_what_is_always_or_never_silent_stays_possible() -> None:
    loud = estimate(LEXICON, _counts(["u\t<s>\ta A\tb B\t</s>"] * 500))
    assert loud.overall == 0.0 and loud.of("a", ("A",)).silence == 0.01
    hushed = estimate(LEXICON, _counts(["u\t<s>\t<eps> S\ta A\t<eps> S\tb B\t<eps> S\t</s>"] * 500))
    assert hushed.overall == 1.0 and hushed.of("a", ("A",)).silence == hushed.start == 0.99
    assert hushed.of("a", ("A",)).after_speech >= 0.01
    for found in (loud, hushed):  # of a word that an extra lexicon adds
        assert 0.0 < found.of("new", ("N",)).silence < 1.0


def test_words_that_were_not_seen_have_the_average() -> None:
    found = estimate(LEXICON, _counts(["u\t<s>\t<eps> S\ta A\t</s>"]))
    assert found.overall == 0.5 and found.of("b", ("B",)) == (1.0, 0.5, 1.0, 1.0)


def test_nothing_aligned_and_foreign_pronunciations_are_errors() -> None:
    with pytest.raises(UserError, match="no utterance is aligned"):
        estimate(LEXICON, Counts())
    with pytest.raises(UserError, match="'b' for one; align again"):
        estimate(LEXICON, _counts(["u\t<s>\tb A\t</s>"]))
