"""What the id of an utterance, a recording or a speaker may be: one rule, with its reasons.

An id is a field of lines (`utt word word ...`, utt2spk, ctm), so it has no white space and no
control character, can be written as UTF-8, and does not begin like a comment of a ctm, `;;`. The id
of an utterance is also a file's name (`<id>.TextGrid`) and a key in HDF5, where `/` opens a group:
none of the parts between its slashes may be empty, `.` or `..`, all of it has at most 240 bytes,
and no utterance `a` is in one set with an utterance `a/b`, which would be in the group a.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from chainstitch.utils.errors import UserError

LONGEST = 240  # bytes; most file systems allow 255, and `.TextGrid` is put behind
COMMENT = ";;"
# anything but white space, the control characters of both kinds, and halves of surrogate pairs
_FIELD = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def field_fault(name: object) -> str | None:
    """Why this cannot be the id of a recording or a speaker; None if it can."""
    if not isinstance(name, str):
        return f"is {name!r}, wanted a text"
    if not name:
        return "is empty"
    if not _FIELD.fullmatch(name):
        return "has white space, a control character or half a character in it"
    if name.startswith(COMMENT):
        return f"begins with {COMMENT}, as comments do"
    return None


def utterance_fault(name: object) -> str | None:
    """Why this cannot be the id of an utterance; None if it can."""
    fault = field_fault(name)
    if fault or not isinstance(name, str):
        return fault
    if not {"", ".", ".."}.isdisjoint(name.split("/")):
        return "has a part that is empty, . or .. between its slashes"
    if len(name.encode()) > LONGEST:
        return f"has {len(name.encode())} bytes, wanted at most {LONGEST}"
    return None


def check_apart(names: Iterable[str], where: Path | str) -> None:
    """Raises UserError when one id is `a` and another one `a/b`."""
    known = set(names)
    slashed = sorted(name for name in known if "/" in name)
    for name in slashed:
        parts = name.split("/")
        for length in range(1, len(parts)):
            if (short := "/".join(parts[:length])) in known:
                raise UserError(
                    f"{where}: of the utterances {short!r} and {name!r}, one would be a file and "
                    "the other in a directory of that name; give one of them another id"
                )
