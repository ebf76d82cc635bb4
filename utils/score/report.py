"""Scores as text: the tables of frequent errors, aligned utterances, a row for each speaker."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from chainstitch.utils.score.wer import GAP, Counts, Scores, Utterance, confusions

PER_SPEAKER_COLUMNS = ("speaker", "utts", "words", "WER", "ins", "del", "sub", "S.Err")


def errors_text(scores: Scores, utt2spk: Mapping[str, str]) -> str:
    """The file `errors.txt`: totals, tables sorted by count, then every utterance aligned."""
    substituted, inserted, deleted = confusions(scores)
    lines = [scores.total.wer_line(), scores.total.ser_line()]
    tables = {
        "substitutions: REF->HYP count": Counter(
            {f"{ref}->{hyp}": count for (ref, hyp), count in substituted.items()}
        ),
        "insertions: HYP count": inserted,
        "deletions: REF count": deleted,
    }
    for title, table in tables.items():
        lines += ["", f"# {title}"]
        lines += [f"{item} {count}" for item, count in _most_first(table)]
    lines += ["", "# utterances: I inserted, D deleted, S substituted"]
    for utterance in scores.utterances:
        lines += ["", *_utterance_lines(utterance, utt2spk.get(utterance.id, "?"))]
    if scores.missing:
        lines += ["", "# without a hypothesis (scored as empty)", *scores.missing]
    return "\n".join(lines) + "\n"


def per_speaker_text(speakers: Mapping[str, Counts], total: Counts) -> str:
    """The file `per_spk`: a row for each speaker and one for all; WER and S.Err in per cent."""
    rows = [PER_SPEAKER_COLUMNS]
    for name, counts in [*speakers.items(), ("TOTAL", total)]:
        rows.append(
            (
                name,
                str(counts.utterances),
                str(counts.words),
                f"{counts.wer:.2f}",
                str(counts.insertions),
                str(counts.deletions),
                str(counts.substitutions),
                f"{counts.ser:.2f}",
            )
        )
    return table_text(rows) + "\n"


def table_text(rows: Sequence[Sequence[str]], gap: str = "  ") -> str:
    """Rows padded into columns: the first flush left, the others flush right."""
    widths = [max(_width(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        gap.join(
            pad(cell, width, right=index > 0)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def pad(text: str, width: int, right: bool = False) -> str:
    """`text` with spaces up to `width` columns of a terminal, on its left when `right`."""
    spaces = " " * (width - _width(text))
    return spaces + text if right else text + spaces


def _utterance_lines(utterance: Utterance, speaker: str) -> list[str]:
    counts = utterance.counts
    head = f"{utterance.id} speaker {speaker}: {counts.errors} errors in {counts.words} words"
    if not utterance.pairs:
        return [head]
    columns = [(ref or "***", hyp or "***", _mark(ref, hyp)) for ref, hyp in utterance.pairs]
    widths = [max(_width(cell) for cell in column) for column in columns]
    rows = zip(("  ref ", "  hyp ", "      "), zip(*columns, strict=True), strict=True)
    lines = [
        (name + " ".join(pad(c, w) for c, w in zip(cells, widths, strict=True))).rstrip()
        for name, cells in rows
    ]
    return [head, *(lines if counts.errors else lines[:2])]


def _mark(ref: str, hyp: str) -> str:
    if ref == GAP:
        return "I"
    if hyp == GAP:
        return "D"
    return "" if ref == hyp else "S"


def _most_first(table: Counter[str]) -> list[tuple[str, int]]:
    return sorted(table.items(), key=lambda item: (-item[1], item[0]))


def _width(text: str) -> int:
    """Columns that a terminal uses: two for a wide character, none for a combining one."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
