"""The three steps from ctm edits to segments: gold of Kaldi's scripts, and what always holds."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from chainstitch.utils.decode.clean_segments import Cleaner, Limits, names, second
from chainstitch.utils.decode.cleaned_set import clean
from chainstitch.utils.decode.ctm_edits import Edit, make_edits, read_edits
from chainstitch.utils.decode.fixed_edits import fix_edits
from chainstitch.utils.decode.tainted_edits import taint_edits
from chainstitch.utils.errors import UserError
from tests.reference.cleanup import tainted

NON_SCORED = {"<unk>", "[noise]", "[laughter]"}
EDITS = "u 1 0.00 0.30 a 1.0 a cor\nu 1 0.30 0.20 <eps> 1.0 <eps> sil tainted\n"


@pytest.fixture(scope="module")
def gold(data_dir: Path) -> Path:
    place = data_dir.parent / "gold" / "corpora" / "cleanup"
    if not place.is_dir():
        pytest.skip(f"no gold files in {place}")
    return place


def text(utterances: list[list[Edit]]) -> str:
    return "".join(f"{line}\n" for lines in utterances for line in lines)


def test_references_are_mended_as_kaldi_does(gold: Path) -> None:
    non_scored = set((gold / "non_scored.txt").read_text().split())
    fixed = [fix_edits(lines, non_scored) for _, lines in read_edits(gold / "ctm_edits")]
    assert text(fixed) == (gold / "ctm_edits.modified.expected").read_text()


def test_lines_beside_errors_are_tainted_as_kaldi_does(gold: Path) -> None:
    found = [taint_edits(lines) for _, lines in read_edits(gold / "ctm_edits.modified.expected")]
    assert text(found) == (gold / "ctm_edits.tainted.expected").read_text()


@pytest.mark.parametrize(
    ("name", "limits"),
    [("default", Limits()), ("ami", Limits(min_segment=0.3, min_new_segment=0.6))],
)
def test_segments_are_those_of_kaldi(gold: Path, name: str, limits: Limits) -> None:
    cleaner = Cleaner(set((gold / "non_scored.txt").read_text().split()), "<unk>", limits)
    found = []
    for utterance, segments in clean(gold / "ctm_edits", cleaner):
        for new, one in zip(names(utterance, len(segments)), segments, strict=True):
            times = f"{second(one.start)} {second(one.end)}"
            found.append(f"{new} {utterance} {times}\t{new} {' '.join(one.words('<unk>'))}")
    assert found == (gold / f"segments_text.{name}.expected").read_text().splitlines()
    assert cleaner.utterances == 10 and cleaner.empty == 1
    refs = [row.split()[6] for row in (gold / "ctm_edits.tainted.expected").open()]
    assert cleaner.words.total() == sum(ref != "<eps>" for ref in refs)
    assert cleaner.left["merged"][0] == len(found)


def random_lines(generator: random.Random) -> list[Edit]:
    """Lines of an utterance with many errors, repetitions and pauses."""
    words = ["a", "b", "c", "<unk>", "[noise]"]
    lines, now = [], 0.0
    for _ in range(generator.randint(1, 20)):
        one, other = generator.choice(words), generator.choice(words)
        kind = generator.choice(["cor", "cor", "cor", "sil", "sil", "sub", "ins", "del"])
        length = 0.0 if kind == "del" else generator.choice([0.05, 0.1, 0.3, 0.7, 2.5])
        hyp, ref = {
            "cor": (one, "rare" if one == "<unk>" else one),
            "sil": ("<eps>", "<eps>"),
            "sub": (one, "other" if one == other else other),
            "ins": (one, "<eps>"),
            "del": ("<eps>", other),
        }[kind]
        lines.append(Edit("u", "1", f"{now:.2f}", f"{length:.2f}", hyp, "1.0", ref, kind))
        now += length
    return lines


def test_taint_is_that_of_the_definition() -> None:
    generator = random.Random(0)
    for _ in range(300):
        lines = fix_edits(random_lines(generator), NON_SCORED)
        assert taint_edits(lines) == tainted(lines)


def test_segments_keep_within_their_limits() -> None:
    generator = random.Random(1)
    limits = Limits(min_segment=0.3, min_new_segment=0.6, max_junk=0.3)
    cleaner, found = Cleaner(NON_SCORED, "<unk>", limits), 0
    for _ in range(2000):
        lines = taint_edits(fix_edits(random_lines(generator), NON_SCORED))
        if not lines:
            continue
        segments = cleaner.segments(lines)
        assert sorted(segments, key=lambda s: s.start) == segments
        for one in segments:
            found += 1
            assert -1e-9 <= one.start < one.end <= lines[-1].end + 1e-9
            inside = lines[one.first : one.last + 1]
            assert any(line.kind == "cor" and line.hyp == line.ref for line in inside)
            spoken = [x.ref for x in inside if x.ref != "<eps>"]
            assert set(one.words("<unk>")) <= {*spoken, "<unk>"}
    assert found > 300


def test_a_repeated_pair_goes_before_a_repeated_word_and_noise_may_lie_between() -> None:
    def lines(*pairs: tuple[str, str]) -> list[Edit]:
        kinds = {True: "cor", False: "ins"}
        return [
            Edit("u", "1", str(n), "1", hyp, "1.0", ref, kinds[hyp == ref])
            for n, (hyp, ref) in enumerate(pairs)
        ]

    changes: Counter[str] = Counter()
    spoken = lines(("i", "i"), ("go", "go"), ("[noise]", "<eps>"), ("i", "<eps>"), ("go", "<eps>"))
    fixed = fix_edits(spoken, NON_SCORED, changes)
    assert [line.kind for line in fixed] == ["cor", "cor", "fix", "cor", "cor"]
    assert changes == {"<eps> -> [noise]": 1, "<eps> -> i": 1, "<eps> -> go": 1}
    thrice = lines(("i", "i"), ("i", "<eps>"), ("i", "<eps>"))
    assert [line.kind for line in fix_edits(thrice, NON_SCORED)] == ["cor", "cor", "ins"]


def test_edits_of_an_utterance() -> None:
    timed = [(0.3, 0.6, "the"), (0.6, 0.9, "<unk>"), (1.2, 1.5, "sat"), (1.5, 1.8, "down")]
    words = {"the", "cat", "sat", "down", "<unk>"}
    lines = make_edits("u", timed, ["the", "tabby", "cat", "sat"], 2.1, words, "<unk>")
    assert [str(line) for line in lines] == [
        "u 1 0.00 0.30 <eps> 1.0 <eps> sil",
        "u 1 0.30 0.30 the 1.0 the cor",
        "u 1 0.60 0.30 <unk> 1.0 tabby cor",
        "u 1 0.90 0.00 <eps> 1.0 cat del",
        "u 1 0.90 0.30 <eps> 1.0 <eps> sil",
        "u 1 1.20 0.30 sat 1.0 sat cor",
        "u 1 1.50 0.30 down 1.0 <eps> ins",
        "u 1 1.80 0.30 <eps> 1.0 <eps> sil",
    ]
    nothing = make_edits("u", [], ["the"], 1.0, words, "<unk>")
    assert [line.kind for line in nothing] == ["del", "sil"]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (" sil tainted", " sil certain", "9 fields"),
        ("0.30 0.20", "0.30 long", "a time"),
        (" cor", " right", "unknown kind, 'right'"),
        ("a 1.0 a cor", "a 1.0 a ins", "a word on both sides"),
        ("a 1.0 a cor", "a 1.0 <eps> sub", "lacks a word"),
        ("u 1 0.00", "v 1 0.00 0.1 a 1.0 a cor\nu 1 0.1 0.1 a 1.0 a cor\nv 1 0.00", "second time"),
    ],
)
def test_lines_that_cannot_be_are_named(tmp_path: Path, old: str, new: str, fault: str) -> None:
    (tmp_path / "edits").write_text(EDITS.replace(old, new))
    with pytest.raises(UserError, match=f"edits:[123]: .*{fault}"):
        list(read_edits(tmp_path / "edits"))
