"""Pronunciation lexicons: Kaldi's lexicon.txt, read, checked, completed and written.

A lexicon is a dict from a word to its pronunciations, each a tuple of phones. One line of the file
is one pronunciation, `WORD PHONE PHONE ...`; a word may have several lines. There are no
probabilities, and silence is no word's: it comes between words, see compose.py.

A word without an entry can be pronounced by its letters. Such phones are named `g_A`, `g_B`, ... so
that they never mix with a lexicon's own phones (CMUdict, too, has a phone called B).
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file

log = logging.getLogger(__name__)

SILENCE = "SIL"
EPSILON = "<eps>"
GRAPHEME_PREFIX = "g_"
NAMED = 5  # how many words a message names before it says "and N more"

Pronunciation = tuple[str, ...]
Lexicon = dict[str, list[Pronunciation]]

_RESERVED_WORDS = {EPSILON, "<s>", "</s>"}
_DISAMBIGUATION = re.compile(r"#\d+")
_PROBABILITY = re.compile(r"[0-9]*\.[0-9]+([eE][-+]?[0-9]+)?")


def read_lexicon(path: Path | str) -> Lexicon:
    """Reads `path`; pronunciations given twice are kept once, and counted in the log.

    Raises:
        UserError: no such file, not UTF-8, no entries, or a bad line (named by file and number).
    """
    path = Path(path)
    try:
        lines = texts.lines(path)
    except FileNotFoundError:
        raise UserError(f"lexicon {path} does not exist; wanted lines of WORD PHONE ...") from None
    except OSError as error:
        raise UserError(f"lexicon {path} cannot be read: {error.strerror}") from None
    lexicon: Lexicon = {}
    duplicates = 0
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        word, pronunciation = fields[0], tuple(fields[1:])
        check_entry(word, pronunciation, f"{path}:{number}")
        known = lexicon.setdefault(word, [])
        if pronunciation in known:
            duplicates += 1
        else:
            known.append(pronunciation)
    if not lexicon:
        raise UserError(f"lexicon {path} has no entries; wanted lines of WORD PHONE PHONE ...")
    if duplicates:
        log.warning("%s: %d pronunciations came twice and are kept once", path, duplicates)
    return lexicon


def check_entry(word: str, pronunciation: Pronunciation, where: str) -> None:
    """Raises UserError, beginning with `where`, when this cannot be an entry of a lexicon."""
    symbols = (word, *pronunciation)
    if any(not symbol or len(symbol.split()) != 1 for symbol in symbols):
        raise UserError(f"{where}: a symbol of {symbols!r} is empty or holds white space")
    if word in _RESERVED_WORDS or _DISAMBIGUATION.fullmatch(word):
        raise UserError(f"{where}: {word!r} is reserved and cannot be a word; remove the line")
    if not pronunciation:
        raise UserError(f"{where}: {word!r} has no pronunciation; wanted WORD PHONE PHONE ...")
    if _PROBABILITY.fullmatch(pronunciation[0]):
        raise UserError(
            f"{where}: {pronunciation[0]!r} looks like a probability; wanted Kaldi's lexicon.txt "
            "(WORD PHONE ...), not lexiconp.txt"
        )
    for phone in pronunciation:
        if phone == EPSILON or _DISAMBIGUATION.fullmatch(phone):
            raise UserError(f"{where}: {phone!r} is reserved and cannot be a phone")
        if phone == SILENCE:
            raise UserError(
                f"{where}: {word!r} contains the silence phone {SILENCE}, which may come "
                "between any two words already; remove the line or name the phone differently"
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


def add_missing(lexicon: Lexicon, counts: Mapping[str, int], oov: str) -> Lexicon:
    """The lexicon with an entry for every word of `counts`.

    Args:
        counts: the words of the text and how often they come.
        oov: what to do about missing words: "error", or "graphemes" (every one is logged).

    Raises:
        UserError: words are missing and oov is "error", or a word has no letters.
    """
    missing = missing_words(counts, lexicon)
    if not missing:
        return lexicon
    if oov != "graphemes":
        raise UserError(
            f"{len(missing)} words of the text are not in the lexicon: {name_words(missing, 20)}; "
            "give them pronunciations in a file of your own (--extra-lexicon FILE) or have them "
            "pronounced by their letters (--oov graphemes)"
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
    """The phones in use, sorted, without silence."""
    return sorted({p for prons in lexicon.values() for pron in prons for p in pron})


def count_words(sentences: Iterable[list[str]]) -> dict[str, int]:
    """How often each word comes."""
    counts: dict[str, int] = {}
    for words in sentences:
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    return counts
