"""Pronunciation lexicons: Kaldi's lexicon.txt, read, checked, completed and written.

A lexicon is a dict from a word to its pronunciations, each a tuple of phones. One line of the file
is one pronunciation, `WORD PHONE PHONE ...`; a word may have several lines, and dictionaries that
number them, `read`, `read(2)`, mean the same. Probabilities stand between word and phones, in files
of another name (probabilities.py).

**Silence phones** are those of silence and noise. The first of them is the optional silence, which
may come between any two words (compose.py) and so is no word's. The others are whole words, such as
`[laughter] LAU`, and no part of any.

**Words without an entry** can stand as one word, `<unk>`, that has a phone of its own, mostly one
of noise. Or they can be pronounced by their letters. Such phones are named `g_A`, `g_B`, ... so
that they never mix with a lexicon's own phones (CMUdict, too, has a phone called B).
"""

from __future__ import annotations

import logging
import math
import re
import unicodedata
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.bounds import Bounds
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file

log = logging.getLogger(__name__)

SILENCE = "SIL"
SILENCES = (
    SILENCE,
)  # the silence phones where nothing else is said; the first is the optional one
UNKNOWN = "<unk>"
EPSILON = "<eps>"
GRAPHEME_PREFIX = "g_"
NAMED = 5  # how many words a message names before it says "and N more"

Pronunciation = tuple[str, ...]
Lexicon = dict[str, list[Pronunciation]]
Entry = tuple[str, Pronunciation]
Numbers = dict[Entry, tuple[float, ...]]

_RESERVED_WORDS = {EPSILON, "<s>", "</s>"}
_DISAMBIGUATION = re.compile(r"#\d+")
_PROBABILITY = re.compile(r"[0-9]*\.[0-9]+([eE][-+]?[0-9]+)?")
_VARIANT = re.compile(r"(.+)\([0-9]\)")


def read_lexicon(
    path: Path | str, silences: Sequence[str] = SILENCES, variants: bool = True
) -> Lexicon:
    """Reads `path`; pronunciations given twice are kept once, and counted in the log.

    Args:
        silences: the silence phones, the optional one first.
        variants: whether `word(2)` is another pronunciation of `word`.

    Raises:
        UserError: no such file, not UTF-8, no entries, or a bad line (named by file and number).
    """
    return read_entries(path, (), silences, variants)[0]


def read_entries(
    path: Path | str,
    columns: Sequence[Bounds],
    silences: Sequence[str] = SILENCES,
    variants: bool = True,
    left_out: Collection[Pronunciation] = (),
) -> tuple[Lexicon, Numbers]:
    """The same of a file with numbers between word and phones, and those numbers by entry.

    Args:
        columns: what each number may be.
        left_out: pronunciations whose lines do not count.
    """
    path = Path(path)
    try:
        lines = texts.lines(path)
    except FileNotFoundError:
        raise UserError(f"lexicon {path} does not exist; wanted lines of WORD PHONE ...") from None
    except OSError as error:
        raise UserError(f"lexicon {path} cannot be read: {error.strerror}") from None
    lexicon: Lexicon = {}
    numbers: Numbers = {}
    duplicates = numbered = 0
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        where, word = f"{path}:{number}", fields[0]
        values = _numbers(fields[1:], columns, where)
        pronunciation = tuple(fields[1 + len(columns) :])
        if pronunciation in left_out:
            log.info("%s: %s is left out: it stands for the optional silence", where, word)
            continue
        if variants and (variant := _VARIANT.fullmatch(word)):
            word = variant[1]
            numbered += 1
        check_entry(word, pronunciation, where, silences, bool(columns))
        if (word, pronunciation) in numbers:
            duplicates += 1
            continue
        lexicon.setdefault(word, []).append(pronunciation)
        numbers[word, pronunciation] = values
    if not lexicon:
        raise UserError(f"lexicon {path} has no entries; wanted lines of WORD PHONE PHONE ...")
    if numbered:
        log.info("%s: %d lines of the kind word(2) are pronunciations of word", path, numbered)
    if duplicates:
        log.warning("%s: %d pronunciations came twice and are kept once", path, duplicates)
    return lexicon, numbers


def _numbers(fields: Sequence[str], columns: Sequence[Bounds], where: str) -> tuple[float, ...]:
    values = []
    for place, bounds in enumerate(columns):
        found = fields[place] if place < len(fields) else "the end of the line"
        try:
            value = math.nan if "_" in found else float(found)
        except ValueError:
            value = math.nan
        if not bounds.holds(value):
            raise UserError(
                f"{where}: number {place + 1} of the {len(columns)} behind the word is {found!r}; "
                f"wanted {bounds}"
            )
        values.append(value)
    return tuple(values)


def check_entry(
    word: str,
    pronunciation: Pronunciation,
    where: str,
    silences: Sequence[str] = SILENCES,
    numbered: bool = False,
) -> None:
    """Raises UserError, beginning with `where`, when this cannot be an entry of a lexicon."""
    symbols = (word, *pronunciation)
    if any(not symbol or len(symbol.split()) != 1 for symbol in symbols):
        raise UserError(f"{where}: a symbol of {symbols!r} is empty or holds white space")
    if word in _RESERVED_WORDS or _DISAMBIGUATION.fullmatch(word):
        raise UserError(f"{where}: {word!r} is reserved and cannot be a word; remove the line")
    if not pronunciation:
        raise UserError(f"{where}: {word!r} has no pronunciation; wanted WORD PHONE PHONE ...")
    if _PROBABILITY.fullmatch(pronunciation[0]) and not numbered:
        raise UserError(
            f"{where}: {pronunciation[0]!r} looks like a probability; wanted Kaldi's lexicon.txt "
            "(WORD PHONE ...); one with probabilities is called lexiconp.txt or "
            "lexiconp_silprob.txt"
        )
    for phone in pronunciation:
        if phone == EPSILON or _DISAMBIGUATION.fullmatch(phone):
            raise UserError(f"{where}: {phone!r} is reserved and cannot be a phone")
        if phone == silences[0]:
            raise UserError(
                f"{where}: {word!r} contains the silence phone {phone}, which may come "
                "between any two words already; remove the line or name the phone differently"
            )
        if phone in silences and len(pronunciation) > 1:
            raise UserError(
                f"{where}: {word!r} contains the silence phone {phone}, which can only be a word "
                "of its own; remove it there or name the phone differently"
            )


def write_lexicon(lexicon: Lexicon, path: Path | str) -> None:
    """Writes lexicon.txt with its words sorted; pronunciations keep their order."""
    with atomic_file(path) as stream:
        for word in sorted(lexicon):
            for pronunciation in lexicon[word]:
                stream.write(" ".join((word, *pronunciation)) + "\n")


def merge(lexicon: Lexicon, extra: Lexicon) -> Lexicon:
    """The words of both; where both have a word, the pronunciations of `extra` win."""
    return {**lexicon, **extra}


def missing_words(counts: Mapping[str, int], lexicon: Lexicon) -> dict[str, int]:
    """The words of a text (word -> how often) without an entry, most frequent first."""
    absent = [word for word in counts if word not in lexicon]
    return {word: counts[word] for word in sorted(absent, key=lambda w: (-counts[w], w))}


def graphemes(word: str) -> Pronunciation:
    """The letters of a word as phones: `it's` -> g_I g_T g_S; () when it has none.

    Letters are upper-cased (NFC first). A combining mark that no letter absorbs is a phone of its
    own (Indic vowel signs); digits, punctuation and symbols are dropped.
    """
    letters = unicodedata.normalize("NFC", word).upper()
    return tuple(GRAPHEME_PREFIX + c for c in letters if unicodedata.category(c)[0] in "LM")


def add_missing(
    lexicon: Lexicon,
    counts: Mapping[str, int],
    oov: str,
    unknown: str = UNKNOWN,
    called: str = "the lexicon",
) -> Lexicon:
    """The lexicon with what it takes to pronounce every word of `counts`.

    Args:
        counts: the words of the text and how often they come.
        oov: what to do about missing words: "error", "graphemes" (every one is logged), or "unk"
            (they stand as `unknown`, which the lexicon must have).
        called: what a message calls the lexicon.

    Raises:
        UserError: words are missing and oov is "error", a word has no letters, or no `unknown`.
    """
    missing = missing_words(counts, lexicon)
    if oov == "unk" and unknown not in lexicon:
        raise UserError(
            f"{called} has no word {unknown} for --oov unk; add a line {unknown} PHONE, the "
            "phone best one of noise, or say by --unk WORD what it is called"
        )
    if not missing:
        return lexicon
    if oov == "unk":
        log.warning(
            "%d words of the text, together %d times, are not in the lexicon and stand as %s: %s",
            len(missing), sum(missing.values()), unknown, name_words(missing),
        )  # fmt: skip
        return lexicon
    if oov != "graphemes":
        raise UserError(
            f"{len(missing)} words of the text are not in the lexicon: {name_words(missing, 20)}; "
            "give them pronunciations in a file of your own (--extra-lexicon FILE), have them "
            "pronounced by their letters (--oov graphemes) or stand as <unk> (--oov unk)"
        )
    added: Lexicon = {word: [graphemes(word)] for word in missing}
    silent = {word: missing[word] for word in added if not added[word][0]}
    if silent:
        raise UserError(
            f"{len(silent)} words are not in the lexicon and have no letters to be pronounced by: "
            f"{name_words(silent)}; write them out in the text or give --extra-lexicon FILE"
        )
    log.warning("%d words of the text are not in the lexicon; by their letters:", len(missing))
    for word, count in missing.items():
        check_entry(word, added[word][0], "the text")
        log.warning("  %s (%d times): %s", word, count, " ".join(added[word][0]))
    return merge(lexicon, added)


def name_words(counts: Mapping[str, int], limit: int = NAMED) -> str:
    """`a (3 times), b (1 time) and 7 more`, for messages."""
    names = [
        f"{word!r} ({count} time{'' if count == 1 else 's'})"
        for word, count in list(counts.items())[:limit]
    ]
    more = len(counts) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def phones_of(lexicon: Lexicon) -> list[str]:
    """The phones in use, sorted; the optional silence is none of them."""
    return sorted({p for prons in lexicon.values() for pron in prons for p in pron})


def known_words(words: Sequence[str], lexicon: Container[str], unknown: str | None) -> list[str]:
    """The words as the lexicon knows them: those that it lacks as `unknown`, if there is one."""
    return [unknown if unknown and word not in lexicon else word for word in words]


def count_words(sentences: Iterable[list[str]]) -> dict[str, int]:
    """How often each word comes."""
    counts: dict[str, int] = {}
    for words in sentences:
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    return counts
