"""When espeak-ng said each word: its events, as times of words.

With phoneme events asked for at the start (the samples are the same with and without), the library
tells the sample at which each word and each phoneme begins. A word lasts until the next one begins,
the last one until the pause at the end; the closure before a first p, t or k is the word's own. Two
habits: `on the` and `in the` are one word to it, so that `the` begins with its D there, or d;
and an unvoiced stop after silence begins with a silence, which is cut off with the rest of it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

from chainstitch.utils.errors import UserError

PHONEME_EVENTS = 1  # an option of espeak_Initialize
LIST_ENDS, WORD, PHONEME = 0, 1, 7  # kinds of event


class _CEvent(ctypes.Structure):
    """espeak_EVENT of espeak-ng's speak_lib.h."""

    _fields_ = [
        ("kind", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


class Event(NamedTuple):
    """What begins at a sample; position: in the text, from 1; phoneme: its name, or empty."""

    kind: int
    position: int
    sample: int
    phoneme: str


def events(pointer: int | None) -> list[Event]:
    """The events that a callback was given, without the one that ends the list."""
    found: list[Event] = []
    if pointer:
        array = ctypes.cast(pointer, ctypes.POINTER(_CEvent))
        while (event := array[len(found)]).kind != LIST_ENDS:
            name = event.id.decode("utf-8", "replace") if event.kind == PHONEME else ""
            found.append(Event(event.kind, event.position, event.sample, name))
    return found


def word_samples(text: str, said: Sequence[Event], end: int) -> list[tuple[int, int, str]]:
    """(first sample, last sample + 1, word) of each word of `text`.

    Args:
        text: words with one space between them.
        said: the events, in their order.
        end: where the sound ends.

    Raises:
        UserError: a word that no event tells of.
    """
    words = text.split(" ")
    begins: list[int] = []
    position = 1
    at = {event.position: event.sample for event in reversed(said) if event.kind == WORD}
    for n, word in enumerate(words):
        if position in at:
            begins.append(at[position])
        else:
            previous = position - len(words[n - 1]) - 1
            own = [e for e in said if e.kind == PHONEME and e.position == previous]
            voiced = [e.sample for e in own if e.phoneme[:1] in ("D", "d")]
            if word != "the" or not voiced:
                raise UserError(f"espeak-ng does not tell when it said {word!r} of {text!r}")
            begins.append(voiced[-1])
        position += len(word) + 1
    pauses = [e.sample for e in said if e.kind == PHONEME and e.phoneme.startswith("_")]
    last = min([end, *(p for p in pauses if p > begins[-1])])
    return list(zip(begins, [*begins[1:], last], words, strict=True))
