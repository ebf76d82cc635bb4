"""Word error rate: counts, alignments, and the rows that Kaldi's users grep for.

kaldialign finds, for each utterance, one cheapest way to turn the reference into the hypothesis
with insertions, deletions and substitutions (each costs 1). Every number here is counted from those
same alignments, so the line, the tables, the speakers' rows and the alignments agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import kaldialign

from chainstitch.utils.errors import UserError

GAP = ""  # no whitespace token is empty, so this can stand for "no word" beside any word


@dataclass(frozen=True)
class Counts:
    """Errors of some utterances; two of these add up."""

    utterances: int = 0
    words: int = 0  # in the references
    insertions: int = 0
    deletions: int = 0
    substitutions: int = 0
    wrong_utterances: int = 0  # with at least one error

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.utterances + other.utterances,
            self.words + other.words,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.substitutions + other.substitutions,
            self.wrong_utterances + other.wrong_utterances,
        )

    @property
    def errors(self) -> int:
        return self.insertions + self.deletions + self.substitutions

    @property
    def wer(self) -> float:
        """Errors per hundred reference words (above 100 with many insertions); nan of no words."""
        return 100.0 * self.errors / self.words if self.words else float("nan")

    @property
    def ser(self) -> float:
        """Wrong utterances per hundred; nan of no utterances."""
        return 100.0 * self.wrong_utterances / self.utterances if self.utterances else float("nan")

    def wer_line(self) -> str:
        """Kaldi's line: `%WER 8.31 [ 61 / 734, 10 ins, 20 del, 31 sub ]`."""
        return (
            f"%WER {self.wer:.2f} [ {self.errors} / {self.words}, {self.insertions} ins, "
            f"{self.deletions} del, {self.substitutions} sub ]"
        )

    def ser_line(self) -> str:
        """Kaldi's line: `%SER 26.67 [ 16 / 60 ]`."""
        return f"%SER {self.ser:.2f} [ {self.wrong_utterances} / {self.utterances} ]"


@dataclass(frozen=True)
class Utterance:
    """One aligned utterance: pairs (reference word or GAP, hypothesis word or GAP)."""

    id: str
    pairs: tuple[tuple[str, str], ...]
    counts: Counts


@dataclass(frozen=True)
class Scores:
    """A scored set, in the order of the reference."""

    utterances: list[Utterance]
    total: Counts
    missing: list[str]  # ids without a hypothesis, counted as empty ones


def align(utt: str, reference: Sequence[str], hypothesis: Sequence[str]) -> Utterance:
    """One cheapest alignment of two word sequences, with its counts."""
    pairs = tuple(kaldialign.align(reference, hypothesis, GAP))
    insertions = sum(ref == GAP for ref, _ in pairs)
    deletions = sum(hyp == GAP for _, hyp in pairs)
    substitutions = sum(ref != hyp for ref, hyp in pairs) - insertions - deletions
    wrong = int(insertions + deletions + substitutions > 0)
    return Utterance(
        utt, pairs, Counts(1, len(reference), insertions, deletions, substitutions, wrong)
    )


def score(
    references: Mapping[str, Sequence[str]],
    hypotheses: Mapping[str, Sequence[str]],
    ref_name: str = "ref",
    hyp_name: str = "hyp",
) -> Scores:
    """Aligns every reference with its hypothesis; a missing one counts as empty and is listed.

    Args:
        ref_name, hyp_name: what errors call the two sides, e.g. the files' paths.

    Raises:
        UserError: no references, no word in any of them, a hypothesis without a reference.
    """
    if not references:
        raise UserError(f"{ref_name} holds no utterances, so there is nothing to score against")
    if not any(references.values()):
        raise UserError(f"{ref_name} holds no words in {len(references)} utterances: no error rate")
    strangers = [utt for utt in hypotheses if utt not in references]
    if strangers:
        raise UserError(
            f"{hyp_name} holds {len(strangers)} ids that are not in {ref_name} (the first: "
            f"{strangers[0]!r}); decode and score the same set"
        )
    utterances = [align(utt, words, hypotheses.get(utt, ())) for utt, words in references.items()]
    missing = [utt for utt in references if utt not in hypotheses]
    return Scores(utterances, add_up(utterances), missing)


def add_up(utterances: Iterable[Utterance]) -> Counts:
    """The sum of their counts."""
    return sum((utterance.counts for utterance in utterances), Counts())


def by_speaker(scores: Scores, utt2spk: Mapping[str, str], name: str) -> dict[str, Counts]:
    """Counts of each speaker, sorted by name; they sum to `scores.total`.

    Raises:
        UserError: an utterance without a speaker (`name` is what the error calls the mapping).
    """
    rows: dict[str, Counts] = {}
    for utterance in scores.utterances:
        if utterance.id not in utt2spk:
            raise UserError(f"{name} has no speaker for {utterance.id!r}; add a line for it")
        speaker = utt2spk[utterance.id]
        rows[speaker] = rows.get(speaker, Counts()) + utterance.counts
    return dict(sorted(rows.items()))


def confusions(scores: Scores) -> tuple[Counter[tuple[str, str]], Counter[str], Counter[str]]:
    """How often each (reference, hypothesis) was substituted, each word inserted, each deleted."""
    substituted: Counter[tuple[str, str]] = Counter()
    inserted: Counter[str] = Counter()
    deleted: Counter[str] = Counter()
    for utterance in scores.utterances:
        for ref, hyp in utterance.pairs:
            if ref == GAP:
                inserted[hyp] += 1
            elif hyp == GAP:
                deleted[ref] += 1
            elif ref != hyp:
                substituted[ref, hyp] += 1
    return substituted, inserted, deleted
