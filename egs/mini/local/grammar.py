"""A grammar of spoken commands: about ninety words in fourteen kinds of sentence.

Words and kinds of sentence are dealt like cards, not drawn like dice: a slot goes through all its
words in a shuffled order before it repeats one. Half an hour of speech then holds every word often
enough to be learnt, and a corpus of four minutes still holds nearly all of them.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")

UNITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TENS = ["twenty", "thirty", "forty", "fifty"]

# A slot is filled with one of its entries. Slots named in an entry are filled in turn.
SLOTS: dict[str, list[str]] = {
    "name": ["mary", "john", "anna", "peter", "susan", "david", "laura", "george"],
    "digit": ["zero", *UNITS],
    "digits": [" ".join(["{digit}"] * n) for n in (3, 4, 5, 6)],
    "count": [*UNITS[1:], "ten", "eleven", "twelve", *TENS, "{tens} {unit}"],
    "tens": TENS,
    "unit": UNITS,
    "hour": [*UNITS, "ten", "eleven", "twelve"],
    "span": ["seconds", "minutes", "hours"],
    "day": ["today", "tomorrow", "on monday", "on friday"],
    "place": ["home", "work"],
    "switch": ["on", "off"],
    "room": ["kitchen", "bedroom", "office", "garden"],
    "device": ["light", "heater", "fan", "camera"],
    "move": ["open", "shut"],
    "opening": ["window", "door"],
    "goods": ["apples", "eggs", "tickets", "bottles"],
    "music": ["jazz", "piano", "guitar", "music"],
    "city": ["london", "paris", "berlin", "madrid"],
    "running": ["timer", "radio", "music"],
}

# How often each kind of sentence is dealt, relative to the others.
SENTENCES: dict[str, int] = {
    "call {name} at {digits}": 2,
    "call {name} at {place}": 1,
    "dial {digits}": 2,
    "the number of {name} is {digits}": 2,
    "set the timer for {count} {span}": 2,
    "wake me at {hour} {tens} {day}": 2,
    "turn {switch} the {room} {device}": 3,
    "{move} the {room} {opening}": 2,
    "send a message to {name}": 1,
    "read my message from {name}": 1,
    "remind {name} to buy {count} {goods}": 2,
    "play some {music} in the {room}": 2,
    "what is the weather in {city} {day}": 2,
    "stop the {running}": 1,
}


def words() -> list[str]:
    """Every word that the grammar can say, sorted."""
    texts = [*SENTENCES, *(entry for entries in SLOTS.values() for entry in entries)]
    return sorted({word for text in texts for word in text.split() if "{" not in word})


class Deck(Generic[T]):
    """Deals the cards in a shuffled order, all of them before any comes again."""

    def __init__(self, cards: list[T], rng: np.random.Generator) -> None:
        self._cards = cards
        self._rng = rng
        self._left: list[T] = []

    def deal(self) -> T:
        if not self._left:
            self._left = [self._cards[i] for i in self._rng.permutation(len(self._cards))]
        return self._left.pop()


class Grammar:
    """An endless stream of sentences; the generator decides which.

    Args:
        sentences: kinds, and how often each is in the deck; slots: what fills theirs.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        sentences: Mapping[str, int] = SENTENCES,
        slots: Mapping[str, list[str]] = SLOTS,
    ) -> None:
        kinds = [kind for kind, weight in sentences.items() for _ in range(weight)]
        self._kinds = Deck(kinds, rng)
        self._slots = {name: Deck(entries, rng) for name, entries in slots.items()}

    def sentence(self) -> str:
        """The next sentence, lower-case words with one space between them."""
        return self._fill(self._kinds.deal())

    def _fill(self, text: str) -> str:
        pieces = []
        for literal, slot, _, _ in string.Formatter().parse(text):
            pieces.append(literal)
            if slot is not None:
                pieces.append(self._fill(self._slots[slot].deal()))
        return "".join(pieces)
