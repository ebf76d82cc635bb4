"""AMI from disk to sets: the directories of Kaldi's recipe, and what cannot be, named."""

from __future__ import annotations

import gzip
import logging
import re
from pathlib import Path

import pytest

from chainstitch.utils.corpora import ami, ami_dict, fisher
from chainstitch.utils.corpora.ami_ids import shown
from chainstitch.utils.corpora.kaldi_dir import file_and_channel
from chainstitch.utils.data.manifests import cut_speaker, cut_text, read_cuts
from chainstitch.utils.data.parallel import parallel_set
from chainstitch.utils.data.pseudo_speakers import split_speakers
from chainstitch.utils.errors import UsageError, UserError
from tests.meetings import Person, write_annotations, write_audio
from tests.utils.corpora.gold import rows

HEADSETS = [f"{m}.Headset-{n}" for m in ("ES2002a", "IS1003b", "ES2011a") for n in range(4)]
HEADSETS += [f"EN2001a.Headset-{n}" for n in range(5)] + ["ES2004a.Headset-0"]
ARRAYS = [f"{m}.Array1-01" for m in ("ES2002a", "EN2001a", "ES2011a", "ES2004a")]
SAID = [("Um . Well , caf\u00e9 .", 1.0, 2.5), ("it's L_C_D_", 2.5, 4.0)]
LAST = {"ES2004a": [Person("A", "FEE013", 0, SAID)]}


def small(place: Path) -> Path:
    """A meeting of each set, by headsets and arrays."""
    meetings = {name: [Person("A", "FEE013", 0, SAID), Person("C", "MEE014", 1, [("Yes", 2, 3)])]
                for name in ("ES2002a", "ES2011a", "ES2004a")}  # fmt: skip
    write_annotations(place / "annotations", meetings)
    names = [f"{m}.{kind}" for m in meetings for kind in ("Headset-0", "Headset-1", "Array1-01")]
    write_audio(place / "audio", names, 5.0)
    return place


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return small(tmp_path / "source")


def of_gold(place: Path, found: list[list[str]]) -> None:
    """The corpus of which the split files of the gold would come."""
    meetings: dict[str, dict[str, Person]] = {}
    for kind, line in found:
        if kind.startswith("IN") and kind != "IN audio":
            meeting, headset, code, start, end, text = line.split(" ", 5)
            text = re.sub(r"\b([A-Z])\. ?", r"\1_", text).lower().replace("t_v_", "T_V_")
            person = Person("ABCDE"[int(headset[2])], code, int(headset[2]), [])
            people = meetings.setdefault(meeting, {})
            people.setdefault(code, person).said.append((text, float(start), float(end)))
    written = {name: list(people.values()) for name, people in meetings.items()}
    write_annotations(place / "annotations", written | LAST)
    write_audio(place, HEADSETS + ARRAYS, 40.0)


def kaldi_rows(directory: Path, name: str) -> list[str]:
    """What Kaldi's files of a set would say, as the gold has it."""
    told = {file: [] for file in ("text", "segments", "utt2spk", "reco2file_and_channel")}
    for cut in read_cuts(directory):
        told["text"].append(f"{cut.id} {cut_text(cut)}")
        times = f"{shown(cut.start)} {shown(cut.end)}"
        told["segments"].append(f"{cut.id} {cut.recording.id} {times}")
        told["utt2spk"].append(f"{cut.id} {cut_speaker(cut)}")
        side = f"{cut.recording.id} {' '.join(file_and_channel(cut))}"
        if side not in told["reco2file_and_channel"]:
            told["reco2file_and_channel"].append(side)
    if (directory / "stm").exists():
        told["stm"] = (directory / "stm").read_text().splitlines()
    return [f"{name}/{file} {line}" for file, lines in told.items() for line in lines]


def test_directories_are_those_of_the_gold(gold: Path, tmp_path: Path) -> None:
    found = rows(gold / "ami_data_dirs.tsv")
    of_gold(tmp_path / "ami", found)
    made: list[str] = []
    for mic in ("ihm", "sdm1"):
        ami.prepare(tmp_path / "ami", tmp_path / mic, mic=mic)
        for name in ("train", "dev"):
            made += kaldi_rows(tmp_path / mic / name, f"data/{mic}/{name}_orig")
        split_speakers(tmp_path / mic / "train", tmp_path / mic / "train_30s", 30)
    done = parallel_set(tmp_path / "sdm1/train_30s", tmp_path / "ihm/train_30s", tmp_path / "both")
    assert (done.utterances, done.left_out) == (5, 0)
    made += kaldi_rows(tmp_path / "both", "data/sdm1/train_ihmdata")
    wanted = [f"{kind.removeprefix('OUT ')} {line}" for kind, line in found if "OUT" in kind]
    wanted = [line for line in wanted if "/utt2spk_stm " not in line]
    assert sorted(made) == sorted(wanted)


def test_words_times_and_speakers_are_by_the_rules(source: Path, tmp_path: Path) -> None:
    counts = ami.prepare(source, tmp_path / "data")
    assert counts == {"train": 3, "dev": 3, "eval": 3}
    cuts = read_cuts(tmp_path / "data/dev")
    assert [(cut.id, cut.start, cut.end, cut_text(cut)) for cut in cuts[:2]] == [
        ("AMI_ES2011a_H00_FEE013_0000100_0000250", 1.0, 2.5, "UM"),
        ("AMI_ES2011a_H00_FEE013_0000250_0000400", 2.5, 4.0, "IT'S L. C. D."),
    ]
    assert {cut.supervisions[0].gender for cut in cuts} == {"female", "male"}


def test_beamformed_audio_is_read_where_somebody_made_it(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no audio called like ES2002a_MDM8\.wav; beamform"):
        ami.prepare(source, tmp_path / "data", mic="mdm8")
    write_audio(source / "beamformed", [f"{m}_mdm8" for m in ("ES2002a", "ES2011a")], 5.0)
    write_audio(source / "beamformed", ["es2004A_MDM8"], 5.0)
    ami.prepare(source, tmp_path / "data", mic="mdm8")
    (first, *_) = read_cuts(tmp_path / "data/eval")
    assert first.id.startswith("AMI_ES2004a_MDM_FEE013_")
    assert cut_speaker(first) == "AMI_ES2004a_MDM_"
    assert file_and_channel(first) == ("es2004A_MDM8", "A")


def test_what_is_missing_is_named_or_left_out(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (source / "audio/ES2002a/audio/ES2002a.Headset-1.wav").unlink()
    with pytest.raises(UserError, match="1 of 2 recordings have annotations and no audio, AMI_ES2"):
        ami.prepare(source, tmp_path / "data")
    assert not (tmp_path / "data").exists()
    counts = ami.prepare(source, tmp_path / "data", skip_broken=True)
    assert counts["train"] == 2 and "1 utterances left out: without audio" in caplog.text
    assert "train: meetings.xml lacks 136 of 137 meetings" in caplog.text
    (source / "audio/ES2011a/audio/ES2011a.Array1-01.wav").unlink()
    with pytest.raises(UserError, match=r"source has nothing for .*dev: no meeting with"):
        ami.prepare(source, tmp_path / "sdm", mic="sdm1", skip_broken=True)
    with pytest.raises(UsageError, match="--mic wants one of ihm, sdm1, mdm8, found 'sdm9'"):
        ami.prepare(source, tmp_path / "sdm", mic="sdm9")


def test_ends_behind_the_audio_are_cut_off_or_left_out(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = [("Bye", 4.8, 5.4), ("Ciao", 5.2, 5.3), ("Ciao", 5.9, 6.3), ("Yes", 1.0, 2.0)]
    meetings = {name: [Person("A", "FEE013", 0, said)] for name in ("ES2011a", "ES2004a")}
    write_annotations(source / "annotations", LAST | {"ES2002a": [*LAST["ES2004a"]]} | meetings)
    ami.prepare(source, tmp_path / "data")
    cuts = read_cuts(tmp_path / "data/dev")
    assert [(cut.start, cut.end) for cut in cuts] == [(1.0, 2.0), (4.8, 5.0)]
    assert "dev: 2 utterances left out: behind the end of their audio" in caplog.text
    assert len((tmp_path / "data/dev/stm").read_text().splitlines()) == 4


WORDS, SEGMENTS = (f"annotations/{kind}/ES2002a.A.{kind}.xml" for kind in ("words", "segments"))
MEETINGS = "annotations/corpusResources/meetings.xml"
WRONG = {
    "breaks off": (WORDS, "</nite:root>", "", r"words\.xml is no whole XML \(no element found: "),
    "unknown word": (SEGMENTS, "words0)", "words99)", r"a segment has 'ES2002a\.A\.words99'"),
    "no reference": (SEGMENTS, "#id(", "#", r"wanted FILE#id\(FIRST\)\.\.id\(LAST\)"),
    "no time": (WORDS, 'starttime="1.0"', 'starttime="1e"', r"A\.words0 has the time '1e', wanted"),
    "no channel": (MEETINGS, 'channel="1"', "", r"speaker 'C' of meeting 'ES2002a' .*channel ''"),
    "no speaker": (MEETINGS, "FEE013", "Anna", r"speaker 'Anna' of meeting ES2002a: wanted a code"),
    "no meeting": (MEETINGS, "<meeting", "<met", r"is no whole XML|names no meetings"),
    "other release": ("annotations/00README_MANUAL.txt", "1.6.1", "1.6.2",
                      r"00README_MANUAL\.txt is of release 1\.6\.2, wanted 1\.6\.1"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_annotations_that_cannot_be_are_named(source: Path, tmp_path: Path, name: str) -> None:
    file, old, new, said = WRONG[name]
    content = (source / file).read_bytes()
    assert old.encode() in content
    (source / file).write_bytes(content.replace(old.encode(), new.encode(), 1))
    with pytest.raises(UserError, match=said) as error:
        ami.prepare(source, tmp_path / "data")
    assert "\n" not in str(error.value) and not (tmp_path / "data").exists()


def test_annotations_of_another_kind_are_named(source: Path, tmp_path: Path) -> None:
    (source / "annotations/segments").rename(source / "annotations/ASR")
    with pytest.raises(UserError, match=r"annotations has no segments; wanted what ami_public_man"):
        ami.prepare(source, tmp_path / "data")


def test_odd_annotations_are_read(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Vocal sounds, words without times, one id, marks without time, agents nobody knows."""
    name = "ES2002a.A.words"
    words = (
        f'<vocalsound nite:id="{name}0" type="laugh" starttime="0.5"/>'
        f'<w nite:id="{name}1" starttime="1.0" endtime="1.5">So</w>'
        f'<w nite:id="{name}2">it&#39;s</w>'
        f'<w nite:id="{name}3" starttime="2.0" endtime="2.5">caf\u00e9</w>'
        f'<w nite:id="{name}4" starttime="3.0" endtime="3.5">No</w>'
        f'<w nite:id="{name}5" punc="true">.</w>'
        f'<w nite:id="{name}6">well</w>'
    )
    places = ("0)..id({0}3", "4)..id({0}5", "6", "3", "3")
    segments = "".join(
        f'<segment><nite:child href="x#id({name}{place.format(name)})"/></segment>'
        for place in places
    )
    root = '<nite:root xmlns:nite="http://nite.sourceforge.net/">'
    # without a declaration it is Latin-1 all the same
    (source / WORDS).write_bytes(f"{root}{words}</nite:root>".encode("latin-1"))
    (source / SEGMENTS).write_text(f"{root}{segments}</nite:root>")
    strange = source / "annotations/segments/ES2002a.D.segments.xml"
    strange.write_text(f"{root}</nite:root>")
    with caplog.at_level(logging.INFO):
        ami.prepare(source, tmp_path / "data")
    cuts = [cut for cut in read_cuts(tmp_path / "data/train") if "H00" in cut.id]
    assert [(cut.start, cut.end, cut_text(cut)) for cut in cuts] == [
        (1.0, 2.5, "SO IT'S CAF\u00e9"), (2.0, 2.5, "CAF\u00e9"),
    ]  # fmt: skip
    assert "1 segments without times left out" in caplog.text
    assert "1 files of agents whom meetings.xml does not know are left out (ES2002a.D)" in (
        caplog.text
    )


def test_audio_of_another_microphone_there_and_back_is_the_same(
    source: Path, tmp_path: Path
) -> None:
    for mic in ("ihm", "sdm1"):
        ami.prepare(source, tmp_path / mic, mic=mic)
    ihm, sdm = tmp_path / "ihm/train", tmp_path / "sdm1/train"
    parallel_set(sdm, ihm, tmp_path / "a")
    parallel_set(tmp_path / "a", sdm, tmp_path / "b")
    assert (tmp_path / "b/cuts.jsonl.gz").read_bytes() == (sdm / "cuts.jsonl.gz").read_bytes()
    with pytest.raises(UserError, match="dev has no utterance of .*train; wanted the same meet"):
        parallel_set(sdm, tmp_path / "ihm/dev", tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_lexicon_has_what_the_recipe_adds(tmp_path: Path) -> None:
    dictionary, out = tmp_path / "dict.txt", tmp_path / "dict"
    dictionary.write_text("okay OW2 K EY1 # a comment\nread R EH1 D\nread(2) R IY1 D\nt. T IY1\n")
    words = tmp_path / "words.gz"
    words.write_bytes(gzip.compress(b"OKAY\nREAD\n"))
    count = ami_dict.write(dictionary, out, words)
    lexicon = (out / "lexicon.txt").read_text().splitlines()
    assert len(lexicon) == count == 14 and lexicon == sorted(lexicon)
    assert {"OKAY OW K EY", "READ R IY D", "<unk> oov", "[oov] oov", "MM-HMM M HH M"} <= {*lexicon}
    assert "T. T IY" not in lexicon
    assert (out / "extra_questions.txt").read_text() == "sil laughter noise oov\n"
    assert "oov" not in (out / "nonsilence_phones.txt").read_text()
    words.write_bytes(gzip.compress(b"okay\n"))
    with pytest.raises(UserError, match=r"words\.gz has no word of .*dict\.txt"):
        ami_dict.write(dictionary, out, words, overwrite=True)
    dictionary.write_text("OKAY OW2 K EY1\nREAD\n")
    with pytest.raises(UserError, match=r"dict\.txt:2: 'READ' has no phones"):
        ami_dict.write(dictionary, out, overwrite=True)


def test_text_of_fisher_is_its_turns(tmp_path: Path) -> None:
    place = tmp_path / "fisher/data/trans/000"
    place.mkdir(parents=True)
    (place / "fe_03_00002.txt").write_text("# c\n\n1.0 2.0 A: t._v. on\n\n2.0 3.1 B: (( ))\n")
    (place / "fe_03_00001.txt").write_text("0.1 1.0 B: [pause] it's\n0.1 1.0 A:\n")
    (tmp_path / "fisher/readme.txt").write_text("no transcript\n")
    for style, text in (("ami", "IT'S\nT V ON\n"), ("swbd", "it's\nt._v. on\n")):
        assert fisher.write_text(tmp_path / "fisher", tmp_path / style, style) == 2
        packed = (tmp_path / style / "lm.txt.gz").read_bytes()
        assert gzip.decompress(packed).decode() == text
    (place / "fe_03_00002.txt").write_text("1.0\n")
    with pytest.raises(UserError, match=r"fe_03_00002\.txt:1: '1\.0': wanted a turn"):
        fisher.write_text(tmp_path / "fisher", tmp_path / "new", "ami")
    with pytest.raises(UserError, match="holds no transcripts"):
        fisher.write_text(tmp_path / "ami", tmp_path / "new", "ami")
    assert not (tmp_path / "new").exists()
