"""The miniature Switchboard: the same bytes every time, all that is odd, and what becomes of it."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import soundfile

from chainstitch.utils.corpora import swbd, swbd_eval
from chainstitch.utils.data import duplicates
from chainstitch.utils.data.manifests import cut_speaker, cut_text, read_cuts
from chainstitch.utils.errors import UserError
from tests.recipes.miniature import at_another_time, hashes, make, need_synthesis

TEXTS = "LDC97S62/swb_ms98_transcriptions"

pytestmark = pytest.mark.recipe


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_synthesis()
    out = tmp_path_factory.mktemp("swbd") / "corpus"
    assert len(make("swbd", out, 2)) == 3
    return out


@pytest.fixture(scope="module")
def prepared(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    swbd.prepare(
        corpus / "LDC97S62", out, conv_tab=corpus / "LDC97S62/docs/conv.tab", lm_dev_lines=20
    )  # fmt: skip
    swbd_eval.prepare_eval2000(
        corpus / "LDC2002S09", out / "eval2000", transcripts=corpus / "LDC2002S09", calls=3
    )
    swbd_eval.prepare_rt03(corpus / "LDC2007S10", out / "rt03")
    return out


def lines(directory: Path, pattern: str) -> list[str]:
    paths = sorted(directory.rglob(pattern))
    return [line for path in paths for line in path.read_text("utf-8").splitlines()]


def test_two_runs_give_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    at_another_time(corpus)
    make("swbd", tmp_path / "again", 2)
    assert hashes(tmp_path / "again") == hashes(corpus)


def test_calls_have_two_sides_of_mu_law(corpus: Path) -> None:
    calls = sorted((corpus / "LDC97S62").rglob("*.sph"))
    assert len(calls) == 10
    for path in calls:
        info = soundfile.info(path)
        assert (info.format, info.subtype, info.channels) == ("NIST", "ULAW", 2)
        assert info.samplerate == 8000 and path.read_bytes().startswith(b"NIST_1A\n   1024\n")


def test_transcripts_have_what_is_odd(corpus: Path) -> None:
    said = lines(corpus / TEXTS, "*-trans.text")
    for pattern in (
        r"\d \[silence\]$", r"\[silence\] uh-huh \[silence\]", r"\[silence\] \[silence\] \w",
        r"<b_aside> .* <e_aside>", r"\[laughter-\w+\]", r"\[laughter-wh\[at\]-\]", r"-\[be\]cause",
        r"\[\w+/\w+\]", r"\{\w+\}", r"_1", r"\w\[\w+\]-", r"\[laughter\]", r"\[noise\]",
        r"\[vocalized-noise\]", "IBM|TV|US|CDs", " I B M", r"lem\[guini\]",
    ):  # fmt: skip
        assert [line for line in said if re.search(pattern, line)], pattern
    dictionary = (corpus / TEXTS / "sw-ms98-dict.text").read_text().splitlines()
    assert "a ey" in dictionary and " file: $SWB/data/dictionary/sw-ms98-dict.text" in dictionary
    assert "" in dictionary and [line for line in dictionary if line.startswith("#")]


def test_references_have_what_is_odd(corpus: Path) -> None:
    eval2000, rt03 = (lines(corpus / name, "*.stm") for name in ("LDC2002S09", "LDC2007S10"))
    for pattern in (r"^;;", "IGNORE_TIME", r"\(\(", "<B_ASIDE>", r"\(%HESITATION\)", r"[A-Z]\. "):
        assert [line for line in eval2000 if re.search(pattern, line)], pattern
        assert [line for line in rt03 if re.search(pattern, line, re.IGNORECASE)], pattern
    assert [line for line in rt03 if "inter_segment_gap" in line]


def test_what_becomes_of_it_has_only_known_words(prepared: Path) -> None:
    cuts = read_cuts(prepared / "train")
    texts = [cut_text(cut) for cut in cuts]
    known = {line.split()[0] for line in (prepared / "dict/lexicon.txt").read_text().splitlines()}
    said = {word for text in texts for word in text.split()}
    assert said - known == {"[silence]"}  # one of two
    assert {"i.", "b.", "m.", "t._v.", "wh-", "-cause", "yeam", "them", "[noise]"} <= said
    speakers = {cut_speaker(cut) for cut in cuts}
    assert len(speakers) == 20
    assert {name for name in speakers if "-" in name} == {"sw02007-A", "sw02007-B"}
    assert {cut.channel for cut in cuts} == {0, 1}
    counts = Counter(texts)
    assert counts["uh-huh"] > 10
    kept = list(duplicates.kept(texts, counts, 5))
    assert 2 < sum(k for k, text in zip(kept, texts, strict=True) if text == "uh-huh") < 10


def test_test_sets_have_both_halves_and_what_is_scored(prepared: Path) -> None:
    for name, prefixes in (("eval2000", {"en", "sw"}), ("rt03", {"fsh", "sw"})):
        cuts = read_cuts(prepared / name)
        assert {cut.id.partition("_")[0] for cut in cuts} == prefixes
        scored = (prepared / name / "stm").read_text().splitlines()
        assert not [line for line in scored if re.search(r"_ASIDE>|\(\(|segment_gap", line)]
        assert len([line for line in scored if not line.startswith(";;")]) > len(cuts)


def test_broken_calls_are_named_and_can_be_left_out(corpus: Path, tmp_path: Path) -> None:
    source = tmp_path / "LDC97S62"
    source.mkdir()
    for path in (*(corpus / "broken").iterdir(), corpus / "LDC97S62/swb1_d1/data/sw02001.sph"):
        shutil.copy(path, source)
    options = {"lm_dev_lines": 2}
    shutil.copytree(corpus / TEXTS, tmp_path / TEXTS)
    for number in range(2003, 2020, 2):
        shutil.rmtree(tmp_path / TEXTS / "20" / str(number))
    place = tmp_path / TEXTS / "20/2098"
    for side in "AB":
        content = f"sw2098{side}-ms98-a-0001 0.5 1 low\n"
        place.mkdir(exist_ok=True)
        (place / f"sw2098{side}-ms98-a-trans.text").write_text(content)
    with pytest.raises(UserError, match=r"sw02098\.sph: is compressed by shorten .*sph2pipe"):
        swbd.prepare(source, tmp_path / "data", **options)
    (source / "sw02098.sph").unlink()
    shutil.rmtree(place)
    with pytest.raises(UserError, match=r"sw02099\.sph: the call has no .*sw2099A-ms98"):
        swbd.prepare(source, tmp_path / "data", **options)
    counts = swbd.prepare(source, tmp_path / "data", skip_broken=True, **options)
    assert counts["train"] > 10
