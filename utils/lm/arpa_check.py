r"""Is this an ARPA file? Checked line by line while it is read, or copied for kaldilm.

kaldilm takes much on trust: of `-1,5` it takes -1 and, as the field does not end there, the rest is
lost; a log-probability above 0, fewer n-grams than the header promises, no `</s>` (so that no
sentence ends) pass without a word. So the file is read here first:

    anything                                    comments, to the line that is \data\
    \data\     ngram 1=COUNT, ngram 2=COUNT ...
    \1-grams:  LOG10-PROBABILITY WORD [LOG10-BACK-OFF], as many as promised; then \2-grams: ...
    \end\      nothing after it counts

Columns may be parted by tabs or blanks. A probability lies at 0 or below, up to rounding; weights
of back-off may be above 0. `<s>` and `</s>` must be 1-grams.

Speed: 1.2 million lines a second of processor time, so that a file of 1 GB (30 million n-grams)
takes half a minute more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.errors import UserError

ROUNDING = 1e-4  # what rounding may lift log10 of a probability above 0
MOST = 1e30  # of a weight; -99 is the usual log10 of nothing
_COUNT = re.compile(rb"ngram\s+([0-9]{1,2})\s*=\s*([0-9]{1,10})")

Lines = Iterator[tuple[int, bytes]]
Take = Callable[[int, bytes], object]


def copy_checked(arpa: Path | str, plain: Path | str, called: str) -> None:
    r"""Writes the file uncompressed, from \data\ to \end\, with \n behind each line.

    Args:
        called: what errors call it.

    Raises:
        UserError: it does not exist, or is not as above; names file and line.
    """
    with open(plain, "wb") as target:
        read_checked(arpa, lambda _, line: target.write(line + b"\n"), called)


def read_checked(arpa: Path | str, take: Take, called: str) -> None:
    r"""Hands the lines from \data\ to \end\ to `take`, with their numbers; errors as above.

    Each has been found good when it is handed over, but only at the end of a section is it known
    that there were as many as promised. Blank lines are left out.
    """
    try:
        _check(texts.numbered_bytes(arpa), take, called)
    except FileNotFoundError:
        raise UserError(f"{called} does not exist; wanted an ARPA file") from None
    except IsADirectoryError:
        raise UserError(f"{called} is a directory; wanted an ARPA file") from None


def _check(lines: Lines, take: Take, called: str) -> None:
    """Hands over the lines that count, each once it was found good."""
    section = _Section(called)
    counts: dict[int, int] = {}
    for section.number, line in lines:
        if line.strip() == rb"\data" b"\\":
            break
    else:
        raise section.bad("the end, and no line \\data\\ before it")
    take(section.number, line)
    for section.number, line in lines:
        found = _COUNT.fullmatch(line.strip())
        if found:
            counts[int(found[1])] = int(found[2])
            take(section.number, line)
        elif line.strip():
            break
    if not counts or list(counts) != list(range(1, len(counts) + 1)):
        raise section.bad("wanted lines ngram 1=COUNT, ngram 2=COUNT, ... above, in this order")
    for order, count in counts.items():
        if line.strip() != b"\\%d-grams:" % order:
            raise section.bad(f"found {_shown(line)}, wanted \\{order}-grams:")
        take(section.number, line)
        is_plain = _plain(order, order == len(counts))
        for section.number, line in lines:
            if is_plain(line):
                section.seen += 1
            elif line.startswith(b"\\") and len(line.split()) == 1:
                break
            elif not section.check(line, order, order == len(counts)):
                continue
            take(section.number, line)
        else:
            raise section.bad("the file ends here, without \\end\\; it was cut short")
        section.finish(order, count)
    if line.strip() != rb"\end" b"\\":
        raise section.bad(f"found {_shown(line)}, wanted \\end\\")
    take(section.number, line)
    for _ in lines:  # of a .gz: its checksum stands at the end
        pass


def _plain(order: int, highest: bool) -> Callable[[bytes], object]:
    """Tells, four times as fast as `_Section.check`, lines that it would find good, most of them.

    Those of ASCII, with numbers as they are usually written; but not 1-grams, which are few, and of
    which two have to be there.
    """
    if order == 1:
        return lambda _: None
    number = rb"[0-9]{1,4}(?:\.[0-9]+)?"
    backoff = b"" if highest else rb"(?:[ \t]+-?" + number + b")?"
    return re.compile(b"-" + number + rb"(?:[ \t]+[!-~]+){%d}" % order + backoff).fullmatch


class _Section:
    """Where the reading is, and what was seen of the n-grams of one order."""

    def __init__(self, called: str) -> None:
        self.called, self.number, self.seen = called, 0, 0
        self.missing = {b"<s>", b"</s>"}

    def bad(self, why: str) -> UserError:
        return UserError(f"{self.called} is not a good ARPA file: line {self.number}: {why}")

    def check(self, line: bytes, order: int, highest: bool) -> bool:
        """Whether the line is an n-gram and not blank; raises UserError if it is neither."""
        fields = line.split()
        width = len(fields)
        if width != order + 1 and (width != order + 2 or highest):
            if not fields:
                return False
            more = "" if highest else ", and perhaps a back-off weight"
            wanted = f"a log-probability and {order} words{more}"
            raise self.bad(f"found {_shown(line)}, wanted {wanted}")
        try:
            good = -MOST < float(fields[0]) <= ROUNDING
            if width == order + 2:
                good = good and -MOST < float(fields[-1]) < MOST
        except ValueError:
            good = False
        if not good or b"_" in fields[0]:
            raise self.bad(_fault(fields, order))
        if not line.isascii():
            texts.decode(line, self.called, self.number)
        if order == 1:
            self.missing.discard(fields[1])
        self.seen += 1
        return True

    def finish(self, order: int, count: int) -> None:
        """Raises UserError if these were not all n-grams of the order."""
        if self.seen != count:
            raise self.bad(f"{self.seen} {order}-grams above, the header promises {count}")
        if self.missing:
            absent = min(self.missing).decode()
            raise self.bad(f"no 1-gram {absent} above; sentences begin with <s> and end with </s>")
        self.seen = 0


def _fault(fields: list[bytes], order: int) -> str:
    """Which of an n-gram's numbers is none."""
    for what, field in (("log-probability", fields[0]), ("back-off weight", fields[-1])):
        if re.fullmatch(rb"[-+]?[0-9]+,[0-9]+", field):
            return f"the {what} {_shown(field)} has a decimal comma; write a point"
        try:
            value = float(field)
        except ValueError:
            return f"the {what} {_shown(field)} is not a number"
        if not abs(value) < MOST:
            return f"the {what} {_shown(field)} is not finite; write -99 for a probability of 0"
        if what == "log-probability" and value > ROUNDING:
            return f"the log-probability {_shown(field)} is above 0: no probability is above 1"
        if b"_" in field:
            return f"the {what} {_shown(field)} is not a number"
        if len(fields) == order + 1:
            break
    return f"{_shown(fields[0])} is not a log-probability"


def _shown(line: bytes) -> str:
    return repr(line[:60].decode(errors="backslashreplace"))
