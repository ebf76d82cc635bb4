"""SPHERE, NIST's audio files (.sph): what their headers say of what libsndfile cannot read.

A file begins with `NIST_1A`, the length of the header, and lines `name -type value`, as in

    NIST_1A
       1024
    channel_count -i 2
    sample_rate -i 8000
    sample_coding -s4 ulaw
    end_head

and the samples follow, channels interleaved. libsndfile reads those coded as pcm, ulaw and alaw, of
any number of channels. It does not read those that are compressed by shorten, as many of the LDC's
are (`sample_coding -s26 pcm,embedded-shorten-v2.00`); nothing does that can be installed by pip, so
here they are only recognised, and the message says how to unpack them.
"""

from __future__ import annotations

import re
from pathlib import Path

MAGIC = b"NIST_1A\n"
LONGEST = 1 << 16  # bytes of a header; all known have 1024
_COUNT = re.compile(r"[0-9]{1,15}")
_FIELD = re.compile(rb"(\w+) -(?:i|r|s\d+) ([^\n]*)")


def sphere_header(path: Path) -> dict[str, str] | None:
    """The fields of a SPHERE file's header, and its length as `header_bytes`; None: another file.

    Raises:
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            return None
        length = stream.readline(16).strip()
        if not length.isdigit() or int(length) > LONGEST:
            return None
        rows = stream.read(int(length)).partition(b"end_head")[0]
    fields = {name.decode(): value.decode("latin-1") for name, value in _FIELD.findall(rows)}
    return {**fields, "header_bytes": length.decode()}


def sphere_data_bytes(path: Path) -> tuple[int, int] | None:
    """(declared, present) bytes of a SPHERE file's samples; None where the header does not say."""
    header = sphere_header(path)
    if header is None or "," in header.get("sample_coding", ""):
        return None
    names = ("channel_count", "sample_n_bytes", "sample_count", "header_bytes")
    channels, width, count, length = (header.get(name, "") for name in names)
    if not all(_COUNT.fullmatch(number) for number in (channels, width, count)):
        return None
    return int(channels) * int(width) * int(count), path.stat().st_size - int(length)


def unreadable_sphere(path: Path) -> str | None:
    """Why libsndfile does not read a SPHERE file, and what to do; None: it is another file."""
    header = sphere_header(path)
    if header is None:
        return None
    coding = header.get("sample_coding", "pcm")
    if "shorten" in coding:
        return (
            f"{path}: is compressed by shorten ({coding}), which libsndfile does not read; unpack "
            "it with the LDC's sph2pipe (sph2pipe -p -f sph IN.sph OUT.sph) and give the result "
            "its name"
        )
    return (
        f"{path}: not readable as SPHERE ({coding}, {header.get('channel_count', '?')} channels, "
        f"{path.stat().st_size} bytes); wanted pcm, ulaw or alaw"
    )
