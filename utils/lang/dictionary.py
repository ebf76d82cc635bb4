"""Dictionaries: a lexicon with its silence phones and probabilities, as a file or as Kaldi has it.

A file is a lexicon.txt, or by its name a lexiconp.txt or lexiconp_silprob.txt (probabilities.py),
the latter with its silprob.txt beside it. A directory is Kaldi's data/local/dict:

    silence_phones.txt optional_silence.txt    which phones are silence, and which is optional
    nonsilence_phones.txt                      the others; only looked at, if it is there
    lexiconp_silprob.txt and silprob.txt, lexiconp.txt, or lexicon.txt: the first that is there

Kaldi's lexicons have a word for the optional silence itself, `!SIL SIL`. Here silence is no word's,
so in a directory such lines are left out.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_directory
from chainstitch.utils.lang.estimation import Counts, write_counts
from chainstitch.utils.lang.lexicon import (
    EPSILON,
    SILENCES,
    Lexicon,
    phones_of,
    read_entries,
    write_lexicon,
)
from chainstitch.utils.lang.probabilities import (
    COLUMNS,
    EVEN,
    LEXICON,
    LEXICONP,
    LEXICONP_SILPROB,
    SILPROB,
    Probabilities,
    entries_of,
    read_silprob,
    write_probabilities,
)

log = logging.getLogger(__name__)

SILENCE_PHONES, OPTIONAL = "silence_phones.txt", "optional_silence.txt"
OTHER_PHONES = "nonsilence_phones.txt"


@dataclass(frozen=True)
class Dictionary:
    """What `chainstitch lang` makes L of; the first of `silences` is the optional one."""

    lexicon: Lexicon
    silences: tuple[str, ...] = SILENCES
    probabilities: Probabilities = EVEN


def read_dictionary(path: Path | str | None, silences: Sequence[str] | None = None) -> Dictionary:
    """Reads a file or a directory.

    Args:
        path: None: there are no entries.
        silences: the silence phones, for a file; default SIL. A directory says them itself.

    Raises:
        UsageError: `silences` for a directory.
        UserError: a file of it is missing, or has a bad line (named by file and number).
    """
    given = _phones(SILENCES if silences is None else silences, "--silence-phones")
    if path is None:
        return Dictionary({}, given)
    path = Path(path)
    if not path.is_dir():
        lexicon, probabilities = _read_lexicon(path, given, variants=True)
        return Dictionary(lexicon, given, probabilities)
    if silences is not None:
        raise UsageError(f"--silence-phones is for a lexicon; {path} has its {SILENCE_PHONES}")
    all_silences = read_phones(path / SILENCE_PHONES)
    optional = read_phones(path / OPTIONAL)
    if len(optional) != 1 or optional[0] not in all_silences:
        raise UserError(
            f"{path / OPTIONAL}:1: found {' '.join(optional)}, wanted one phone of {SILENCE_PHONES}"
        )
    ordered = (optional[0], *(phone for phone in all_silences if phone not in optional))
    names = [name for name in (LEXICONP_SILPROB, LEXICONP) if (path / name).exists()]
    lexicon, probabilities = _read_lexicon(
        path / [*names, LEXICON][0], ordered, variants=True, left_out=((optional[0],),)
    )
    if (path / OTHER_PHONES).exists():
        _check_phones(path / OTHER_PHONES, lexicon, ordered)
    return Dictionary(lexicon, ordered, probabilities)


def read_probabilities(
    directory: Path, silences: Sequence[str], variants: bool
) -> tuple[Lexicon, Probabilities]:
    """Those of a directory's lexiconp_silprob.txt and silprob.txt."""
    return _read_lexicon(directory / LEXICONP_SILPROB, silences, variants)


def _read_lexicon(
    path: Path, silences: Sequence[str], variants: bool, left_out: Sequence[tuple[str, ...]] = ()
) -> tuple[Lexicon, Probabilities]:
    columns = COLUMNS.get(path.name, ())
    lexicon, numbers = read_entries(path, columns, silences, variants, left_out)
    if not columns:
        return lexicon, EVEN
    if path.name == LEXICONP:
        return lexicon, Probabilities(entries_of(numbers))
    sentence = read_silprob(path.with_name(SILPROB))
    return lexicon, Probabilities(
        entries_of(numbers), *(sentence[name] for name in ("<s>", "</s>_s", "</s>_n", "overall"))
    )


def read_phones(path: Path) -> tuple[str, ...]:
    """The phones of a silence_phones.txt or its like, one or more a line.

    Raises:
        UserError: it is missing or empty, or a phone comes twice.
    """
    try:
        lines = texts.lines(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; wanted one phone a line") from None
    return _phones([phone for line in lines for phone in line.split()], path)


def _phones(phones: Sequence[str], source: Path | str) -> tuple[str, ...]:
    twice = [phone for n, phone in enumerate(phones) if phone in phones[:n] or phone == EPSILON]
    if twice or not phones:
        found = f"{twice[0]} comes twice or is reserved" if twice else "it names no phone"
        raise UserError(f"{source}: {found}; wanted different phones")
    return tuple(phones)


def write_phones(path: Path, phones: Sequence[str]) -> None:
    """Writes one phone a line."""
    path.write_text("".join(f"{phone}\n" for phone in phones), encoding="utf-8")


def _check_phones(path: Path, lexicon: Lexicon, silences: Sequence[str]) -> None:
    spoken = read_phones(path)
    both = [phone for phone in spoken if phone in silences]
    if both:
        log.warning("%s has silence phones, too, taken for silence: %s", path, " ".join(both))
    absent = [p for p in phones_of(lexicon) if p not in spoken and p not in silences]
    if absent:
        raise UserError(
            f"{path}: the lexicon has the phone {absent[0]}, which neither this file nor "
            f"{SILENCE_PHONES} has; add it to one of them"
        )


def write_dictionary(
    out: Path | str, dictionary: Dictionary, counts: Counts, overwrite: bool = False
) -> None:
    """Writes Kaldi's directory with probabilities and what they were estimated from, or nothing.

    Raises:
        UsageError: `out` exists and `overwrite` is false.
    """
    lexicon, silences = dictionary.lexicon, dictionary.silences
    with atomic_directory(out, "dictionary", overwrite) as directory:
        write_lexicon(lexicon, directory / LEXICON)
        write_probabilities(directory, lexicon, dictionary.probabilities)
        write_phones(directory / SILENCE_PHONES, silences)
        write_phones(directory / OPTIONAL, silences[:1])
        spoken = [phone for phone in phones_of(lexicon) if phone not in silences]
        write_phones(directory / OTHER_PHONES, spoken)
        write_counts(directory, counts, silences[0])
