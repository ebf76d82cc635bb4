"""What a layer reads: Kaldi's descriptors, as the right-hand side of `input=`.

    descriptor = name                            a layer above
               | Offset(descriptor, n)           as it is n frames later
               | Sum(descriptor, descriptor...)  added up
               | Scale(s, descriptor)            times s
               | ReplaceIndex(name, t, 0)        the one row of a sequence, at all frames: i-vectors
               | IfDefined(descriptor)           itself (see below)
               | Append(part, part...)           behind one another
    part       = descriptor | n                  a bare n: the layer above, n frames later

Offsets and scales are carried to the leaves, so that a descriptor becomes a list of parts that are
appended, each of them terms that are added up,

    Append(-1, Sum(a, Scale(0.5, Offset(b, 3))))
      ->  [ (above at t - 1), (a at t, 0.5 b at t + 3) ]

In Kaldi IfDefined is zero where its argument cannot be computed. Here every layer has a value at
every time: before the first and after the last frame stand copies of that frame.

Source: Kaldi nnet-descriptor.h; steps/libs/nnet3/xconfig/utils.py (the short forms).
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chainstitch.nnet.nets.layer_options import FRAMES, SCALE
from chainstitch.utils.errors import UsageError

MAX_TOKENS = 2000  # of a descriptor
MAX_DEPTH = 50  # of brackets in one another
FUNCTIONS = ("Append", "IfDefined", "Offset", "ReplaceIndex", "Scale", "Sum")
WANTED = (
    "wanted a layer, Offset(layer,-3), Sum(layer,layer), Scale(0.5,layer), "
    "ReplaceIndex(ivector,t,0) or Append(-3,0,3)"
)
_TOKEN = re.compile(r"\s*([A-Za-z_][\w.-]*|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[(),])")


@dataclass(frozen=True)
class Term:
    """`scale` times what `source` has `offset` frames later; or, `constant`, its one row."""

    source: str
    offset: int = 0
    scale: float = 1.0
    constant: bool = False


Parts = list[tuple[Term, ...]]  # appended; the terms of each are added up


class _Unreadable(Exception):
    """Its text is what could not be read."""


class _OutOfBounds(Exception):
    """Its text says what was wanted and found."""


def shortened(text: str, letters: int = 160) -> str:
    """What a message shows of a text that may be long."""
    return text if len(text) <= letters else f"{text[:letters]}..."


def parse_descriptor(text: str, above: Sequence[str], previous: str, where: str) -> Parts:
    """The parts of a descriptor.

    Args:
        text: empty for `previous`; above: names that it may use; previous: what a bare number
            refers to; where: what an error begins with.

    Raises:
        UsageError: text that is no descriptor, or a layer that is not above; it names the nearest.
            Or an offset or scale out of bounds, or more than anybody writes.
    """
    if not text.strip():
        return [(Term(previous),)]
    try:
        tokens = _tokens(text)
        _check_extent(tokens)
        parts, rest = _parse(tokens, previous, above, where)
        if rest:
            raise _Unreadable("".join(rest))
    except _Unreadable as error:
        place = shortened(str(error))
        raise UsageError(f"{where}: cannot read the input at {place!r}; {WANTED}") from None
    except _OutOfBounds as error:
        raise UsageError(f"{where}: input: {error}") from None
    return parts


def nearest(word: str, known: Sequence[str]) -> str:
    """What to say of a word that is not known."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def _check_extent(tokens: list[str]) -> None:
    depth = deepest = 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        deepest = max(deepest, depth)
    for found, most, what in (
        (len(tokens), MAX_TOKENS, "names, numbers and brackets"),
        (deepest, MAX_DEPTH, "brackets in one another"),
    ):
        if found > most:
            raise _OutOfBounds(f"wanted at most {most} {what}, found {found}")


def _tokens(text: str) -> list[str]:
    tokens, place = [], 0
    text = text.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if not found:
            raise _Unreadable(text[place:].strip())
        tokens.append(found.group(1))
        place = found.end()
    return tokens


def _parse(
    tokens: list[str], previous: str, above: Sequence[str], where: str
) -> tuple[Parts, list[str]]:
    """The descriptor that `tokens` begin with, and the tokens behind it."""
    head, rest = tokens[0] if tokens else "", tokens[1:]
    if not re.match(r"[A-Za-z_]", head):
        raise _Unreadable("".join(tokens) or "its end")
    if rest[:1] != ["("]:
        if head not in above:
            hint = nearest(head, list(above))
            raise UsageError(f"{where}: no layer {shortened(head)!r} above; {hint}")
        return [(Term(head),)], rest
    if head not in FUNCTIONS:
        raise UsageError(f"{where}: unknown descriptor {head!r}; {nearest(head, FUNCTIONS)}")
    arguments: list[Parts | str] = []
    while rest[0] != ")":
        rest = rest[1:]  # the bracket or comma
        if rest and (_number(rest[0]) or (head == "ReplaceIndex" and len(arguments) == 1)):
            arguments.append(rest[0])
            rest = rest[1:]
        else:
            parts, rest = _parse(rest, previous, above, where)
            arguments.append(parts)
        if not rest or rest[0] not in (",", ")"):
            raise _Unreadable("".join(tokens))
    return _apply(head, arguments, previous, "".join(tokens)), rest[1:]


def _number(token: str) -> bool:
    return bool(re.match(r"[+-]?\.?\d", token))


def _apply(function: str, arguments: list[Parts | str], previous: str, text: str) -> Parts:
    if function == "Append" and arguments:
        result: Parts = []
        for argument in arguments:
            if isinstance(argument, str):
                result.append((Term(previous, _whole(argument, text)),))
            else:
                result += argument
        return result
    match arguments:
        case [list() as parts, str() as offset] if function == "Offset":
            n = _whole(offset, text)
            return _each(parts, lambda t: dataclasses.replace(t, offset=t.offset + n))
        case [str() as scale, list() as parts] if function == "Scale":
            s = float(scale)
            if not SCALE.bounds.holds(s):
                raise _OutOfBounds(f"a scale wants {SCALE.bounds}, found {scale}")
            return _each(parts, lambda t: dataclasses.replace(t, scale=t.scale * s))
        case [list() as parts] if function == "IfDefined":
            return parts
        case [[(Term(offset=0, scale=1.0) as term,)], "t", "0"] if function == "ReplaceIndex":
            return [(dataclasses.replace(term, constant=True),)]
        case [_, _, *_] if function == "Sum":
            terms: list[Term] = []
            for argument in arguments:
                if isinstance(argument, str) or len(argument) != 1:
                    raise _Unreadable(text)
                terms += argument[0]
            return [tuple(terms)]
    raise _Unreadable(text)


def _whole(number: str, text: str) -> int:
    try:
        n = int(number)
    except ValueError:
        raise _Unreadable(text) from None
    if not FRAMES.bounds.holds(n):
        raise _OutOfBounds(f"an offset wants {FRAMES.bounds} frames, found {number}")
    return n


def _each(parts: Parts, change: Callable[[Term], Term]) -> Parts:
    return [tuple(change(term) for term in part) for part in parts]
