"""Sentences of texts and of sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from lhotse import CutSet, SupervisionSegment
from lhotse.cut import MonoCut

from chainstitch.utils.data.sentences import read_sentences
from chainstitch.utils.errors import UsageError, UserError


def test_sentences_come_from_the_cuts_of_a_data_directory(tmp_path: Path) -> None:
    segments = [
        SupervisionSegment(f"c-{n}", "r", start, 1.0, text=text)
        for n, (start, text) in enumerate([(1.0, "two  three"), (0.0, "one")])
    ]
    cut = MonoCut("c", start=0.0, duration=2.0, channel=0, supervisions=segments)
    CutSet.from_cuts([cut]).to_file(tmp_path / "cuts.jsonl.gz")
    assert read_sentences(tmp_path) == [["one", "two", "three"]]
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match="chainstitch prepare"):
        read_sentences(tmp_path / "other")


def test_sentences_come_from_text_files(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a  b\n\nc\n", encoding="utf-8")
    assert read_sentences(tmp_path / "text") == [["a", "b"], [], ["c"]]
    with pytest.raises(UsageError, match="does not exist"):
        read_sentences(tmp_path / "none")
    (tmp_path / "text").write_bytes(b"\xff")
    with pytest.raises(UserError, match="UTF-8"):
        read_sentences(tmp_path / "text")
