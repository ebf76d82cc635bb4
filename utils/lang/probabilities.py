r"""Probabilities of a lexicon: of pronunciations, and of silence before and after words.

They stand in Kaldi's files, between the word and its phones:

    lexiconp.txt          WORD p PHONES             p in (0, 1], of the pronunciation
    lexiconp_silprob.txt  WORD p P(s|w) F(s|w) F(n|w) PHONES
    silprob.txt           <s> P(s|<s>),  </s>_s F(s|</s>),  </s>_n F(n|</s>),  overall P(s)

P(s|w) is the probability of a silence after the word; F(s|w) is by how much the word is likelier
than it would be otherwise when a silence was before it, F(n|w) when none was. A path through
silence from v to w weighs P(s|v) F(s|w), one without (1 - P(s|v)) F(n|w); compose.py makes L of it
and utils/hmm/phone_graph.py the graphs of transcripts. Of lexicons without such numbers all p and F
are 1 and all P are one half. estimation.py finds them in alignments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from chainstitch.utils import text as texts
from chainstitch.utils.bounds import interval
from chainstitch.utils.errors import UserError
from chainstitch.utils.hmm.phone_graph import EntryWeights, LexiconWeights
from chainstitch.utils.lang.lexicon import Entry, Lexicon

LEXICON, LEXICONP, LEXICONP_SILPROB = "lexicon.txt", "lexiconp.txt", "lexiconp_silprob.txt"
SILPROB = "silprob.txt"
PROBABILITY, CHANCE, FACTOR = (interval(text) for text in ("(0, 1]", "(0, 1)", "(0, inf)"))
LEAST, MOST = 0.01, 0.99  # of P(s|w): no word may be sure of what follows
# the numbers of each file that a lexicon may stand in
COLUMNS = {
    LEXICON: (),
    LEXICONP: (PROBABILITY,),
    LEXICONP_SILPROB: (PROBABILITY, CHANCE, FACTOR, FACTOR),
}
# and those of silprob.txt
SENTENCE = {"<s>": CHANCE, "</s>_s": FACTOR, "</s>_n": FACTOR, "overall": interval("[0, 1]")}


class EntryProbabilities(NamedTuple):
    """What is known of one pronunciation of a word w: p, P(s|w), F(s|w) and F(n|w)."""

    said: float = 1.0
    silence: float = 0.5
    after_silence: float = 1.0
    after_speech: float = 1.0


@dataclass(frozen=True)
class Probabilities:
    """Those of a lexicon.

    Attributes:
        entries: by word and phones; what is not there has p = F = 1 and P(s|w) = overall, from
            LEAST to MOST.
        start: P(s|<s>); end_silence, end_speech: F(s|</s>) and F(n|</s>).
        overall: P(s).
    """

    entries: Mapping[Entry, EntryProbabilities] = field(default_factory=dict)
    start: float = 0.5
    end_silence: float = 1.0
    end_speech: float = 1.0
    overall: float = 0.5

    def of(self, word: str, pronunciation: tuple[str, ...]) -> EntryProbabilities:
        """Those of a pronunciation."""
        found = self.entries.get((word, pronunciation))
        return found or EntryProbabilities(silence=min(MOST, max(LEAST, self.overall)))

    @property
    def forgetful(self) -> bool:
        """Whether it makes no difference to words and sentence ends what was before them."""
        pairs = [(e.after_silence, e.after_speech) for e in self.entries.values()]
        return all(s == n for s, n in [*pairs, (self.end_silence, self.end_speech)])

    def weights(self, phones: Mapping[str, int]) -> LexiconWeights:
        """Their logarithms, for the graphs of transcripts; `phones` numbers the phones."""
        start = EntryProbabilities(silence=self.start)
        end = EntryProbabilities(1.0, 0.5, self.end_silence, self.end_speech)
        return LexiconWeights(
            {
                (word, tuple(phones[p] for p in pron)): _weights(entry)
                for (word, pron), entry in self.entries.items()
            },
            *(_weights(entry) for entry in (self.of("", ()), start, end)),
        )


EVEN = Probabilities()


def _weights(entry: EntryProbabilities) -> EntryWeights:
    said, silence, after_silence, after_speech = entry
    ratios = (said, 2.0 * silence, 2.0 * (1.0 - silence), after_silence, after_speech)
    return EntryWeights(*(math.log(ratio) for ratio in ratios))


def read_silprob(path: Path | str) -> dict[str, float]:
    """The numbers of a silprob.txt by name.

    Raises:
        UserError: it is missing, lacks a line, has another one, or a number is out of bounds.
    """
    found: dict[str, float] = {}
    try:
        lines = list(texts.numbered(path))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {LEXICONP_SILPROB} wants one beside it") from None
    for number, line in lines:
        fields = line.split()
        if not fields:
            continue
        name, bounds = fields[0], SENTENCE.get(fields[0])
        try:
            value = float(fields[1]) if len(fields) == 2 and "_" not in fields[1] else math.nan
        except ValueError:
            value = math.nan
        if bounds is None or name in found or not bounds.holds(value):
            wanted = f"{name} and {bounds}" if bounds else f"one of {', '.join(SENTENCE)}"
            raise UserError(f"{path}:{number}: found {line.strip()!r}, wanted {wanted}, once")
        found[name] = value
    absent = [name for name in SENTENCE if name not in found]
    if absent:
        raise UserError(f"{path} has no line {absent[0]}; wanted {', '.join(SENTENCE)}")
    return found


def entries_of(numbers: Mapping[Entry, tuple[float, ...]]) -> dict[Entry, EntryProbabilities]:
    """Numbers as they stand in lines (none, one or four) as probabilities."""
    return {entry: EntryProbabilities(*values) for entry, values in numbers.items()}


def write_probabilities(directory: Path, lexicon: Lexicon, probabilities: Probabilities) -> None:
    """Writes lexiconp.txt, lexiconp_silprob.txt and silprob.txt, sorted as Kaldi sorts them.

    That is by word, then by probability, the likeliest pronunciation last, then by phones.
    """
    rows = [
        (word, *probabilities.of(word, pron), " ".join(pron))
        for word in lexicon
        for pron in lexicon[word]
    ]
    rows.sort(key=lambda row: (row[0].encode(), row[1], row[5].encode()))
    silences = {
        "<s>": rounded(probabilities.start), "</s>_s": f"{probabilities.end_silence:.15g}",
        "</s>_n": f"{probabilities.end_speech:.15g}", "overall": rounded(probabilities.overall),
    }  # fmt: skip
    content = {
        LEXICONP: [f"{word} {p:.15g} {phones}" for word, p, _, _, _, phones in rows],
        LEXICONP_SILPROB: [
            " ".join([word, f"{p:.15g}", *map(rounded, of_silence), phones])
            for word, p, *of_silence, phones in rows
        ],
        SILPROB: [f"{name} {value}" for name, value in silences.items()],
    }
    for name, lines in content.items():
        (directory / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def rounded(value: float) -> str:
    """With two decimals, as estimation leaves it, or with as many as it has."""
    text = f"{value:.2f}"
    return text if float(text) == value else f"{value:.15g}"
