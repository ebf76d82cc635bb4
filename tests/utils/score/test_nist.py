"""`score --nist`: the toy corpora to the digit, the sweep, subsets, and what cannot be scored."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.score import sclite
from chainstitch.utils.score.ctm import Place
from chainstitch.utils.score.nist import NistResult, Setup, make_setup, read_subsets, score_nist
from chainstitch.utils.score.sweep import read_choice
from chainstitch.utils.score.wer import Counts
from tests.toy import run

needs_sctk = pytest.mark.skipif(
    shutil.which("sctk") is None, reason="NIST's sctk is not installed (Debian: sctk)"
)
HALVES = "swbd=!en_,callhm=!sw_"


def expected(gold: Path) -> dict[str, Counts]:
    """Case -> counts, from expected.tsv."""
    found = {}
    for row in (gold / "scoring/expected.tsv").read_text().splitlines()[1:]:
        case, _, *numbers = row.split("\t")
        segments, words, _, substituted, deleted, inserted, _ = map(int, numbers)
        found[case] = Counts(segments, words, inserted, deleted, substituted)
    return found


def same(found: Counts, wanted: Counts) -> bool:
    fields = ("utterances", "words", "insertions", "deletions", "substitutions")
    return all(getattr(found, name) == getattr(wanted, name) for name in fields)


@pytest.fixture
def decoded(tmp_path: Path, gold: Path):
    """make(case): a decode directory with the ctm of a toy corpus, and its setup."""

    def make(case: str, name: str = "decode_dev", **changed: object) -> tuple[Path, Setup]:
        toy = gold / "scoring" / case
        directory = tmp_path / "exp" / name
        directory.mkdir(parents=True)
        shutil.copy(toy / "ctm", directory / "ctm_10_0.0")
        return directory, Setup(toy / "stm", toy / "glm", None, **changed)

    return make


@needs_sctk
@pytest.mark.parametrize("case", ["ted", "ihm", "swbd"])
def test_toy_corpora_by_sclite(gold: Path, decoded, case: str) -> None:
    subsets = read_subsets(HALVES) if case == "swbd" else []
    result = score_nist(*decoded(case, subsets=subsets))
    wanted = expected(gold)
    assert same(result.report.total, wanted["swbd all" if case == "swbd" else case])
    assert sum(result.report.speakers.values(), Counts()) == result.report.total
    if case == "swbd":
        halves = [line.counts for line in result.lines[1:]]
        assert same(halves[0], wanted["swbd, lines not starting with en_"])
        assert same(halves[1], wanted["swbd, lines not starting with sw_ (callhm)"])


@needs_sctk
def test_overlapping_speakers_by_asclite(gold: Path, decoded) -> None:
    result = score_nist(*decoded("sdm", overlap=4))
    assert same(result.report.total, expected(gold)["sdm, asclite"])
    assert "AMI_ES2011a_SDM_FEE042" in result.report.speakers


@needs_sctk
def test_the_rules_of_the_glm_give_the_files_of_the_gold(gold: Path, decoded) -> None:
    directory, setup = decoded("swbd")
    score_nist(directory, setup)
    for name in ("stm", "ctm"):
        wanted = (gold / "scoring/swbd" / f"{name}.filt.expected").read_text()
        assert (directory / "nist/reports" / f"{name}.filt").read_text().split() == wanted.split()


def sweep(directory: Path) -> None:
    """Two more points: the same words again, and a worse one."""
    ctm = (directory / "ctm_10_0.0").read_text()
    (directory / "ctm_9_0.5").write_text(ctm)
    (directory / "ctm_12_0.0").write_text("\n".join(ctm.splitlines()[:5]) + "\n")


@needs_sctk
def test_the_sweep_is_chosen_on_dev_and_the_best_of_test_is_given_too(decoded) -> None:
    dev, setup = decoded("ted")
    sweep(dev)
    chosen = score_nist(dev, setup)
    assert (chosen.choice.lmwt, chosen.choice.wip, chosen.choice.points) == (10.0, 0.0, 3)
    assert [line.label for line in chosen.lines] == ["lmwt 10, wip 0, chosen on dev"]

    test, setup = decoded("ted", "decode_test")
    sweep(test)
    with pytest.raises(UsageError, match="3 sweep points and its name says test"):
        score_nist(test, setup)
    choice = read_choice(dev / "nist/choice.toml")
    worse = type(choice)(12.0, 0.0, "dev", choice.line, 3)
    result = score_nist(test, setup, worse)
    assert [line.label for line in result.lines] == [
        "lmwt 12, wip 0, chosen on dev",
        "lmwt 10, wip 0, the best of 3 on test itself, as papers report it",
    ]
    assert result.lines[1].counts.errors < result.report.total.errors
    assert (test / "nist/best_wer").read_text() == result.report.total.wer_line() + "\n"
    assert (test / "nist/summary").read_text().count("%WER") == 2
    assert len(list((test / "nist").glob("wer_*"))) == 3


@needs_sctk
def test_utterances_are_scored_where_they_lie(gold: Path, decoded) -> None:
    directory, setup = decoded("ted")
    moved = []
    for line in (directory / "ctm_10_0.0").read_text().splitlines():
        file, _, start, *rest = line.split()
        moved.append(" ".join([f"{file}-u", "1", f"{float(start) - 0.5:.2f}", *rest]))
    (directory / "ctm_10_0.0").write_text("\n".join(moved[::-1]) + "\n")
    places = {f"{file}-u": Place(file, "A", 0.5, 9.0) for file in ("X_2010", "Y_2011")}
    result: NistResult = score_nist(directory, Setup(setup.stm, setup.glm, places))
    assert same(result.report.total, expected(gold)["ted"])


@needs_sctk
def test_words_of_another_set_are_refused_and_nothing_is_left(gold: Path, decoded) -> None:
    directory, setup = decoded("ted")
    with pytest.raises(
        UserError, match="2 files and channels are not in .*: X_2010 A, say|X_2010 B"
    ):
        ctm = (directory / "ctm_10_0.0").read_text().replace(" A ", " B ")
        (directory / "ctm_10_0.0").write_text(ctm)
        score_nist(directory, setup)
    assert [path.name for path in directory.iterdir()] == ["ctm_10_0.0"]


@needs_sctk
def test_the_command(gold: Path, decoded, capsys: pytest.CaptureFixture[str]) -> None:
    directory, setup = decoded("swbd")
    line = ["score", directory, "--nist", "--stm", setup.stm, "--glm", setup.glm]
    assert run(*line, "--subsets", HALVES) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "%WER 11.54 [ 3 / 26, 0 ins, 0 del, 3 sub ]"
    assert said[-2] == "callhm: %WER 12.50 [ 2 / 16, 0 ins, 0 del, 2 sub ]"


def test_without_the_programs_it_says_how_to_get_them(
    decoded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no sctk on PATH.*apt-get install sctk.*without --nist"):
        score_nist(*decoded("ted"))


def test_a_report_without_sums_is_refused(tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("| spk | 1 2 | 1 1 0 0 1 1 |\n")
    with pytest.raises(UserError, match="no sums"):
        sclite.read_report(tmp_path / "raw")


@pytest.mark.parametrize("text", ["swbd", "swbd=", "swbd=!", "a b=x"])
def test_subsets_that_cannot_be(text: str) -> None:
    with pytest.raises(UsageError, match="wanted NAME=LETTERS"):
        read_subsets(text)


def test_options_that_do_not_fit_each_other(tmp_path: Path) -> None:
    def refused(match: str, **given: object) -> None:
        names = ("stm", "glm", "data", "reco2file", "rule", "acronyms", "subsets", "overlap", "nj")
        plain = dict.fromkeys(names) | {"rule": "none", "subsets": "", "overlap": 0, "nj": 1}
        with pytest.raises(UsageError, match=match):
            make_setup(**(plain | given))

    refused("--nist wants the reference")
    refused("--rule wants one of none, ted", stm=tmp_path, rule="fisher")
    refused("--reco2file wants --data", stm=tmp_path, reco2file=tmp_path)
    assert run("score", tmp_path, "--stm", tmp_path / "stm") == 2
