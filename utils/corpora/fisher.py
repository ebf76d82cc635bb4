r"""Fisher's transcripts as text for language models (LDC2004T19, LDC2005T19); no audio.

    data/trans/000/fe_03_00001.txt    # comments; `start end A: text`, one turn a line

`map_words` makes of a turn what Kaldi's recipes do, to be like the transcripts of the Mississippi
State release of Switchboard. In this order, in small letters; letters are those of ASCII:

    * ( )                   go; a turn without anything else is empty
    <german ja wohl>        goes
    a._b._c.  a.s           style ami: full stops go: a b c, and a's                             (1)
    a,b                     a b
    'cause                  loses its apostrophe, like six others; 'em becomes -em
    'hello' to 'me'         matching quotes go, twice, for one of two neighbours is not seen
    'a-  -  ?               a single letter behind an apostrophe, hyphens by themselves and ? go
    non-stop  -how-         non stop, and how: words that the transcribers took for fragments
    [[skip]] [pause]        go; [breath], [cough], ... are [noise], [mn] [vocalized-noise],
                            [laugh] [laughter]
    'x                      a word's apostrophe in front becomes a hyphen
                            style ami: capitals

Style swbd has the same without (1) and in small letters: there acronyms are words, `a._b._c.`.
"""

from __future__ import annotations

import fnmatch
import logging
import re
import string
from collections.abc import Iterator
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_directory, gzipped
from chainstitch.utils.outputs import check_directory

STYLES = ("ami", "swbd")
FILES = "*/trans/*fe*.txt"
LEVEL = 6  # of gzip
_SMALL = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_CAPITALS = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_APOSTROPHE = "blade cause course frisco okay plain specially"
_WHOLE = (
    "acceptable arthritis ball cause comes course eight eighty field giving habitating heard hood "
    "how king ninety okay paper press scripts store till vascular wood what york"
)
NOISES = ("breath", "cough", "lipsmack", "sigh", "sneeze")


def _rule(pattern: str, becomes: str) -> tuple[re.Pattern[str], str]:
    return re.compile(pattern, re.ASCII), becomes


_REMARK = _rule("<[^>]*>", "")
_STOPS = (_rule(r"\._", " "), _rule(r"(\w)\.s( |$)", r"\1's "), _rule(r"\.", " "))  # (1)
_RULES = (
    _rule(r"(\w),(\w| )", r"\1 \2"),
    _rule(rf"( |^)'({_APOSTROPHE.replace(' ', '|')})( |$)", r" \2 "),
    _rule("'em", "-em"),
    *[_rule("(^| )'(.*?)'( |$)", r" \2 ")] * 2,
    _rule(r"( |^)'(\w)( |-|$)", r"\1 "),
    _rule("( |^)-( |$)", " "),
    _rule(r"\?", ""),
    _rule(r"( |^)non-(\w+)( |$)", r" non \2 "),
    _rule(rf"( |-)({_WHOLE.replace(' ', '|')})(-| )", r" \2 "),
    _rule(r"\[\[skip\]\]", " "),
    _rule(r"\[pause\]", " "),
    _rule(rf"\[(?:{'|'.join(NOISES)})\]", "[noise]"),
    _rule(r"\[mn\]", "[vocalized-noise]"),
    _rule(r"\[laugh\]", "[laughter]"),
)
_SPACES = re.compile(r"\s+", re.ASCII)

log = logging.getLogger(__name__)


def map_words(text: str, style: str) -> str:
    """What a turn becomes; a space in front stays one, as Kaldi's has it.

    >>> map_words("a._b._c. 'cause I'm", "ami"), map_words("a._b._c. 'cause I'm", "swbd")
    ("A B C CAUSE I'M", "a._b._c. cause i'm")
    """
    if style not in STYLES:
        raise UsageError(f"the style of Fisher's text is one of {', '.join(STYLES)}, not {style!r}")
    text = text.translate(_SMALL).translate(str.maketrans("", "", "*()"))
    if not _SPACES.sub("", text):
        return ""
    for pattern, becomes in (_REMARK, *(_STOPS if style == "ami" else ()), *_RULES):
        text = pattern.sub(becomes, text)
    words = [re.sub("^'", "-", word) for word in _SPACES.split(text)]
    mapped = " ".join(words).rstrip(" ")
    return mapped.translate(_CAPITALS) if style == "ami" else mapped


def write_text(source: Path, out: Path, style: str, overwrite: bool = False) -> int:
    """Writes the text directory `out` with lm.txt.gz, a turn a line; returns how many there are.

    Args:
        source: where data/trans/NNN/fe_*.txt of one part or of both are, at any depth.

    Raises:
        UsageError: an unknown style, or `out` cannot be written.
        UserError: there are no transcripts, or one is not UTF-8; names the line.
    """
    check_directory(out, "text", overwrite, [source])
    files = sorted(
        path for path in source.rglob("*.txt") if fnmatch.fnmatchcase(f"/{path.as_posix()}", FILES)
    )
    if not files:
        raise UserError(
            f"{source} holds no transcripts, data/trans/000/fe_03_00001.txt say; give the "
            "directory of LDC2004T19"
        )
    count = 0
    with atomic_directory(out, "text", overwrite) as temporary:
        with (
            open(temporary / "lm.txt.gz", "wb") as opened,
            gzipped(opened, LEVEL) as stream,
        ):
            for path in files:
                for turn in _turns(path):
                    if line := map_words(turn, style).strip(" "):
                        stream.write(line.encode() + b"\n")
                        count += 1
        if not count:
            raise UserError(f"{files[0]} and others hold no text; copy {source} again")
    log.info("%s: %d turns of %d calls", out, count, len(files))
    return count


def _turns(path: Path) -> Iterator[str]:
    """What is said, behind start, end and speaker."""
    for number, line in texts.numbered(path):
        if not line or line.startswith("#"):
            continue
        fields = line.split(" ", 3)
        if len(fields) < 4 and len(fields) != 3:
            raise UserError(
                f"{path}:{number}: {line[:60]!r}: wanted a turn, `START END A: word word ...`"
            )
        yield fields[3] if len(fields) == 4 else ""
