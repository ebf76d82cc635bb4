"""What the speakers of the miniature TED-LIUM say: some 160 words in nineteen kinds of sentence.

Sentences begin with a contraction in one kind only: release 2 leaves those apart in the LM text,
and joins them in the transcripts. Words and kinds of sentence are dealt like cards, as those of
egs/mini are, by its own grammar.py, so that a few minutes of speech hold nearly all words.
`words.txt` beside this file has their pronunciations: facts looked up in the CMU Pronouncing
Dictionary, without the stress; where it lists several, those nearest to what espeak-ng says.
"""

from __future__ import annotations

import numpy as np
from grammar import Grammar

UNITS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
TENS = ["twenty", "thirty", "forty", "fifty"]

# A slot is filled with one of its entries. Slots named in an entry are filled in turn.
SLOTS: dict[str, list[str]] = {
    "number": [*UNITS, *TENS, "a hundred", "{tens} {unit}"],
    "tens": TENS,
    "unit": UNITS,
    "who": ["my mother", "my father", "my teacher", "a doctor", "a friend", "she", "he", "we"],
    "people": ["children", "women", "scientists", "students", "engineers", "people"],
    "saw": ["saw", "found", "lost", "built", "loved"],
    "verb": ["change", "understand", "share", "measure", "design", "remember", "protect"],
    "doing": ["changing", "building", "sharing", "watching", "teaching"],
    "adj": ["beautiful", "small", "simple", "dangerous", "new", "naïve", "strange", "quiet"],
    "thing": ["machine", "story", "river", "school", "picture", "language", "brain", "café"],
    "things": ["machines", "stories", "rivers", "schools", "pictures", "ideas", "computers"],
    "place": ["village", "hospital", "forest", "ocean", "world", "country", "garden"],
    "when": ["today", "tomorrow", "every day", "right now", "this year", "together"],
    "city": ["london", "paris", "madrid", "tokyo", "nairobi", "boston"],
    "feel": ["happy", "afraid", "lucky", "tired", "proud"],
    "often": ["always", "never", "sometimes", "really", "still"],
}

# How often each kind of sentence is dealt, relative to the others.
SENTENCES: dict[str, int] = {
    "{who} {saw} a {adj} {thing} in the {place}": 3,
    "and it's a {adj} idea and we're {doing} it {when}": 2,
    "{number} years ago i {saw} a {thing} in {city}": 2,
    "we don't know what {people} want": 1,
    "the {people} of {city} can't {verb} the {thing}": 2,
    "so let's {verb} the {thing} {when}": 2,
    "and that's why {people} need {number} {things}": 2,
    "today i'm going to tell you about the {thing} of {who}": 2,
    "there's a {adj} {thing} in every {place}": 2,
    "but they've {often} {saw} the {adj} {things}": 2,
    "so you're {feel} because the {thing} is {adj}": 2,
    "thank you so much": 1,
    "imagine a {place} without {things}": 2,
    "{people} {verb} {number} percent of the {things}": 2,
    "and so {who} {saw} the {place} again and again": 2,
    "what if {people} could {often} {verb} the {place}": 2,
    "this is the world's {adj} {machine}": 1,
    "{who} said read the {thing} and don't be {feel}": 2,
    "here are {number} {adj} {things} from {city}": 2,
}
SLOTS["machine"] = ["machine", "computer", "language", "idea"]

# Said and written by nobody else: a name that the transcripts have as <unk>, and a word that they
# have but the dictionary lacks.
UNKNOWN = ["this is what <unk> told us", "<unk> 's machine is here"]
SPOKEN_UNKNOWN = {"<unk>": "zorbalek", "<unk> 's": "zorbalek's"}
OUTSIDE = "my friend saw an okapi"


def words() -> list[str]:
    """Every word that the grammar can say, sorted."""
    texts = [*SENTENCES, *(entry for entries in SLOTS.values() for entry in entries)]
    return sorted({word for text in texts for word in text.split() if "{" not in word})


class Talks(Grammar):
    """An endless stream of sentences, with `it's` as one word; the generator decides which."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng, SENTENCES, SLOTS)
