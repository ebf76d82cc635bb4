"""Strings of pdfs, each once, in a table that grows: the *book*.

Row n of the book is string n: its last label, the string without that, and its length. String 0 is
empty, and the length of it is that of the book. `known` finds a string by what it is longer than,
and by its last label.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainstitch.utils.compiled import njit
from chainstitch.utils.decode.search_lattice import Ints

LABEL, SHORTER, LENGTH = 0, 1, 2


def spelled(string: int, label: list[int], shorter: list[int]) -> list[int]:
    """The pdfs of a string, by the columns of the book."""
    found = []
    while string:
        found.append(label[string] - 1)
        string = shorter[string]
    return found[::-1]


@njit()
def room(table: Any, used: int) -> Any:
    """The table, or a copy with twice the rows if `used` are all."""
    if used < len(table):
        return table
    larger = np.zeros((2 * len(table), table.shape[1]), table.dtype)
    for row in range(used):
        for column in range(table.shape[1]):
            larger[row, column] = table[row, column]
    return larger


@njit()
def longer(book: Ints, known: Any, string: int, label: int) -> tuple[Ints, int]:
    """The book, and the string with a label behind it (0: none)."""
    if label == 0:
        return book, string
    key = np.int64(string) << 32 | np.int64(label)
    if key in known:
        return book, known[key]
    new = book[0, LENGTH]
    book = room(book, new)
    book[new, LABEL], book[new, SHORTER] = label, string
    book[new, LENGTH] = 1 + (book[string, LENGTH] if string else 0)
    book[0, LENGTH] += 1
    known[key] = new
    return book, new


@njit()
def _length(book: Ints, string: int) -> int:
    return book[string, LENGTH] if string else 0


@njit()
def common(book: Ints, one: int, other: int) -> int:
    """The longest string that both begin with."""
    while one != other:
        if _length(book, one) >= _length(book, other):
            one = book[one, SHORTER]
        else:
            other = book[other, SHORTER]
    return one


@njit()
def behind(book: Ints, known: Any, string: int, prefix: int) -> tuple[Ints, int]:
    """The book, and the string without a prefix of it."""
    if prefix == 0:
        return book, string
    labels = np.empty(_length(book, string) - _length(book, prefix), np.int64)
    for n in range(len(labels) - 1, -1, -1):
        labels[n], string = book[string, LABEL], book[string, SHORTER]
    rest = 0
    for n in range(len(labels)):
        book, rest = longer(book, known, rest, labels[n])
    return book, rest
