"""Switchboard from disk to sets: what is kept, what is scored, and what cannot be, named."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from chainstitch.utils.corpora import swbd, swbd_eval
from chainstitch.utils.corpora.swbd_dict_patch import DELETED
from chainstitch.utils.data import subset
from chainstitch.utils.data.manifests import cut_speaker, cut_text, read_cuts
from chainstitch.utils.data.samples import load_samples
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.score.places import read_places

RATE = 8000
SAMPLES = 0.1 * np.random.default_rng(0).standard_normal((3 * RATE, 2))
TEXTS = "swb_ms98_transcriptions"
LINES = """\
{n}-ms98-a-0001 0.000000 0.977625 [silence]
{n}-ms98-a-0002 0.977625 1.5 hi [laughter-um] TV

{n}-ms98-a-0003 1.5 1.75 [silence] [silence]
{n}-ms98-a-0004 1.8 1.803 a
{n}-ms98-a-0005 2 3.25 I work for I B M and US
"""
PEM = """\
;; comment
en_4156 A unknown_speaker 0.30 1.15
en_4156 A unknown_speaker 1.20 2.00
en_4156 B unknown_speaker 1.00 2.00
en_4156 B unknown_speaker 1.00 2.00
en_4156 B unknown_speaker 2.00 3.00
"""
STM = """\
;; "en_4156"
en_4156 A en_4156_A 0.30 1.15 <O,en,F,en-F>  OH ((I-) YEAH
en_4156 A en_4156_A 1.20 2.00 <O,en,F,en-F> IGNORE_TIME_SEGMENT_IN_SCORING
en_4156 B en_4156_B 1.00 2.00 <O,en,M,en-M>  <B_ASIDE> HI <E_ASIDE>
en_4156 B en_4156_B 2.00 3.00 <O,en,M,en-M>
"""
GLM = "uh-huh  =>  %bcack    / [ ] __ [ ]\n"
RT03 = """\
;; CATEGORY "0" "" ""
fsh_60262 1 inter_segment_gap 0 1.26 <O,>
fsh_60262 1 fsh_60262_1 1.26 2.29 <O,en,M> hello (%hesitation)
fsh_60262 2 fsh_60262_2 2.29 3.20 <O,en,F> ((hi-)
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def write_audio(path: Path, samples: np.ndarray = SAMPLES) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE, format="NIST", subtype="ULAW")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    top = tmp_path / "LDC97S62"
    for number in ("2001", "2005"):
        write_audio(top / f"disc/sw0{number}.SPH" if number == "2005" else top / "sw02001.sph")
        for side in "AB":
            name = f"sw{number}{side}"
            place = top / TEXTS / number[:2] / number
            write(place / f"{name}-ms98-a-trans.text", LINES.format(n=name))
    words = ["# a comment", "", *DELETED.splitlines(), "TV t iy v iy", "US y uw eh s", "a ey"]
    write(top / TEXTS / "sw-ms98-dict.text", "\n".join(words) + "\n")
    return top


@pytest.fixture
def hub5(tmp_path: Path) -> Path:
    place = tmp_path / "hub5/english"
    write_audio(place / "en_4156.sph")
    write(place / "hub5e_00.pem", PEM)
    write(tmp_path / "hub5/reference/hub5e00.english.000405.stm", STM)
    write(tmp_path / "hub5/reference/en20000405_hub5.glm", GLM)
    return tmp_path / "hub5"


@pytest.fixture
def rt03(tmp_path: Path) -> Path:
    data = tmp_path / "rt03/data"
    write_audio(data / "audio/eval03/english/cts/fsh_60262.sph")
    write(data / "references/eval03/english/cts/fsh.stm", RT03)
    write(data / "trans_rules/en20030506.glm", GLM)
    return tmp_path / "rt03"


def prepare_hub5(hub5: Path, out: Path) -> int:
    return swbd_eval.prepare_eval2000(hub5, out, transcripts=hub5, calls=1)


def test_sides_are_channels_and_words_are_by_the_rules(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert swbd.prepare(source, tmp_path / "data", lm_dev_lines=2) == {"train": 12}
    assert "each `a` of the corpus" in caplog.text and "holds 2 calls" in caplog.text
    assert "sw2001A-ms98-a-trans.text:4: of two [silence] one is a word" in caplog.text
    assert "4 lines without words" in caplog.text and "4 lines shorter than" in caplog.text
    cuts = read_cuts(tmp_path / "data/train")[:6]
    first = ["sw02001-A_000098-000150", "sw02001-A_000150-000175", "sw02001-A_000200-000325"]
    assert [cut.id for cut in cuts] == [*first, *(name.replace("-A", "-B") for name in first)]
    said = ["hi um t._v.", "[silence]", "i work for i. b. m. and u._s."]
    assert [cut_text(cut) for cut in cuts] == [*said, *said]
    assert [(cut.start, cut.end) for cut in cuts[:3]] == [(0.98, 1.5), (1.5, 1.75), (2.0, 3.0)]
    assert [cut_speaker(cut) for cut in cuts] == ["sw02001-A"] * 3 + ["sw02001-B"] * 3
    for channel, cut in enumerate((cuts[0], cuts[3])):
        wanted = SAMPLES[round(0.98 * RATE) : round(1.5 * RATE), channel]
        np.testing.assert_allclose(load_samples(cut), wanted, atol=0.01)
    places = read_places(tmp_path / "data/train")
    assert (places[cuts[3].id].file, places[cuts[3].id].channel) == ("sw02001", "B")
    assert len((tmp_path / "data/lm_text/dev.txt").read_text().splitlines()) == 2
    assert len((tmp_path / "data/lm_text/train.txt").read_text().splitlines()) == 10


def test_dictionary_has_its_tables_and_the_map_for_scoring(source: Path, tmp_path: Path) -> None:
    swbd.prepare(source, tmp_path / "data", lm_dev_lines=2)
    place = tmp_path / "data/dict"
    lexicon = (place / "lexicon.txt").read_text().splitlines()
    assert {"a ey", "a. ey", "t._v. t iy v iy", "i ay", "[noise] nsn"} <= {*lexicon}
    assert "uh-hum ah m hh ah m" in lexicon and "erie ih r iy" not in lexicon
    assert (place / "silence_phones.txt").read_text() == "sil\nspn\nnsn\nlau\n"
    assert "sil" not in (place / "nonsilence_phones.txt").read_text().split()
    acronyms = (place / "acronyms.map").read_text()
    assert "TV\tt._v.\tt v\n" in acronyms and "\na\t" not in acronyms


def test_speakers_of_conv_tab_come_first(source: Path, tmp_path: Path) -> None:
    write(tmp_path / "conv.tab", '2005, "X", 1012 ,1055,"311"\n')
    swbd.prepare(source, tmp_path / "data", lm_dev_lines=2, conv_tab=tmp_path / "conv.tab")
    cuts = read_cuts(tmp_path / "data/train")
    assert {cut_speaker(cut) for cut in cuts} == {"sw1012", "sw1055", "sw02001-A", "sw02001-B"}
    assert cuts[-1].id == "sw1055-02005-B_000200-000325" and cuts[-1].channel == 1
    assert subset.subset(tmp_path / "data/train", tmp_path / "rest", 4, "rest") == 8
    assert [cut.id for cut in read_cuts(tmp_path / "rest")] == [cut.id for cut in cuts[4:]]


TRANS = f"{TEXTS}/20/2001/sw2001B-ms98-a-trans.text"
B = "sw2001B-ms98-a-0001"
WRONG = {
    "too few fields": (f"{B} 0.5\n", rf"{TRANS}:1: '{B} 0.5': wanted `sw2001A"),
    "no time": (f"{B} 0.5 one a\n", rf"{TRANS}:1: .*wanted `sw2001A"),
    "end before start": (f"\n{B} 1.5 1.25 a\n", rf"{TRANS}:2: ends at 1.25 s, before its"),
    "past the audio": (f"{B} 1 3.6 a\n", rf"{TRANS}:1: ends at 3.6 s, but sw02001 lasts 3.000 s"),
    "another side": ("sw2001A-x 1 2 a\n", rf"{TRANS}:1: is of 'sw2001A-x', wanted sw2001B"),
    "twice": (f"{B} 1 2 a\n{B} 1 2 b\n", rf"{TRANS}:2: has the side and times of .*:1;"),
    "empty": ("\n", rf"{TRANS} has no lines"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_line_that_cannot_be_is_named(source: Path, tmp_path: Path, name: str) -> None:
    content, said = WRONG[name]
    (source / TRANS).write_text(content)
    with pytest.raises(UserError, match=said):
        swbd.prepare(source, tmp_path / "data", lm_dev_lines=2)
    assert not (tmp_path / "data").exists()


def test_a_call_lacks_a_transcript_its_audio_or_a_side(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "data"
    (source / TRANS).unlink()
    with pytest.raises(UserError, match=rf"sw02001\.sph: the call has no .*{TRANS}.*--skip-broken"):
        swbd.prepare(source, out, lm_dev_lines=2)
    assert swbd.prepare(source, out, lm_dev_lines=2, skip_broken=True) == {"train": 6}
    assert f"left out: {source}/sw02001.sph: the call has no" in caplog.text
    write(source / TRANS, LINES.format(n="sw2001B"))
    write_audio(source / "sw02001.sph", SAMPLES[:, 0])
    with pytest.raises(UserError, match=r"sw02001\.sph: 1 channels, wanted one for each side"):
        swbd.prepare(source, out, lm_dev_lines=2, overwrite=True)
    (source / "sw02001.sph").unlink()
    with pytest.raises(UserError, match=r"sw2001A-ms98-a-trans\.text: the call has no sw0"):
        swbd.prepare(source, out, lm_dev_lines=2, overwrite=True)


def test_directories_of_other_releases_are_told(source: Path, tmp_path: Path) -> None:
    out, dictionary = tmp_path / "data", source / TEXTS / "sw-ms98-dict.text"
    dictionary.write_text(dictionary.read_text().replace("Erie ih r iy\n", ""))
    with pytest.raises(UserError, match=r"is patched already: it lacks 1 of 32 lines \(`Erie"):
        swbd.prepare(source, out, lm_dev_lines=2)
    dictionary.write_text(dictionary.read_text() + "Erie ih r iy\n")
    with pytest.raises(UserError, match=r"none holds no \*/\*/sw\*-ms98-a-trans.text"):
        (tmp_path / "none").mkdir()
        write(tmp_path / "none/sw-ms98-dict.text", dictionary.read_text())
        swbd.prepare(source, out, transcripts=tmp_path / "none")
    with pytest.raises(UsageError, match="--lm-dev-lines 12 leaves nothing of the 12 utterances"):
        swbd.prepare(source, out, lm_dev_lines=12)
    (source / "sw02001.sph").rename(source / "sw2001.sph")
    (source / "disc/sw02005.SPH").unlink()
    with pytest.raises(UserError, match="LDC97S62 holds 1 .sph files, and none of a call of LDC97"):
        swbd.prepare(source, out)
    assert not out.exists()


def test_eval2000_has_padded_segments_and_its_stm(hub5: Path, tmp_path: Path) -> None:
    out = tmp_path / "data/eval2000"
    assert prepare_hub5(hub5, out) == 2
    cuts = read_cuts(out)
    assert [cut.id for cut in cuts] == ["en_4156-A_000030-000114", "en_4156-B_000100-000200"]
    assert [(cut.start, cut.end, cut.channel) for cut in cuts] == [(0.2, 1.17, 0), (0.9, 2.0, 1)]
    assert [cut_text(cut) for cut in cuts] == ["OH ((I-) YEAH", "<B_ASIDE> HI <E_ASIDE>"]
    assert [cut_speaker(cut) for cut in cuts] == ["en_4156-A", "en_4156-B"]
    assert (out / "stm").read_text().splitlines()[1].endswith("<O,en,F,en-F>  OH (I-) YEAH")
    assert (out / "glm").read_text() == GLM


def test_rt03_has_its_channels_as_letters(rt03: Path, tmp_path: Path) -> None:
    assert swbd_eval.prepare_rt03(rt03, tmp_path / "rt") == 2
    cuts = read_cuts(tmp_path / "rt")
    assert [(cut.id, cut.start, cut.end, cut.channel) for cut in cuts] == [
        ("fsh_60262-A_000126-000229", 1.26, 2.29, 0), ("fsh_60262-B_000229-000320", 2.29, 3.0, 1),
    ]  # fmt: skip
    assert (tmp_path / "rt/stm").read_text().splitlines()[2] == (
        "fsh_60262 B fsh_60262_2 2.29 3.20 <O,en,F> (hi-)"
    )


WRONG_PEM = {
    "no time": ("en_4156 A x 1 two\n", "hub5e_00.pem:1: 'two' is no time"),
    "a number": ("en_4156 1 x 1 2\n", "hub5e_00.pem:1: channel '1', wanted A or B"),
    "another id": (PEM.replace("0.30", "0.31"), r"405.stm: its segments are not those of .*\.pem"),
    "one fewer": (PEM.rpartition("en_4156")[0], r"en_4156-B_000200-000300 is in one of them"),
    "another call": (PEM.replace("en_4156", "en_4157"), "its segments are not those of"),
}


@pytest.mark.parametrize("name", WRONG_PEM)
def test_a_pem_that_cannot_be_is_named(hub5: Path, tmp_path: Path, name: str) -> None:
    content, said = WRONG_PEM[name]
    write(hub5 / "english/hub5e_00.pem", content)
    with pytest.raises(UserError, match=said):
        prepare_hub5(hub5, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_test_set_that_is_not_whole_is_refused(hub5: Path, rt03: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"english holds 1 calls, wanted 40"):
        swbd_eval.prepare_eval2000(hub5, tmp_path / "out", transcripts=hub5)
    with pytest.raises(UserError, match=r"eng_eval_tr/reference is not there; .*LDC2002T43"):
        swbd_eval.prepare_eval2000(hub5, tmp_path / "out", transcripts=rt03, calls=1)
    place = rt03 / "data/references/eval03/english/cts/fsh.stm"
    place.write_text(RT03 + RT03.replace("hello", "again"))
    with pytest.raises(UserError, match=r"fsh.stm:7: fsh_60262-A_000126-000229 comes a second"):
        swbd_eval.prepare_rt03(rt03, tmp_path / "out")
    place.write_text(RT03.replace("fsh_60262", "fsh_60263"))
    with pytest.raises(UserError, match=r"cts: fsh_60263.sph is missing"):
        swbd_eval.prepare_rt03(rt03, tmp_path / "out")
    (rt03 / "data/trans_rules/en20030506.glm").unlink()
    with pytest.raises(UserError, match=r"en20030506.glm is missing"):
        swbd_eval.prepare_rt03(rt03, tmp_path / "out")
