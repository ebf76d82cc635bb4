"""TED-LIUM from disk to sets: what is kept, what is scored, and what cannot be, named."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from chainstitch.utils.corpora import tedlium
from chainstitch.utils.data.manifests import cut_speaker, cut_text, read_cuts
from chainstitch.utils.data.samples import load_samples
from chainstitch.utils.errors import UsageError, UserError

RATE = 8000
TALKS = {"train": ("B_2001", "A_2001X"), "dev": ("C_2005",), "test": ("D_2009P",)}
LINES = """\
;; a comment
{t} 1 inter_segment_gap 0 0.29 <o,f0,unknown> ignore_time_segment_in_scoring
{t} 1 {t} 1.15 2.5 <o,f0,female> it 's(2) caf\u00e9 {{NOISE}}
{t} 1 {t} 0.29 1.15 <F0_F> we 're <sil> here ({t}-0.29)
{t} 1 {t} 2.5 2.6 <o,f0,female> 
{t} 1 {t} 2.6 2.604 <NA> short
{t} 1 {t} 2.7 3.2 <o,,female> 's the end
{t} 1 inter_segment_gap 3.2 9 <o,f0,unknown> ignore_time_segment_in_scoring
"""  # noqa: W291
SAMPLES = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "source", tmp_path / "source")


def write(top: Path, sets: Path) -> Path:
    for name, talks in TALKS.items():
        for kind in ("sph", "stm"):
            (sets / name / kind).mkdir(parents=True)
        for talk in talks:
            audio = sets / name / "sph" / f"{talk}.sph"
            soundfile.write(audio, SAMPLES, RATE, "PCM_16", format="NIST")
            (sets / name / "stm" / f"{talk}.stm").write_text(LINES.format(t=talk), "utf-8")
    (top / "TEDLIUM.152k.dic").write_text("a AH\na(2) EY\n<unk> GBG\n<s> SIL\n")
    (top / "LM").mkdir()
    for name, text in (("b", "it 's 's so </s>\n\nword </s>\n"), ("a", "they said it 's </s>\n")):
        (top / "LM" / f"{name}.en.gz").write_bytes(gzip.compress(text.encode()))
    return top


def test_sets_have_ids_times_and_words_by_the_rules(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        counts = tedlium.prepare(source, tmp_path / "data", lm_dev_lines=2)
    assert counts == {"train": 6, "dev": 3, "test": 3}
    assert "train: 2 segments without words are no utterances" in caplog.text
    assert "train: 2 segments shorter than 0.01 s are no utterances" in caplog.text
    cuts = read_cuts(tmp_path / "data" / "train")[:3]
    ids = ["A_2001X-0000028-0000114", "A_2001X-0000114-0000250", "A_2001X-0000270-0000320"]
    assert [cut.id for cut in cuts] == ids
    assert [cut_text(cut) for cut in cuts] == ["we're here", "it's caf\u00e9 [NOISE]", "the end"]
    assert [(cut.start, cut.end) for cut in cuts] == [(0.28, 1.14), (1.14, 2.5), (2.7, 3.0)]
    assert {cut_speaker(cut) for cut in cuts} == {"A_2001X"}
    assert {cut.supervisions[0].gender for cut in cuts} == {"female"}
    samples = load_samples(cuts[1])
    np.testing.assert_allclose(samples, SAMPLES[1140 * 8 : 2500 * 8], atol=1e-4)


def test_stm_is_kept_for_scoring_with_true_times(source: Path, tmp_path: Path) -> None:
    tedlium.prepare(source, tmp_path / "data", lm_text=False)
    found = (tmp_path / "data" / "dev" / "stm").read_text("utf-8").splitlines()
    assert found[:2] == [";;", ';; LABEL "o" "Overall" "Overall results"'] and found[6] == ";;"
    assert found[7:] == [
        "C_2005 A inter_segment_gap 0 0.29 <o,f0,unknown> ignore_time_segment_in_scoring",
        "C_2005 A C_2005 0.29 1.15 <o,f0,female> we're here",
        "C_2005 A C_2005 1.15 2.5 <o,f0,female> it's caf\u00e9 {NOISE}",
        "C_2005 A C_2005 2.5 2.6 <o,f0,female>",
        "C_2005 A C_2005 2.6 2.604 <NA> short",
        "C_2005 A C_2005 2.7 3.2 <o,,female>'s the end",
        "C_2005 A inter_segment_gap 3.2 9 <o,f0,unknown> ignore_time_segment_in_scoring",
    ]
    assert not (tmp_path / "data" / "lm_text").exists()


def test_dictionary_and_lm_text(source: Path, tmp_path: Path) -> None:
    tedlium.prepare(source, tmp_path / "data", lm_dev_lines=2)
    read = {
        path.name: path.read_text() for path in (tmp_path / "data/dict").iterdir() if path.suffix
    }
    assert read == {
        "lexicon.txt": "<unk> NSN\na AH\na EY\n", "silence_phones.txt": "SIL\nNSN\n",
        "nonsilence_phones.txt": "AH\nEY\n", "optional_silence.txt": "SIL\n",
        "extra_questions.txt": "",
    }  # fmt: skip
    place = tmp_path / "data/lm_text"
    content = gzip.decompress((place / "lm.txt.gz").read_bytes())
    assert content == b"they said it's\nit 's's so\nword \n"
    assert (place / "dev.txt").read_text("utf-8") == "we're here\nit's caf\u00e9 [NOISE]\n"
    assert len((place / "train.txt").read_text("utf-8").splitlines()) == 4


def test_release_3_has_its_sets_in_legacy_and_its_lm_text_as_it_is(tmp_path: Path) -> None:
    source = write(tmp_path / "source", tmp_path / "source" / "legacy")
    with pytest.raises(UserError, match=r"source/train has no stm/ and sph/.*--release 3"):
        tedlium.prepare(source, tmp_path / "data", lm_dev_lines=2)
    tedlium.prepare(source, tmp_path / "data", lm_dev_lines=2, release=3)
    texts = [cut_text(cut) for cut in read_cuts(tmp_path / "data" / "dev")]
    assert texts == ["we're <sil> here", "it's(2) caf\u00e9 [NOISE]", "the end"]
    content = gzip.decompress((tmp_path / "data/lm_text/lm.txt.gz").read_bytes())
    assert content == b"they said it 's\nit 's 's so\nword\n"


STM = "train/stm/B_2001.stm"
B = "B_2001 1 B_2001"
WRONG = {
    "too few fields": (f"{B} 0.5\n", rf"{STM}:1: '{B} 0.5' has 4 fields, wanted `file channel"),
    "no time": (f"{B} 0.5 1e3 <o> a\n", rf"{STM}:1: '1e3' is no time"),
    "end before start": (f";;\n{B} 1.5 1.25 <o> a\n", rf"{STM}:2: ends at 1.25 s, before its"),
    "past the audio": (f"{B} 1 3.6 <o> a\n", rf"{STM}:1: ends at 3.6 s, but B_2001 lasts 3.000 s"),
    "unknown label": (f"{B} 1 2 <o,f9,male> a\n", rf"{STM}:1: unknown label 'f9' in <o,f9,male>"),
    "no label": (f"{B} 1 2 word\n", rf"{STM}:1: has no label"),
    "another talk": ("X 1 X 1 2 <o> a\n", rf"{STM}:1: is of 'X', wanted 'B_2001'"),
    "twice": (f"{B} 1 2 <o> a\n{B} 1 2 <o> b\n", rf"{STM}:2: has the talk and times of .*:1;"),
    "empty": (";; nothing\n", rf"{STM} has no segments"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_line_that_cannot_be_is_named(source: Path, tmp_path: Path, name: str) -> None:
    content, said = WRONG[name]
    (source / STM).write_text(content)
    with pytest.raises(UserError, match=said):
        tedlium.prepare(source, tmp_path / "data", lm_dev_lines=2)
    assert not (tmp_path / "data").exists()


def test_a_talk_lacks_its_stm_or_its_audio_or_has_a_hyphen(source: Path, tmp_path: Path) -> None:
    (source / STM).unlink()
    with pytest.raises(UserError, match=rf"B_2001\.sph: the talk has no .*{STM}.*--skip-broken"):
        tedlium.prepare(source, tmp_path / "data", lm_dev_lines=2)
    (source / "train/sph/B_2001.sph").rename(source / "train/sph/B-2.sph")
    (source / STM).with_stem("B-2").write_text("")
    with pytest.raises(UserError, match=r"B-2\.sph: a talk's name may have no -"):
        tedlium.prepare(source, tmp_path / "data", lm_dev_lines=2)
    (source / "train/sph/B-2.sph").unlink()
    with pytest.raises(UserError, match=r"B-2\.stm: the talk has no .*train/sph/B-2\.sph"):
        tedlium.prepare(source, tmp_path / "data", lm_dev_lines=2)


def test_what_is_broken_can_be_left_out_of_set_and_stm(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (source / STM).unlink()
    line = "A_2001X 1 A_2001X {} {} <o> a\n"
    (source / "train/stm/A_2001X.stm").write_text(line.format(1, 2) + line.format(2, 3.6))
    counts = tedlium.prepare(source, tmp_path / "data", lm_text=False, skip_broken=True)
    assert counts["train"] == 1
    assert "B_2001.sph: the talk has no" in caplog.text
    assert "A_2001X.stm:2: ends at 3.6 s" in caplog.text
    scored = (tmp_path / "data/train/stm").read_text().splitlines()[7:]
    assert scored == ["A_2001X A A_2001X 1 2 <o> a"]


def test_dictionary_and_lm_text_that_cannot_be_are_named(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    (source / "LM/b.en.gz").write_bytes(gzip.compress(b"fine </s>\ncaf\xe9 </s>\n"))
    with pytest.raises(UserError, match=r"LM/b\.en\.gz:2: byte 4 of the line, 0xe9, is not UTF-8"):
        tedlium.prepare(source, out, lm_dev_lines=2)
    with pytest.raises(UsageError, match=r"--lm-dev-lines 6 leaves nothing of the 6 utterances"):
        tedlium.prepare(source, out, lm_dev_lines=6)
    (source / "TEDLIUM.152k.dic").write_text("a AH\nb\n")
    with pytest.raises(UserError, match=r"TEDLIUM\.152k\.dic:2: 'b' has no phones"):
        tedlium.prepare(source, out, lm_dev_lines=2)
    with pytest.raises(UsageError, match="has no release 1"):
        tedlium.prepare(source, out, release=1)
    assert not out.exists() or not any(out.iterdir())
