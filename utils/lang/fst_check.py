"""What OpenFst reads without a look, and then follows: states and labels that are not there.

A binary FST file ("vector", "standard") is a header, then state by state its final weight and the
number of its arcs (12 bytes), and the arcs (input label, output label, weight, next state: 16
bytes). OpenFst notices a file that was cut short, not a next state of 10^9; composition or a search
then reads whatever is at that place. So does a decoder with an input label above the network's
outputs. Here every arc is looked at once, some 0.3 s for a million states.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from chainstitch.utils.errors import UserError

_LENGTH = struct.Struct("<i")
_HEADER = struct.Struct("<iiQqqq")  # version, flags, properties, start, states, arcs
_ARCS = struct.Struct("<q")
_LEAST = 12  # bytes of a state without arcs
SYMBOLS = 3  # in the flags: a symbol table of the input, of the output


def read_checked(path: Path, most_input: int | None = None) -> tuple[Any, str]:
    """The `kaldifst.StdVectorFst` in a file, and what is wrong in it, or "".

    It is None where the file is no such FST, or not as long as it says: OpenFst makes room for all
    states and arcs that a file says it has before it reads them, and prints what it misses.

    Args:
        most_input: the highest input label that may occur.
    """
    import kaldifst

    data = path.read_bytes()
    try:
        flags, start, states, begin = _head(data)
        if not 0 <= states <= (len(data) - begin) // _LEAST:
            return None, ""
        places = None if flags & SYMBOLS else _places(data, begin, states)
        fst = kaldifst.StdVectorFst.read(str(path))
    except (ValueError, struct.error, MemoryError):
        return None, ""
    if fst is None:
        return None, ""
    arcs, ends = _by_iterator(fst) if places is None else _by_place(data, begin, *places)
    return fst, _wrong_in(start, states, arcs, ends, most_input)


def columns(path: Path, made_by: str) -> tuple[int, np.ndarray, list[np.ndarray], np.ndarray]:
    """Start, (states + 1,) where the arcs of a state begin, their columns, and the final weights.

    Raises:
        UserError: the file is missing or damaged.
    """
    fst, wrong = read_checked(path) if path.is_file() else (None, "")
    if fst is None or wrong or fst.start < 0:
        what = "does not exist" if not path.exists() else f"is damaged ({wrong or 'no FST'})"
        raise UserError(f"{path} {what}; run `{made_by}` again")
    data = path.read_bytes()
    flags, start, states, begin = _head(data)
    counts = np.array([fst.num_arcs(state) for state in range(states)], np.int64)
    arcs, ends = (
        _by_iterator(fst)
        if flags & SYMBOLS
        else _by_place(data, begin, *_places(data, begin, states))
    )
    return start, np.concatenate([[0], np.cumsum(counts)]), arcs, ends


def _wrong_in(
    start: int, states: int, arcs: list[np.ndarray], ends: np.ndarray, most_input: int | None
) -> str:
    if not -1 <= start < states:
        return f"it starts in state {start} of {states}"
    inputs, outputs, weights, following = arcs
    for name, values, least, most in (
        ("next state", following, 0, states - 1),
        ("input label", inputs, 0, most_input),
        ("output label", outputs, 0, None),
    ):
        if len(values) and int(values.min()) < least:
            return f"{name} {values.min()} occurs"
        if len(values) and most is not None and int(values.max()) > most:
            return f"{name} {values.max()} occurs, the highest that may is {most}"
    for values in (weights, ends):
        if bool((np.isnan(values) | (values == -np.inf)).any()):
            return "a weight is not a number"
    return ""


def _head(data: bytes) -> tuple[int, int, int, int]:
    """Flags, start, number of states, and where what follows the header begins.

    Raises:
        ValueError, struct.error: it is not the header of such a file.
    """
    at = _LENGTH.size
    for wanted in (b"vector", b"standard"):
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if data[at : at + max(size, 0)] != wanted:
            raise ValueError(f"no FST of type {wanted.decode()}")
        at += size
    _, flags, _, start, states, _ = _HEADER.unpack_from(data, at)
    return flags, start, states, at + _HEADER.size


def _places(data: bytes, begin: int, states: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each state of a file without symbol tables, where it is behind `begin`, and its arcs.

    Raises:
        ValueError, struct.error: the file ends before they do.
    """
    places, counts = np.empty(states, np.int64), np.empty(states, np.int64)
    at, read, end = 0, _ARCS.unpack_from, len(data) - begin
    for state in range(states):
        (count,) = read(data, begin + at + 4)
        if not 0 <= count <= end:
            raise ValueError(f"state {state} has {count} arcs")
        places[state], counts[state] = at, count
        at += _LEAST + 16 * count
    if at > end:
        raise ValueError("it ends before its arcs do")
    return places, counts


def _by_place(
    data: bytes, begin: int, places: np.ndarray, counts: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    """Columns of all arcs, and the final weights, of a file without symbol tables."""
    words = np.frombuffer(data, "<i4", (len(data) - begin) // 4, begin)
    before = np.cumsum(counts) - counts  # arcs before those of a state
    first = np.repeat(places // 4 + 3 - 4 * before, counts) + 4 * np.arange(counts.sum())
    columns = [words[first + n] for n in range(4)]
    columns[2] = columns[2].view("<f4")
    return columns, words[places // 4].view("<f4")


def _by_iterator(fst: Any) -> tuple[list[np.ndarray], np.ndarray]:
    """The same of any FST, two microseconds an arc."""
    import kaldifst

    rows = [
        (arc.ilabel, arc.olabel, arc.weight.value, arc.nextstate)
        for state in kaldifst.StateIterator(fst)
        for arc in kaldifst.ArcIterator(fst, state)
    ]
    ends = np.array([fst.final(state).value for state in range(fst.num_states)], np.float32)
    table = np.array(rows, np.float64).reshape(-1, 4).T
    whole = table.astype(np.int64)
    return [whole[0], whole[1], table[2], whole[3]], ends
