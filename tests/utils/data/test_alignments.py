"""Alignments come back as they were written; what is wrong with a file is named."""

from __future__ import annotations

import gzip

import pytest

from chainstitch.utils.data.alignments import AlignmentFile, read_alignments, write_alignments
from chainstitch.utils.errors import UserError

PHONES = {"SIL": 1, "AH": 2}
NAMES = {1: "SIL", 2: "AH"}


def test_alignments_come_back_as_they_were_written(tmp_path):
    alignments = {"b": [(1, 3), (2, 1)], "a": [(2, 40)]}
    write_alignments(tmp_path / "ali.gz", alignments, NAMES)
    assert read_alignments(tmp_path / "ali.gz", PHONES) == alignments
    content = gzip.decompress((tmp_path / "ali.gz").read_bytes())
    assert content == b"a AH 40\nb SIL 3 ; AH 1\n"


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


def test_a_file_is_a_mapping_that_is_read_late_and_told_apart_by_its_content(tmp_path):
    alignments = {f"u{n}": [(1 + k % 2, 3 + k) for k in range(1 + n)] for n in range(12)}
    keys = []
    for name in ("x", "y"):
        write_alignments(tmp_path / name, alignments, NAMES)
        file = AlignmentFile(tmp_path / name, PHONES)
        keys.append(file.key)
        assert "_read" not in vars(file)
        assert file == alignments and len(file) == 12 and file.get("u99", ()) == ()
        alignments["u3"] = [(1, 4), (2, 1)]
    keys.append(AlignmentFile(tmp_path / "x", PHONES | {"EH": 3}).key)
    assert len(set(keys)) == 3
    with pytest.raises(UserError, match="chainstitch align"):
        AlignmentFile(tmp_path / "z", PHONES)
    (tmp_path / "x").write_bytes(b"no gzip")
    file = AlignmentFile(tmp_path / "x", PHONES)
    with pytest.raises(UserError, match="damaged"):
        file["u3"]
