"""Alignments come back as they were written; what is wrong with a file is named."""

from __future__ import annotations

import gzip

import pytest

from chainstitch.utils.data.alignments import read_alignments, write_alignments
from chainstitch.utils.errors import UserError

PHONES = {"SIL": 1, "AH": 2}
NAMES = {1: "SIL", 2: "AH"}


def test_alignments_come_back_as_they_were_written(tmp_path):
    alignments = {"b": [(1, 3), (2, 1)], "a": [(2, 40)]}
    write_alignments(tmp_path / "ali.gz", alignments, NAMES)
    assert read_alignments(tmp_path / "ali.gz", PHONES) == alignments
    content = gzip.decompress((tmp_path / "ali.gz").read_bytes()).decode()
    assert content == "a AH 40\nb SIL 3 ; AH 1\n"


def test_equal_alignments_make_equal_files(tmp_path):
    for name in ("x", "y"):
        write_alignments(tmp_path / name, {"a": [(1, 3)]}, NAMES)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a SIL 3 ; EH 4\n", "line 1: a has the phone 'EH'"),
        ("a SIL 0\n", "damaged"),
        ("a SIL\n", "damaged"),
        ("a SIL 3 AH 4\n", "damaged"),
    ],
)
def test_wrong_lines_are_named(tmp_path, text, wanted):
    with gzip.open(tmp_path / "ali.gz", "wt") as stream:
        stream.write(text)
    with pytest.raises(UserError, match=wanted):
        read_alignments(tmp_path / "ali.gz", PHONES)


def test_missing_and_truncated_files_say_what_to_type(tmp_path):
    with pytest.raises(UserError, match="chainstitch align"):
        read_alignments(tmp_path / "ali.gz", PHONES)
    write_alignments(tmp_path / "ali.gz", {"a": [(1, 3)] * 2000}, NAMES)
    data = (tmp_path / "ali.gz").read_bytes()
    (tmp_path / "ali.gz").write_bytes(data[:-20])
    with pytest.raises(UserError, match="damaged"):
        read_alignments(tmp_path / "ali.gz", PHONES)
