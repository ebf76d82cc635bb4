"""The miniature AMI and Fisher: the same bytes every time, all that is odd, what becomes of it."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
import soundfile

from chainstitch.utils.corpora import ami, ami_dict, fisher
from chainstitch.utils.data.manifests import cut_speaker, cut_text, read_cuts
from chainstitch.utils.data.stm import read_stm
from tests.recipes.miniature import at_another_time, hashes, make, need_synthesis

MEETINGS = {"ES2002a": 4, "EN2001a": 5, "IS1003b": 4, "TS3005a": 4, "ES2011a": 4, "ES2004a": 4}

pytestmark = pytest.mark.recipe


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_synthesis()
    out = tmp_path_factory.mktemp("ami") / "corpus"
    assert len(make("ami", out, 1)) == 3
    return out


@pytest.fixture(scope="module")
def prepared(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    for mic in ("ihm", "sdm1"):
        annotations = corpus / "annotations"
        ami.prepare(corpus / "amicorpus", out / mic, mic=mic, annotations=annotations)
    ami_dict.write(
        corpus / "cmudict.0.7a", out / "dict", corpus / "wordlist.50k.gz", out / "ihm/train"
    )
    return out


def test_two_runs_give_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    at_another_time(corpus)
    make("ami", tmp_path / "again", 1)
    assert hashes(tmp_path / "again") == hashes(corpus)
    for place in ("a", "b"):
        make("fisher", tmp_path / place, 1)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_layout_is_that_of_the_corpus(corpus: Path) -> None:
    for meeting, people in MEETINGS.items():
        audio = {path.name for path in (corpus / "amicorpus" / meeting / "audio").iterdir()}
        wanted = {f"{meeting}.Headset-{n}.wav" for n in range(people)}
        assert audio - wanted == ({f"{meeting}.Array1-01.wav"} - {"IS1003b.Array1-01.wav"})
        info = [soundfile.info(corpus / "amicorpus" / meeting / "audio" / name) for name in audio]
        assert {(one.samplerate, one.channels, one.subtype) for one in info} == {
            (16000, 1, "PCM_16")
        }
        assert len({one.frames for one in info}) == 1


def test_annotations_have_what_is_odd(corpus: Path) -> None:
    place = corpus / "annotations"
    words = "\n".join(path.read_text("latin-1") for path in sorted(place.glob("words/*.xml")))
    for pattern in (
        'encoding="ISO-8859-1"', "&#39;", "L_C_D_", "Mm-hmm", 'trunc="true"', "<vocalsound",
        "<disfmarker", "<gap", r'<w nite:id="[\w.]*">', r'<w nite:id="[\w.]*" punc',
        "caf\u00e9|\u00ef", "okapi",
    ):  # fmt: skip
        assert re.search(pattern, words), pattern
    segments = "\n".join(path.read_text() for path in sorted(place.glob("segments/*.xml")))
    times = re.findall(r'transcriber_start="([\d.]+)" transcriber_end="([\d.]+)"', segments)
    assert any(float(start) > float(end) for start, end in times)
    assert re.search(r"#id\([^()]*\)\"/>", segments)  # of one word
    children = re.findall("href=.*", segments)
    assert len(children) > len(set(children))  # twice the same
    assert (place / "segments/ES2002a.E.segments.xml").exists()
    assert 'nxt_agent="E"' in (place / "corpusResources/meetings.xml").read_text()


def test_sets_are_as_long_and_odd_as_they_should_be(prepared: Path) -> None:
    for name, most in (("train", 5), ("dev", 4), ("eval", 4)):
        cuts = read_cuts(prepared / "ihm" / name)
        per_meeting = {cut_speaker(cut).split("_")[1] for cut in cuts}
        assert len(per_meeting) == (4 if name == "train" else 1)
        assert 2 <= len({cut_speaker(cut) for cut in cuts}) <= most * len(per_meeting)
        texts = [cut_text(cut) for cut in cuts]
        assert not [text for text in texts if re.search(r"[,!?_-](?!H)|[a-z]", text)]
        # long ones are cut at commas, and not at other marks
        assert any(len(text.split()) > 20 for text in texts)
    train = read_cuts(prepared / "sdm1/train")
    assert {cut.recording.id for cut in train} == {
        "AMI_EN2001a_SDM", "AMI_ES2002a_SDM", "AMI_TS3005a_SDM",
    }  # fmt: skip
    assert {cut_speaker(cut) for cut in train} == {"AMI_EN2001a", "AMI_ES2002a", "AMI_TS3005a"}
    for name in ("dev", "eval"):
        lines = sorted(read_stm(prepared / "sdm1" / name / "stm"), key=lambda one: one.start)
        pairs = list(zip(lines, lines[1:], strict=False))
        assert any(one.end > other.start for one, other in pairs)  # people overlap ...
        own = sorted(lines, key=lambda one: (one.speaker, one.start))
        pairs = list(zip(own, own[1:], strict=False))
        # ... but not with themselves, as NIST's asclite wants it
        assert not [a for a, b in pairs if a.speaker == b.speaker and a.end > b.start]


def test_words_are_in_the_lexicon_but_for_the_odd_ones(prepared: Path) -> None:
    lexicon = (prepared / "dict/lexicon.txt").read_text("utf-8").splitlines()
    known = {line.split()[0] for line in lexicon}
    said = {
        word for name in ("train", "dev", "eval") for cut in read_cuts(prepared / "ihm" / name)
        for word in cut_text(cut).split()
    }  # fmt: skip
    assert said - known <= {"OKAPI", "SH", "CAF\u00e9", "NA\u00efVE"}
    assert {"MM-HMM", "COLOUR", "T.", "I'M"} <= known
    vocabulary = set((prepared / "dict/vocabulary.txt").read_text("utf-8").split())
    assert "SH" in vocabulary and known < vocabulary


def test_fisher_is_text_of_both_styles(tmp_path: Path) -> None:
    make("fisher", tmp_path / "fisher", 1)
    for style in ("ami", "swbd"):
        fisher.write_text(tmp_path / "fisher", tmp_path / style, style)
        text = gzip.decompress((tmp_path / style / "lm.txt.gz").read_bytes()).decode()
        assert len(text.splitlines()) > 80
        assert not re.search(r"[()<*?]|\[laugh\]|\[\[|fe_03", text)
        assert ("t._v." in text, "T V" in text) == ((style == "swbd"), (style == "ami"))
