"""What is said in the miniature meetings: a remote control, on the words of the miniature talks.

Texts are written as AMI's annotators write: punctuation as tokens of its own, T_V_, Mm-hmm,
kick-off. `meeting_words.txt` has the pronunciations that words.txt lacks, which are from the same
dictionary, without the stress.
"""

from __future__ import annotations

import numpy as np
from grammar import Grammar
from talk_grammar import SLOTS as TALK_SLOTS

OF_TALKS = ("number", "tens", "unit", "people", "adj", "thing", "things", "when", "city", "often")
SLOTS: dict[str, list[str]] = {name: TALK_SLOTS[name] for name in OF_TALKS} | {
    "part": ["button", "battery", "user interface", "L_C_D_ screen", "T_V_", "remote control"],
    "parts": ["buttons", "lights", "remotes", "machines", "pictures", "L_C_D_s"],
    "made": ["plastic", "rubber"],
    "verb": ["design", "change", "measure", "remember", "press"],
    "hue": ["colour", "favourite colour"],
}  # fmt: skip

# How often each kind of sentence is dealt, relative to the others.
SENTENCES: dict[str, int] = {
    "Okay , so we need {number} {parts}": 3,
    "I think the {part} should be {adj}": 3,
    "Well , {people} {often} {verb} the {part}": 3,
    "So let's {verb} the {part} {when}": 3,
    "What is the {hue} of the {part}": 2,
    "We have a {adj} {part} , and it's {made}": 3,
    "This is the kick-off meeting for our project": 1,
    "But they've {often} {verb} the {adj} {parts}": 2,
    "The market in {city} has {number} {parts}": 2,
    "Maybe the {part} has {number} {adj} {things}": 2,
    "I'm the manager of the {part} project": 1,
    "Don't {verb} the {made} {thing} {when}": 2,
    "Yeah , that's {adj}": 1,
    "You can't read a {adj} {part} in the caf\u00e9": 1,
}
BACKCHANNELS = ("Mm-hmm", "Yeah", "Uh-huh", "Okay", "Hmm")
ENDS = (".", ".", ".", "?", "!")

# what is said for tokens that are read otherwise than they are written
SPOKEN = {
    "T_V_": "t v", "L_C_D_": "l c d", "L_C_D_s": "l c d s", "Mm-hmm": "mm hmm",
    "Uh-huh": "uh huh", "kick-off": "kick off", "Hmm": "hmm",
}  # fmt: skip


class Meetings(Grammar):
    """An endless stream of sentences; the generator decides which."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng, SENTENCES, SLOTS)


def spoken(token: str) -> str:
    """What is said for a token."""
    return SPOKEN.get(token, token.lower())
