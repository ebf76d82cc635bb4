"""Mutations of a valid file: what a broken disk, a broken program or a broken editor makes of it.

A mutation is some edits, each drawn by Hypothesis as plain numbers, so that what fails is found
again and made small. The edits of a text also know numbers and the oddities of Unicode; a file that
is compressed or an archive is edited inside, and packed again with checksums that fit.
"""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from dataclasses import dataclass

from hypothesis import strategies as st

NUMBERS = [
    *(b"0", b"-1", b"1", b"2", b"1e9", b"nan", b"inf", b"-inf", b"9999999999", b"1e400"),
    *(b"18446744073709551616", b"0.5", b"-0.0", b"1,5", b"true", b'"word"', b"", b"0x10"),
]
ODDITIES = [
    text.encode()
    for text in (
        *(
            "\ufeff",
            "\u2028",
            "\u0085",
            "\x00",
            "\r",
            "\n",
            "\t",
            " ",
            "\u00a0",
            "\u200b",
            "\u202e",
        ),
        *("e\u0301", "\U0001f600", "\x1b[31m", "/", "..", "|", "\\", '"', "'", "#", "=", ":", "{"),
        *("[", "]", "}", ",", "-", "\x0c", "\x1c", "\u0660", "<eps>", "#0", "%s", "a" * 300),
    )
] + [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xe9"]
KINDS = ("flip", "cut", "splice", "double", "insert", "drop", "number", "line")
MOST = 4  # edits of a file


@dataclass(frozen=True)
class Edit:
    """One edit: `where` and `whence` are places in the file, as shares of it."""

    kind: str
    where: float
    whence: float
    size: int
    which: int


places = st.floats(0.0, 1.0, exclude_max=True, width=32)
edits = st.builds(
    Edit, st.sampled_from(KINDS), places, places, st.integers(1, 64), st.integers(0, 1 << 16)
)
# Outside: of a compressed file, its own bytes rather than what is in it.
mutations = st.tuples(st.lists(edits, min_size=1, max_size=MOST), st.integers(0, 7))


def mutated(content: bytes, mutation: tuple[list[Edit], int]) -> bytes:
    """The file after the edits."""
    found, outside = mutation
    if content[:2] == b"\x1f\x8b" and outside:
        return gzip.compress(_edited(gzip.decompress(content), found), 1, mtime=0)
    if content[:2] == b"PK" and outside:
        return _in_archive(content, found)
    return _edited(content, found)


def _in_archive(content: bytes, found: list[Edit]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        names = old.namelist()
        for number, name in enumerate(names):
            own = [edit for edit in found if edit.which % len(names) == number]
            new.writestr(name, _edited(old.read(name), own))
    return stream.getvalue()


def _edited(content: bytes, found: list[Edit]) -> bytes:
    for edit in found:
        content = _edit(content, edit)
    return content


def _edit(content: bytes, edit: Edit) -> bytes:
    at, other = int(edit.where * len(content)), int(edit.whence * len(content))
    size, which = edit.size, edit.which
    if edit.kind == "number":
        numbers = list(re.finditer(rb"-?\d+(\.\d+)?(e-?\d+)?", content[:100_000]))
        if numbers:
            begin, end = numbers[int(edit.where * len(numbers))].span()
            return content[:begin] + NUMBERS[which % len(NUMBERS)] + content[end:]
    if edit.kind == "line":
        lines = content.splitlines(keepends=True)
        if len(lines) > 1:
            one, another = int(edit.where * len(lines)), int(edit.whence * len(lines))
            lines[one], lines[another] = lines[another], lines[one]
            return b"".join(lines if which % 2 else lines[:one] + lines[one + 1 :])
    if edit.kind == "cut":
        return content[:at]
    if edit.kind == "splice":
        return content[:at] + content[other : other + size] + content[at + size :]
    if edit.kind == "double":
        return content[:at] + content[at : at + size] * (2 + which % 3) + content[at + size :]
    if edit.kind == "insert":
        return content[:at] + ODDITIES[which % len(ODDITIES)] + content[at:]
    if edit.kind == "drop":
        return content[:at] + content[at + size :]
    flipped = bytes([content[at] ^ (1 << which % 8)]) if content else b""
    return content[:at] + flipped + content[at + 1 :]
