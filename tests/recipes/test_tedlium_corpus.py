"""The miniature TED-LIUM: the same bytes every time, all that is odd, and what becomes of it."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
import soundfile

from chainstitch.utils.corpora import tedlium
from chainstitch.utils.data.manifests import cut_speaker, cut_text, read_cuts
from tests.recipes.miniature import at_another_time, hashes, make, need_synthesis

SETS = {"train": 20, "dev": 4, "test": 6}
RELEASES = {2: "TEDLIUM_release2", 3: "TEDLIUM_release-3"}

pytestmark = pytest.mark.recipe


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_synthesis()
    out = tmp_path_factory.mktemp("tedlium") / "corpus"
    assert len(make("tedlium", out, 2)) == 3
    return out


@pytest.fixture(scope="module")
def prepared(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    for release, name in RELEASES.items():
        tedlium.prepare(corpus / name, out / str(release), release=release, lm_dev_lines=20)
    return out


def test_two_runs_give_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    at_another_time(corpus)
    make("tedlium", tmp_path / "again", 2)
    assert hashes(tmp_path / "again") == hashes(corpus)


def test_layout_is_that_of_both_releases(corpus: Path) -> None:
    assert len(list((corpus / RELEASES[2] / "LM").glob("*.en.gz"))) == 2
    for name, count in SETS.items():
        second, third = corpus / RELEASES[2] / name, corpus / RELEASES[3] / "legacy" / name
        talks = {path.stem for path in (second / "sph").glob("*.sph")}
        assert len(talks) == count
        assert all(re.fullmatch(r"[A-Za-z]+_20\d\d[XPW]?", talk) for talk in talks)
        assert {path.stem for path in (second / "stm").glob("*.stm")} == talks
        assert hashes(second / "sph") == hashes(third / "sph")
        for path in (second / "sph").iterdir():
            info = soundfile.info(path)
            assert (info.format, info.subtype, info.channels) == ("NIST", "PCM_16", 1)
            assert info.samplerate == 16000 and path.read_bytes().startswith(b"NIST_1A\n   1024\n")


@pytest.mark.parametrize("name", SETS)
def test_every_set_has_what_is_odd(corpus: Path, name: str) -> None:
    lines = [
        line
        for path in sorted((corpus / RELEASES[2] / name / "stm").iterdir())
        for line in path.read_text("utf-8").splitlines()
    ]
    for pattern in (
        r"<F0_[MF]> .*the\(2\)", r"<sil>", r"\([^ ]*-F0_[MF]\)$", r"<o,f0,male>", r"<unk>",
        "\u00e9|\u00ef", "inter_segment_gap", r"<o,f0,\w+> $", r"> '(s|re|ve) ", "^;;", ";; the",
        "okapi",
    ):  # fmt: skip
        assert [line for line in lines if re.search(pattern, line)], pattern
    starts = [
        [float(line.split()[3]) for line in path.read_text("utf-8").splitlines() if line[0] != ";"]
        for path in sorted((corpus / RELEASES[2] / name / "stm").iterdir())
    ]
    assert [talk for talk in starts if talk != sorted(talk)]
    past = [
        path.stem
        for path in sorted((corpus / RELEASES[2] / name / "sph").iterdir())
        if any(
            float(line.split()[4]) > soundfile.info(path).duration
            for line in lines
            if line.startswith(f"{path.stem} ")
        )
    ]
    assert past


def test_both_releases_come_to_the_same_utterances(prepared: Path) -> None:
    for name, talks in SETS.items():
        second, third = (read_cuts(prepared / str(release) / name) for release in RELEASES)
        rows = [(cut.id, cut.start, cut.end, cut_text(cut)) for cut in second]
        assert rows == [(cut.id, cut.start, cut.end, cut_text(cut)) for cut in third]
        assert len({cut_speaker(cut) for cut in second}) == talks
        assert not [cut.id for cut in second if re.search(r"<sil>|\(| '", cut_text(cut))]
        assert all(cut.end <= cut.recording.duration for cut in second)
    cuts = read_cuts(prepared / "2/train")
    overlaps = [
        one.id
        for one, other in zip(cuts, cuts[1:], strict=False)
        if one.recording_id == other.recording_id and one.end > other.start
    ]
    assert overlaps


def test_all_words_but_the_odd_ones_are_in_the_dictionary(prepared: Path) -> None:
    lexicon = (prepared / "2/dict/lexicon.txt").read_text("utf-8").splitlines()
    known = {line.split()[0] for line in lexicon}
    said = {
        word for name in SETS for cut in read_cuts(prepared / "2" / name)
        for word in cut_text(cut).split()
    }  # fmt: skip
    assert said - known <= {"[NOISE]", "<unk>'s", "okapi"}
    assert 120 < len(said) < 200
    text = gzip.decompress((prepared / "2/lm_text/lm.txt.gz").read_bytes()).decode()
    assert set(text.split()) - known <= {"<unk>'s", "okapi"}
