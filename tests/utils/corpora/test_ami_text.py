"""AMI's text rules and ids: the gold of Kaldi's recipe, and a dull twin of the cutting."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from chainstitch.utils.corpora import ami, ami_dict
from chainstitch.utils.corpora.ami_ids import MICROPHONES, shown, utterance, without_overlap
from chainstitch.utils.corpora.fisher import map_words
from chainstitch.utils.errors import UsageError, UserError
from tests.reference.ami import pieces
from tests.utils.corpora.gold import rows


def test_pieces_and_words_are_those_of_the_gold(gold: Path) -> None:
    found = rows(gold / "ami_split.tsv")
    assert len(found) >= 27
    for line, wanted in found:
        assert " ||| ".join(ami.split(line)) == wanted
    for text, wanted in rows(gold / "ami_normalise.tsv"):
        assert ami.normalise(text) == wanted


def test_ids_and_names_of_audio_are_those_of_the_gold(gold: Path) -> None:
    for what, wanted in rows(gold / "ami_ids.tsv"):
        told, piece = what.split(": ", 1)
        mic, file = told.split()
        one = utterance(piece, MICROPHONES["ihm" if mic == "ihm" else "sdm1"])
        said = {
            "text": one.text,
            "segments": f"{one.recording} {shown(one.start)} {shown(one.end)}",
            "utt2spk": one.speaker(train=True),
            "utt2spk_train": one.speaker(train=True),
            "utt2spk_dev_eval": one.speaker(train=False),
            "utt2spk_stm": one.scored_as,
        }
        assert f"{one.id} {said[file]}" == wanted
    for name, wanted in rows(gold / "ami_wavnames.tsv"):
        stem = Path(name).stem
        ids = [mic.recording_of(stem) for mic in MICROPHONES.values()]
        (recording,) = [found for found in ids if found]
        assert f"{recording} ||| {recording} {stem} A" == wanted


def test_dictionary_is_that_of_the_gold(gold: Path) -> None:
    for line, wanted, *_ in rows(gold / "ami_dict.tsv"):
        assert ami_dict.dictionary_line(line) == wanted


def test_fisher_in_both_styles_is_that_of_the_gold(gold: Path) -> None:
    for text, of_ami, of_swbd in rows(gold / "fisher_map_words.tsv"):
        assert (map_words(text, "ami"), map_words(text, "swbd")) == (of_ami, of_swbd)
    with pytest.raises(UsageError, match="one of ami, swbd, not 'AMI'"):
        map_words("hello", "AMI")


def test_cutting_is_that_of_the_twin() -> None:
    generator = random.Random(0)
    cut = 0
    for _ in range(300):
        # many marks around 10 s, whose times are in another order as text
        tokens, times, now = [], [], 8.0
        for _ in range(generator.randrange(1, 120)):
            now += generator.choice((0.01, 0.02, 0.13))
            mark = generator.random() < 0.15
            tokens.append(generator.choice(",,,,!:.?") if mark else generator.choice(("a", "it's")))
            times += [f"{now:.2f}"] * mark
        line = f"M A FEE001 0 0 0 7.5 {now + 0.5:.2f} {' '.join([*tokens, *times])}"
        found = [piece.split(" ", 5) for piece in ami.split(line)]
        spoken = [(float(a), float(b), text.split()) for _, _, _, a, b, text in found]
        wanted = [(a / 100, b / 100, words) for a, b, words in pieces(line)]
        assert spoken == wanted
        cut += len(wanted) > 1 + sum(token in ".?" for token in tokens)
    assert cut > 50


def test_points_within_words_shift_the_pieces_and_a_number_drops_the_segment() -> None:
    head = "M A FEE001 0 0 0 1.0 9.0"
    assert ami.split(f"{head} e.g. this . 5.0") == ["M H00 FEE001 1 5 E", "M H00 FEE001 5 9 G"]
    assert ami.split(f"{head} it is 3.5 metres . 5.0") == []
    assert ami.split(f"{head} it is 3.5 metres , long 5.0") == []
    # a number in the place of a missing time is taken for one
    assert ami.split(f"{head} it is 3.5 metres .") == ["M H00 FEE001 1 3.5 IT IS METRES"]


def test_a_segment_of_many_thousand_words_takes_no_time() -> None:
    times = " ".join(f"{n / 10:.1f}" for n in range(10, 3010))
    line = f"M A FEE001 0 0 0 0.5 400.0 {'word word word word word , ' * 3000} {times}"
    assert len(ami.split(line)) > 500


def test_speakers_do_not_overlap_with_themselves_where_they_are_scored_by_a_distant_one() -> None:
    mic = MICROPHONES["sdm1"]
    lines = ("1 3 A", "2 4 B", "2.5 3.5 C", "3.5 5 D")
    said = [utterance(f"ES2011a H00 FEE041 {line}", mic) for line in lines]
    other = utterance("ES2011a H01 FEE042 1 9 E", mic)
    times = [(one.start, one.end) for one in without_overlap([*said, other])]
    assert times == [(1, 3), (3, 4), (4, 3.5), (3.5, 5), (1, 9)]


def test_codes_of_all_speakers_are_codes(data_dir: Path) -> None:
    for path in sorted((data_dir / "ami-setup" / "lists").glob("*.speakers.txt")):
        for code in path.read_text().split():
            one = utterance(f"ES2002a H00 {code} 1 2 A", MICROPHONES["ihm"])
            wanted = "MTD001" if code == "MTD0010ID" else code
            assert one.scored_as == f"AMI_ES2002a_H00_{wanted}" and code in one.id
    with pytest.raises(UserError, match="speaker 'FEE1' of meeting ES2002a: wanted a code like"):
        utterance("ES2002a H00 FEE1 1 2 A", MICROPHONES["ihm"])


def test_lists_are_the_real_ones_and_train_has_ib4005(data_dir: Path) -> None:
    found = ami.split_lists()
    assert {name: len(meetings) for name, meetings in found.items()} == {
        "train": 137, "dev": 18, "eval": 16,
    }  # fmt: skip
    for name, listed in (("train", "train"), ("dev", "dev"), ("eval", "test")):
        path = data_dir / "ami-setup" / "lists" / f"{listed}.meetings.txt"
        assert set(found[name]) - set(path.read_text().split()) == (
            {"IB4005"} if name == "train" else set()
        )
