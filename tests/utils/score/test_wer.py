"""Corpus error rates: golden lines by hand, sums that agree, and inputs that cannot be scored."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.score.report import errors_text, pad, per_speaker_text
from chainstitch.utils.score.text import read_text, read_utt2spk
from chainstitch.utils.score.wer import GAP, Counts, Scores, align, by_speaker, confusions, score


def naive_distance(ref: list[str], hyp: list[str]) -> int:
    """The textbook table."""
    row = list(range(len(hyp) + 1))
    for i, r in enumerate(ref, 1):
        previous, row[0] = row[0], i
        for j, h in enumerate(hyp, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (r != h))
    return row[-1]


def example() -> Scores:
    # a: one substitution; b: right; c: "two" deleted; d: "oh" inserted, then "nine"->"five"
    refs = {"a": "one two", "b": "three", "c": "two four six", "d": "nine"}
    hyps = {"a": "one ten", "b": "three", "c": "four six", "d": "oh five"}
    return score({k: v.split() for k, v in refs.items()}, {k: v.split() for k, v in hyps.items()})


def test_the_lines_are_kaldis() -> None:
    counts = Counts(60, 734, 10, 20, 31, 16)
    assert counts.wer_line() == "%WER 8.31 [ 61 / 734, 10 ins, 20 del, 31 sub ]"
    assert counts.ser_line() == "%SER 26.67 [ 16 / 60 ]"


def test_a_small_set_has_the_counts_found_by_hand() -> None:
    total = example().total  # 4 errors in 7 words, 3 of 4 utterances wrong
    assert total.wer_line() == "%WER 57.14 [ 4 / 7, 1 ins, 1 del, 2 sub ]"
    assert total.ser_line() == "%SER 75.00 [ 3 / 4 ]"


def test_more_errors_than_words_exceed_100_per_cent() -> None:
    assert score({"a": ["x"]}, {"a": ["p", "q", "r"]}).total.wer_line() == (
        "%WER 300.00 [ 3 / 1, 2 ins, 0 del, 1 sub ]"
    )


def test_alignments_are_cheapest_and_spell_both_sides() -> None:
    generator = random.Random(5)
    for _ in range(300):
        ref, hyp = (
            [generator.choice(["a", "***", "<eps>", "ü"]) for _ in range(generator.randrange(8))]
            for _ in range(2)
        )
        found = align("u", ref, hyp)
        assert [r for r, _ in found.pairs if r != GAP] == ref
        assert [h for _, h in found.pairs if h != GAP] == hyp
        assert found.counts.errors == naive_distance(ref, hyp)
        assert found.counts.wrong_utterances == (ref != hyp)


def test_speakers_rows_and_confusion_tables_sum_to_the_total() -> None:
    generator = random.Random(7)
    words = ["null", "eins", "zwei", "drei"]
    refs = {f"u{i}": generator.choices(words, k=generator.randrange(1, 7)) for i in range(40)}
    hyps = {utt: generator.choices(words, k=generator.randrange(7)) for utt in refs}
    scores = score(refs, hyps)
    speakers = by_speaker(
        scores, {utt: f"s{len(utt + ref[0]) % 3}" for utt, ref in refs.items()}, ""
    )
    assert sum(speakers.values(), Counts()) == scores.total
    substituted, inserted, deleted = confusions(scores)
    assert substituted.total() == scores.total.substitutions
    assert inserted.total() == scores.total.insertions
    assert deleted.total() == scores.total.deletions


def test_words_are_compared_as_written() -> None:
    decomposed = unicodedata.normalize("NFD", "zwölf")
    scores = score({"a": ["zwölf", "Eins", "二"]}, {"a": [decomposed, "eins", "二"]})
    assert scores.total.substitutions == 2


def test_a_missing_hypothesis_counts_as_empty_and_is_named() -> None:
    scores = score({"a": ["x", "y"], "b": ["z"]}, {"b": ["z"]})
    assert scores.missing == ["a"]
    assert scores.total == Counts(2, 3, 0, 2, 0, 1)


def test_an_empty_reference_only_gathers_insertions() -> None:
    scores = score({"a": [], "b": ["z"]}, {"a": ["x"], "b": ["z"]})
    assert scores.total == Counts(2, 1, 1, 0, 0, 1)


@pytest.mark.parametrize(
    ("refs", "hyps", "said"),
    [
        ({}, {}, "no utterances"),
        ({"a": []}, {"a": ["x"]}, "no words"),
        ({"a": ["x"]}, {"a": ["x"], "b": ["y"]}, "'b'"),
    ],
)
def test_what_cannot_be_scored_is_an_error_of_one_line(
    refs: dict[str, list[str]], hyps: dict[str, list[str]], said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        score(refs, hyps)
    assert "\n" not in str(caught.value)


def test_an_utterance_without_a_speaker_is_named() -> None:
    with pytest.raises(UserError, match="utt2spk has no speaker for 'd'"):
        by_speaker(example(), {"a": "s", "b": "s", "c": "s"}, "utt2spk")


def test_errors_text_lists_frequent_errors_first_and_aligns_columns() -> None:
    refs = {"u1": ["one", "two", "three"], "u2": ["two"], "u3": ["four"]}
    hyps = {"u1": ["one", "ten", "三", "oh"], "u2": ["ten"]}
    text = errors_text(score(refs, hyps), {"u1": "ann", "u2": "bob", "u3": "bob"})
    assert text.index("two->ten 2") < text.index("three->三 1")
    assert "\n# insertions: HYP count\noh 1\n" in text
    assert "\n# deletions: REF count\nfour 1\n" in text
    assert (
        "\nu1 speaker ann: 3 errors in 3 words\n"
        "  ref one two three ***\n"
        "  hyp one ten 三    oh\n"
        "          S   S     I\n"
    ) in text
    assert text.endswith("(scored as empty)\nu3\n")


def test_padding_counts_terminal_columns() -> None:
    assert pad("三", 4) == "三  "
    assert pad(unicodedata.normalize("NFD", "ö"), 2, right=True).startswith(" o")


def test_per_speaker_text_ends_in_the_total() -> None:
    scores = example()
    speakers = by_speaker(scores, {"a": "zoe", "b": "zoe", "c": "al", "d": "al"}, "")
    rows = [line.split() for line in per_speaker_text(speakers, scores.total).splitlines()]
    assert rows == [
        ["speaker", "utts", "words", "WER", "ins", "del", "sub", "S.Err"],
        ["al", "2", "4", "75.00", "1", "1", "1", "100.00"],
        ["zoe", "2", "3", "33.33", "0", "0", "1", "50.00"],
        ["TOTAL", "4", "7", "57.14", "1", "1", "2", "75.00"],
    ]


def test_text_files_keep_order_empty_transcripts_and_unicode(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("b zwölf 二\u2028x\na\n", encoding="utf-8")
    assert list(read_text(tmp_path / "text").items()) == [("b", ["zwölf", "二", "x"]), ("a", [])]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a x\na y\n", "line 2: id 'a' occurs twice"),
        (b"a x\n\nb y\n", "line 2 is blank"),
        (b"a \xff\n", "UTF-8"),
        (None, "does not exist"),
    ],
)
def test_broken_text_files_are_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "hyp").write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        read_text(tmp_path / "hyp")
    assert str(tmp_path / "hyp") in str(caught.value)


def test_utt2spk_wants_one_speaker_a_line(tmp_path: Path) -> None:
    (tmp_path / "utt2spk").write_text("a ann\nb\n")
    with pytest.raises(UserError, match="'b' has 0 speakers"):
        read_utt2spk(tmp_path / "utt2spk")
