"""STM files: there and back, labels that a header declares, and lines that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainstitch.utils.data import stm
from chainstitch.utils.data.stm import StmSegment
from chainstitch.utils.errors import UserError

SEGMENTS = [
    StmSegment("a", "1", "inter_segment_gap", 0.0, 0.5, "<o,unknown>", stm.IGNORED),
    StmSegment("a", "1", "s", 0.5, 1.125, "<o,male>", "caf\u00e9 {uh / um}"),
    StmSegment("b", "A", "t", 10.0, 12.25, "", ""),
]
LABELS = {"o": ("Overall", "Everything"), "male": ("Male", "Men")}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    stm.write_stm(tmp_path / "stm", SEGMENTS, LABELS)
    lines = (tmp_path / "stm").read_text("utf-8").splitlines()
    assert lines[1] == ';; LABEL "o" "Overall" "Everything"'
    assert lines[5] == "a 1 s 0.50 1.125 <o,male> caf\u00e9 {uh / um}"
    assert lines[6] == "b A t 10.00 12.25"
    found = list(stm.read_stm(tmp_path / "stm"))
    assert found == SEGMENTS
    assert [segment.ignored for segment in found] == [True, False, False]
    assert found[2].where == f"{tmp_path}/stm:7"


def test_a_label_that_the_header_does_not_declare_is_named(tmp_path: Path) -> None:
    stm.write_stm(tmp_path / "stm", [StmSegment("a", "1", "s", 0, 1, "<o,f2>", "x")], LABELS)
    with pytest.raises(UserError, match=r"stm:5: unknown label 'f2' in <o,f2>, wanted parts of "):
        list(stm.read_stm(tmp_path / "stm"))
    assert list(stm.read_stm(tmp_path / "stm", {"o", "f2"}))[0].label == "<o,f2>"
    stm.write_stm(tmp_path / "stm", [StmSegment("a", "1", "s", 0, 1, "<o,f2>", "x")])
    assert list(stm.read_stm(tmp_path / "stm"))[0].label == "<o,f2>"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a 1 s 0", "has 4 fields, wanted `file channel speaker start end <label> word ...`"),
        ("a 1 s zero 1 x", "'zero' is no time in seconds"),
        ("a 1 s -1 1 x", "'-1' is no time"),
        ("a 1 s 0 inf x", "'inf' is no time"),
        ("a 1 s 0 1_0 x", "'1_0' is no time"),
        (f"a 1 s 0 1{'0' * 400} x", "is no time"),
        ("a 1 s 2 1.5 x", "ends at 1.5 s, before its start at 2 s"),
    ],
)
def test_lines_that_cannot_be_are_named_by_number(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "stm").write_text(f";; comment\n\n{line}\n")
    with pytest.raises(UserError, match=rf"/stm:3: .*{said}"):
        list(stm.read_stm(tmp_path / "stm"))


def test_a_time_past_the_audio_is_named() -> None:
    segment = stm.parse("a 1 s 1 2.5 x", "f:7")
    stm.check_end(segment, 2.2, 0.3)
    with pytest.raises(UserError, match=r"f:7: ends at 2.5 s, but a lasts 2.200 s"):
        stm.check_end(segment, 2.2)


def test_real_files_are_read(data_dir: Path) -> None:
    place = data_dir / "speech-format-samples"
    found = list(stm.read_stm(place / "nist-stm-ctm" / "lvc_refe.stm"))
    assert len(found) > 20 and {s.label for s in found} <= {"<O,WA>", "<O,NA>", ""}
    assert len(list(stm.read_stm(place / "telephone-sample" / "sample.stm"))) > 5
