"""Decoding by models of the transcripts: what was said otherwise is found, where it was said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chainstitch.utils.decode.biased import (
    BiasedDecoder,
    Utterance,
    common_words,
    grouped,
    merge_edits,
    write_edits,
)
from chainstitch.utils.decode.cleaned_set import read_non_scored, unknown_word
from chainstitch.utils.decode.ctm_edits import Edit
from chainstitch.utils.errors import UserError
from chainstitch.utils.hmm.topology import entry_pdf, loop_pdf
from chainstitch.utils.lang.directory import read_lang, write_lang
from chainstitch.utils.lang.ngram import from_words

FRAMES = 4  # of a phone
TEXTS = ["ab c ba", "c abc ab", "ba ba c"]


def said(lang: Path, name: str, transcript: str, words: str, sure: float = 6.0) -> Utterance:
    """An utterance in which `words` were said, while the transcript has others."""
    known = read_lang(lang)
    silence = (known.phones["SIL"],)
    spoken = [known.pronunciations_of[word][0] for word in words.split()]
    phones = [phone for pron in [silence, *spoken, silence] for phone in pron]
    frames = [
        entry_pdf(phone) if n == 0 else loop_pdf(phone) for phone in phones for n in range(FRAMES)
    ]
    log_likes = np.zeros((len(frames), 2 * known.num_phones), np.float32)
    log_likes[np.arange(len(frames)), frames] = sure
    return Utterance(name, transcript.split(), log_likes, 0.03 * len(frames))


@pytest.fixture(scope="module")
def lang(workplace: Path) -> Path:
    return workplace / "uniform"


@pytest.fixture(scope="module")
def decoder(lang: Path) -> BiasedDecoder:
    common = common_words(text.split() for text in TEXTS)
    return BiasedDecoder(lang, None, common, "<unk>", 15.0, 6.0, 0.03)


def heard(edits: list[Edit] | None) -> list[tuple[str, str, str]]:
    assert edits is not None
    return [(edit.hyp, edit.ref, edit.kind) for edit in edits if edit.kind != "sil"]


def test_errors_of_transcripts_are_found(lang: Path, decoder: BiasedDecoder) -> None:
    group = [
        said(lang, "right", "ab c ba", "ab c ba"),
        said(lang, "left-out", "ba ba", "ba c ba"),
        said(lang, "too-much", "c abc ab", "c ab"),
        said(lang, "other", "ab ab c", "ab ba c"),
    ]
    found = dict(decoder.decode(group))
    assert list(found) == ["right", "left-out", "too-much", "other"]
    assert {kind for _, _, kind in heard(found["right"])} == {"cor"}
    assert heard(found["left-out"])[1] == ("c", "<eps>", "ins")
    assert heard(found["too-much"])[1] == ("<eps>", "abc", "del")
    assert heard(found["other"])[1] == ("ba", "ab", "sub")
    inserted = next(edit for edit in found["left-out"] or [] if edit.kind == "ins")
    assert (inserted.begin, inserted.length) == pytest.approx((12 * 0.03, 4 * 0.03))


def test_what_is_not_certain_is_what_the_transcript_says(
    lang: Path, decoder: BiasedDecoder
) -> None:
    unsure = said(lang, "u", "ab c", "ba c", sure=0.5)
    ((_, edits),) = decoder.decode([unsure])
    assert {kind for _, _, kind in heard(edits)} == {"cor"}


def test_words_outside_the_lexicon_are_left_out_of_the_model(
    lang: Path, decoder: BiasedDecoder
) -> None:
    ((_, edits),) = decoder.decode([said(lang, "u", "ab zebra c", "ab c")])
    assert heard(edits) == [("ab", "ab", "cor"), ("<eps>", "zebra", "del"), ("c", "c", "cor")]


def test_an_utterance_of_no_frames_has_no_edits(lang: Path, decoder: BiasedDecoder) -> None:
    empty = Utterance("u", ["ab"], np.zeros((0, 8), np.float32), 0.0)
    assert decoder.decode([empty]) == [("u", None)]


def test_groups_have_enough_words_and_keep_their_order() -> None:
    names = [(f"u{n}", count) for n, count in enumerate([40, 60, 99, 1, 100, 7])]
    assert grouped(names) == [["u0", "u1"], ["u2", "u3"], ["u4"], ["u5"]]
    assert grouped([]) == []


def test_common_words_are_the_most_frequent_with_their_shares() -> None:
    texts = [["a"] * 5, ["b"] * 3, [f"w{n:03}" for n in range(192)]]
    found = common_words(texts)
    assert len(found) == 100
    assert list(found)[:3] == ["a", "b", "w000"] and found["a"] == 5 / 200


def test_shares_become_what_one_process_writes(
    tmp_path: Path, lang: Path, decoder: BiasedDecoder
) -> None:
    groups = [[said(lang, f"u{n}", text, text)] for n, text in enumerate(TEXTS)]
    found = [decoder.decode(group) for group in groups]
    lost, kinds = write_edits(tmp_path / "whole", found, 3)
    assert lost == 0 and kinds["cor"] == 9
    for number, share in enumerate([found[::2], found[1::2]], 1):
        write_edits(tmp_path / f"out.parts/{number}of2", share, len(share))
    merge_edits(tmp_path / "out", 2, ["u0", "u1", "u2"])
    names = [tmp_path / place / "ctm_edits" for place in ("out", "whole")]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_nothing_is_written_where_nothing_was_decoded(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of 1 utterances"):
        write_edits(tmp_path / "out", [[("u", None)]], 1)
    assert not (tmp_path / "out").exists()


def test_words_of_one_silence_phone_are_not_scored_and_the_lexicon_has_the_unknown_one(
    tmp_path: Path,
) -> None:
    lexicon = {"<unk>": [("SPN",)], "[noise]": [("NSN",)], "a": [("A",)], "b": [("A", "A")]}
    silences = ("SIL", "SPN", "NSN")
    write_lang(tmp_path / "lang", lexicon, from_words(), silences=silences, unknown="<unk>")
    assert read_non_scored(tmp_path / "lang", None) == {"<unk>", "[noise]"}
    assert unknown_word(tmp_path / "lang", None) == "<unk>"
    assert unknown_word(tmp_path / "lang", "a") == "a"
