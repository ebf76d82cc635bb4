"""What is said in the miniature calls of Switchboard, and how its transcribers would write it.

Sentences are those of the miniature talks (talk_grammar.py) in ASCII, with a few about companies
and television, for acronyms; before them stand hesitations, laughter, words broken off. Each token
is known in three ways: as ms98 has it, as it is said, and as NIST's references have it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import talk_grammar
from grammar import Deck, Grammar

SLOTS = {
    name: [entry for entry in entries if entry.isascii()]
    for name, entries in talk_grammar.SLOTS.items()
}
SLOTS["company"] = ["IBM", "the BBC's", "I B M", "TV"]
SENTENCES = {
    **talk_grammar.SENTENCES,
    "i work for {company} in {city}": 3,
    "we watch TV in the {place} {when}": 3,
    "i lost {number} CDs in the US": 3,
}


@dataclass(frozen=True)
class Token:
    """A token in ms98, what is said of it (empty: a noise), and in a reference (empty: nothing)."""

    written: str
    spoken: str
    reference: str


SPOKEN = {
    "IBM": "eye bee em", "BBC's": "bee bee seez", "TV": "tee vee", "CDs": "see deez",
    "US": "you ess", "I": "eye", "B": "bee", "M": "em",
}  # fmt: skip
REFERENCE = {
    "IBM": "I. B. M.", "BBC's": "B. B. C.'S", "TV": "T. V.", "CDs": "C. D.S", "US": "U. S.",
    "I": "I.", "B": "B.", "M": "M.",
}  # fmt: skip
UH_HUH = Token("uh-huh", "uh huh", "UH-HUH")
# what may stand before a sentence
OPENINGS = [
    (Token("uh", "uh", "(%HESITATION)"),),
    (Token("um", "um", "(%HESITATION)"),),
    (Token("yeah", "yeah", "YEAH"),),
    (Token("well", "well", "WELL"),),
    (Token("[laughter]", "", ""),),
    (Token("[noise]", "", ""), Token("okay", "okay", "OKAY")),
    (Token("[vocalized-noise]", "", ""),),
    (Token("[laughter-yeah]", "yeah", "YEAH"),),
    (Token("[laughter-wh[at]-]", "wuh", "(WH-)"), Token("what", "what", "WHAT")),
    (Token("-[be]cause", "cuz", "BECAUSE"),),
    (Token("[yeam/yeah]", "yam", "YEAH"),),
    (Token("{yuppiedom}", "yuppiedom", "YUPPIEDOM"),),
    (Token("them_1", "em", "THEM"),),
    (Token("w[e]-", "wuh", "(W-)"),),
    (Token("[lem[guini]-/linguini]", "lem", "(LEM-)"),),
]
# of the dictionary, in Switchboard's phones; those of the talks are in words.txt
WORDS = """\
uh ah
um ah m
uh-huh ah hh ah
um-hum ah m hh ah m
yeah y ae
well w eh l
okay ow k ey
them dh eh m
them_1 eh m
work w er k
for f ao r
watch w aa ch
IBM ay b iy eh m
BBC's b iy b iy s iy z
TV t iy v iy
TVs t iy v iy z
CDs s iy d iy z
US y uw eh s
A ey
[laughter-yeah] y ae
[laughter-wh[at]-] w ah
w[e]- w ah
-[be]cause k ah z
[yeam/yeah] y ae m
[lem[guini]-/linguini] l eh m
{yuppiedom} y ah p iy d ah m
"""


class Talker:
    """An endless stream of utterances; the generator decides which."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._sentences = Grammar(rng, SENTENCES, SLOTS)
        self._openings = Deck(OPENINGS, rng)

    def utterance(self) -> list[Token]:
        """A sentence or two, as a rule with something before them."""
        tokens = list(self._openings.deal()) if self._rng.uniform() < 0.6 else []
        for _ in range(self._rng.integers(1, 3)):
            for word in self._sentences.sentence().split():
                said, reference = SPOKEN.get(word, word), REFERENCE.get(word, word.upper())
                tokens.append(Token(word, said, reference))
        return tokens

    def sentence(self) -> str:
        """One as Fisher has it, with acronyms of letters in small."""
        text = self._sentences.sentence()
        for word, form in REFERENCE.items():
            if len(word) > 1:
                text = text.replace(word, form.replace(" ", "_").lower())
        return text.lower()
