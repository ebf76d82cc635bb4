r"""Text files, read in one way by everything here: UTF-8, plain or gzip, line by line.

What counts as a line decides where a transcript ends, so it is said once: a line ends at \n or
\r\n and nowhere else. (`str.splitlines` also ends one at U+2028, U+0085 and six more, which stand
in texts copied from web pages; they are white space between words here.) A byte order mark at the
beginning, as Windows programs write it, is skipped. Anything that is not UTF-8 is refused by file,
line and byte, never guessed at or replaced.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from chainstitch.utils.errors import UserError

BOM = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"  # what a .gz by another name begins with
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
LONGEST = 1 << 26  # bytes of a line; no line of text is longer, but a damaged .gz may have one
_SECONDS = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)")  # float() takes 1_0 and 1e3, too


def read(path: Path | str) -> str:
    r"""All of a text, its lines ending with \n.

    Raises:
        UserError: not UTF-8, or a damaged .gz; names the line.
        OSError: it cannot be opened.
    """
    return "".join(f"{line}\n" for line in lines(path))


def lines(path: Path | str) -> list[str]:
    """The lines of a text, without their ends; errors as `read`."""
    return [line for _, line in numbered(path)]


def numbered(path: Path | str) -> Iterator[tuple[int, str]]:
    """(number from 1, line) one after the other; errors as `read`, when the line is reached."""
    for number, line in numbered_bytes(path):
        yield number, decode(line, path, number)


def numbered_bytes(path: Path | str) -> Iterator[tuple[int, bytes]]:
    """The same before it is decoded, for who has to be fast."""
    number = 0
    with open(path, "rb") as opened:
        zipped = str(path).endswith(".gz") or opened.peek(2).startswith(GZIP)
        stream: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=opened) if zipped else opened
        try:
            while line := stream.readline(LONGEST):
                number += 1
                if number == 1:
                    line = line.removeprefix(BOM)
                if len(line) == LONGEST:
                    raise UserError(f"{path}:{number}: a line of more than {LONGEST} bytes")
                yield number, line.removesuffix(b"\n").removesuffix(b"\r")
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(
                f"{path} is damaged near line {number} ({_lower(error)}); copy or make it again"
            ) from None


def decode(data: bytes, path: Path | str, number: int) -> str:
    """A line as text; UserError where it is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if number == 1 and data.startswith(UTF_16):
            raise UserError(
                f"{path} is UTF-16, wanted UTF-8; convert it with iconv -f utf-16 -t utf-8"
            ) from None
        raise UserError(
            f"{path}:{number}: byte {error.start + 1} of the line, 0x{data[error.start]:02x}, is "
            "not UTF-8; convert the file, with iconv -f latin1 -t utf-8 if it is Latin-1"
        ) from None


def is_time(text: str) -> bool:
    """Whether this is a number of seconds, 0 or more, as stm and ctm have them: 1.5, .5, -0.00."""
    return bool(_SECONDS.fullmatch(text)) and 0.0 <= float(text) < math.inf


def _lower(error: BaseException) -> str:
    said = str(error).rstrip(".") or type(error).__name__
    return said[0].lower() + said[1:]
