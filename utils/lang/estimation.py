r"""Pronunciation and silence probabilities from alignments: what was said, and where it was silent.

G. Chen, H. Xu, M. Wu, D. Povey, S. Khudanpur: "Pronunciation and silence probability modeling for
ASR", Interspeech 2015; with the rounding of Kaldi's `dict_dir_add_pronprobs.sh`, so that the files
are the same to the letter. A *word* w is one pronunciation of a word here, `<s>` and `</s>` among
them. Counts over aligned utterances:

    C(w)                 of each pronunciation
    C(s w), C(n w)       of w with a silence before it, and with none
    C(w s), C(w n)       the same of what comes after it
    C(v w)               of neighbours, whether or not a silence was between them

**Pronunciations.** p(w) = f(w) / max f over the pronunciations of one word, f being the relative
frequency of C(w) + 1 among them. All are smoothed, and the likeliest costs nothing, so that a word
is not punished for having several.

**Silence after a word**, smoothed by lambda_2 = 2 observations of the average, p_s = C(s .)/C(.):

    P(s|w) = (C(w s) + 2 p_s) / (C(w s) + C(w n) + 2)                                         (1)

**Silence before a word.** (1) expects Cbar(s w) = sum over v of C(v w) P(s|v) silences before w,
and Cbar(n w) = sum of C(v w) (1 - P(s|v)) cases without. The factors are what was seen over what
was expected, smoothed by lambda_3 = 2:

    F(s|w) = (C(s w) + 2) / (Cbar(s w) + 2),    F(n|w) likewise                               (2)

**As Kaldi has it**: f and p have six digits, p_s, P and F two decimals (but not the F of `</s>`),
each rounded before it is used; P is kept in .01 .. .99 and F at .01 or more; and P(s|<s>) is taken
for 0 in Cbar, where `<s>` has no entry to look it up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from chainstitch.utils.errors import UserError
from chainstitch.utils.lang.lexicon import Entry, Lexicon
from chainstitch.utils.lang.probabilities import (
    LEAST,
    MOST,
    EntryProbabilities,
    Probabilities,
)

SMOOTHING = 2.0  # lambda_2 and lambda_3
BEGIN: Entry = ("<s>", ())
END: Entry = ("</s>", ())


class Counts:
    """The counts above.

    Attributes:
        utterances, silences: how many there were.
        said: C(w).
        before, after: (with a silence, without) of each word.
        pairs: C(v w).
    """

    def __init__(self) -> None:
        self.said: Counter[Entry] = Counter()
        self.utterances = self.silences = 0
        self.before: defaultdict[Entry, list[int]] = defaultdict(lambda: [0, 0])
        self.after: defaultdict[Entry, list[int]] = defaultdict(lambda: [0, 0])
        self.pairs: Counter[tuple[Entry, Entry]] = Counter()

    def add(self, utterance: Sequence[Entry | None]) -> None:
        """Counts an utterance: its words in order, None for a silence."""
        self.utterances += 1
        last, silent = BEGIN, False
        for word in [*utterance, END]:
            if word is None:
                silent = True
                self.silences += 1
                continue
            self.after[last][not silent] += 1
            self.before[word][not silent] += 1
            self.pairs[last, word] += 1
            if word is not END:
                self.said[word] += 1
            last, silent = word, False


def estimate(lexicon: Lexicon, counts: Counts) -> Probabilities:
    """The probabilities of all entries of the lexicon.

    Raises:
        UserError: nothing was counted, or a pronunciation that the lexicon lacks.
    """
    foreign = [word for word, pron in counts.said if pron not in lexicon.get(word, ())]
    if foreign:
        raise UserError(
            f"the alignments have pronunciations that the lexicon lacks, of {foreign[0]!r} for "
            "one; align again with the lang directory that is made of this lexicon"
        )
    silent, spoken = (sum(row[k] for row in counts.before.values()) for k in (0, 1))
    if not silent + spoken:
        raise UserError("no utterance is aligned; there is nothing to estimate from")
    overall = _two_decimals(silent / (silent + spoken))

    def then_silent(word: Entry) -> float:  # (1)
        after = counts.after.get(word, (0, 0))
        silences, others = (
            n + SMOOTHING * p for n, p in zip(after, (overall, 1 - overall), strict=True)
        )
        return min(MOST, max(LEAST, _two_decimals(silences / (silences + others))))

    p_silence = {(w, pron): then_silent((w, pron)) for w in lexicon for pron in lexicon[w]}
    expected: defaultdict[Entry, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for v, w in sorted(counts.pairs):  # in any order but one sums end in other digits
        p, count = p_silence.get(v, 0.0), counts.pairs[v, w]
        expected[w][0] += count * p
        expected[w][1] += count * (1 - p)

    def factors(word: Entry) -> list[float]:  # (2)
        seen = counts.before.get(word, (0, 0))
        sums = expected.get(word, (0.0, 0.0))
        return [(c + SMOOTHING) / (e + SMOOTHING) for c, e in zip(seen, sums, strict=True)]

    entries = {}
    for word, prons in lexicon.items():
        smoothed = [counts.said[word, pron] + 1 for pron in prons]
        shares = [_six_digits(count / sum(smoothed)) for count in smoothed]
        for pron, share in zip(prons, shares, strict=True):
            f_silence, f_speech = (max(LEAST, _two_decimals(f)) for f in factors((word, pron)))
            entries[word, pron] = EntryProbabilities(
                _six_digits(share / max(shares)), p_silence[word, pron], f_silence, f_speech
            )
    end_silence, end_speech = factors(END)
    return Probabilities(entries, then_silent(BEGIN), end_silence, end_speech, overall)


def write_counts(directory: Path, counts: Counts, silence: str) -> None:
    """Writes Kaldi's pron_counts.txt, sil_counts.txt and pron_bigram_counts.txt."""
    said = [*counts.said.items()]
    if counts.silences:
        said.append((("<eps>", (silence,)), counts.silences))
    words = sorted({*counts.before, *counts.after}, key=_text)
    lines = {
        "pron_counts.txt": [
            f"{n} {_text(w)}" for w, n in sorted(said, key=lambda row: (-row[1], _text(row[0])))
        ],
        "sil_counts.txt": [
            " ".join(map(str, [*counts.before[w], *counts.after[w], _text(w)])) for w in words
        ],
        "pron_bigram_counts.txt": [
            f"{counts.pairs[pair]}\t{_text(pair[0])}\t{_text(pair[1])}"
            for pair in sorted(counts.pairs, key=lambda pair: [*map(_text, pair)])
        ],
    }
    for name, content in lines.items():
        (directory / name).write_text("".join(f"{line}\n" for line in content), encoding="utf-8")


def _text(word: Entry) -> str:
    return " ".join([word[0], *word[1]])


def _two_decimals(value: float) -> float:
    return float(f"{value:.2f}")


def _six_digits(value: float) -> float:
    return float(f"{value:.6g}")
