"""The lang directory: symbol tables, lexicon, L, G and topology.

Written once by `chainstitch lang`, read by all later stages:

    words.txt phones.txt        Kaldi symbol tables (real phones are 1..P, silences come first)
    silence_phones.txt          the silence phones; the first, phone 1, is the optional one
    lexicon.txt                 the pronunciations in use, without disambiguation symbols
    L.fst L_disambig.fst G.fst  see compose.py and ngram.py
    topo                        which pdfs each phone has

and, where the lexicon has them (probabilities.py) or words may stand as unknown,

    lexiconp.txt lexiconp_silprob.txt silprob.txt    the probabilities
    oov.txt                                          the word that unknown words stand as

Directories made before there were several silence phones have no silence_phones.txt: theirs is SIL.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from chainstitch.utils import text as texts
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_directory
from chainstitch.utils.hmm import topology
from chainstitch.utils.hmm.phone_graph import LexiconWeights
from chainstitch.utils.lang import compose
from chainstitch.utils.lang.dictionary import (
    SILENCE_PHONES,
    read_phones,
    read_probabilities,
    write_phones,
)
from chainstitch.utils.lang.lexicon import (
    SILENCES,
    Entry,
    Lexicon,
    known_words,
    read_lexicon,
    write_lexicon,
)
from chainstitch.utils.lang.ngram import Grammar
from chainstitch.utils.lang.probabilities import (
    EVEN,
    LEXICONP_SILPROB,
    Probabilities,
    write_probabilities,
)

WORDS, PHONES, OOV = "words.txt", "phones.txt", "oov.txt"
FILES = (WORDS, PHONES, "lexicon.txt", "L.fst", "L_disambig.fst", "G.fst", "topo")


@dataclass(frozen=True)
class Lang:
    """A lang directory in memory; its FSTs are read when asked for.

    Attributes:
        words, phones: symbol -> id, as in words.txt and phones.txt.
        lexicon: word -> pronunciations (tuples of phone names).
        silences: the silence phones, the optional one, phone 1, first.
        probabilities: of the lexicon.
        unknown: the word that words outside the lexicon stand as; None: they are an error.
    """

    path: Path
    words: dict[str, int]
    phones: dict[str, int]
    lexicon: Lexicon
    silences: tuple[str, ...] = SILENCES
    probabilities: Probabilities = EVEN
    unknown: str | None = None

    @cached_property
    def num_phones(self) -> int:
        """P: the real phones are 1..P, silence (1) among them."""
        return len(self.phone_names)

    @cached_property
    def phone_names(self) -> list[str]:
        """The names of the real phones 1..P."""
        return real_phones(self.phones)

    @property
    def silence(self) -> int:
        """The number of the optional silence."""
        return self.phones[self.silences[0]]

    @cached_property
    def weights(self) -> LexiconWeights:
        """The probabilities' logarithms, for phone graphs."""
        return self.probabilities.weights(self.phones)

    def known(self, words: Sequence[str]) -> list[str]:
        """The words as they stand in transcripts: those outside the lexicon as `unknown`."""
        return known_words(words, self.lexicon, self.unknown)

    @cached_property
    def disambiguation(self) -> list[int]:
        """The ids of `#0`, `#1`, ... in phones.txt."""
        return [n for phone, n in self.phones.items() if _is_disambiguation(phone)]

    @cached_property
    def pronunciations(self) -> dict[int, list[tuple[int, ...]]]:
        """Word id -> pronunciations in phone ids."""
        return {
            self.words[word]: [tuple(self.phones[p] for p in pron) for pron in prons]
            for word, prons in self.lexicon.items()
        }

    @cached_property
    def pronunciations_of(self) -> dict[str, list[tuple[int, ...]]]:
        """The same by word; of the lexicon's words only."""
        return {word: self.pronunciations[self.words[word]] for word in self.lexicon}

    def fst(self, name: str) -> Any:
        """`L.fst`, `L_disambig.fst` or `G.fst` as a `kaldifst.StdVectorFst`."""
        return compose.read_fst(self.path / name)


def read_lang(path: Path | str) -> Lang:
    """Reads a directory that `write_lang` wrote.

    Raises:
        UsageError: it is not a lang directory.
        UserError: its tables are damaged or do not fit together.
    """
    path = Path(path)
    absent = [name for name in FILES if not (path / name).is_file()]
    if absent:
        raise UsageError(
            f"{path} has no {absent[0]}; give a directory that `chainstitch lang` wrote"
        )
    words, phones = read_table(path / WORDS), read_table(path / PHONES)
    named = (path / SILENCE_PHONES).exists()
    silences = read_phones(path / SILENCE_PHONES) if named else SILENCES
    lexicon = read_lexicon(path / "lexicon.txt", silences, variants=False)
    strange = [w for w in lexicon if w not in words] + [
        p for prons in lexicon.values() for pron in prons for p in pron if p not in phones
    ]
    real = [n for phone, n in phones.items() if n > 0 and not _is_disambiguation(phone)]
    first = [phones.get(phone) for phone in silences]
    wanted = list(range(1, len(real) + 1))
    if strange or sorted(real) != wanted or first != wanted[: len(first)]:
        order = ", ".join(f"{phone} = {n}" for n, phone in enumerate(silences, 1))
        reason = f"{strange[0]!r} has no number" if strange else f"phones are not {order}, ..."
        raise UserError(f"{path}: its tables do not agree ({reason}); run `chainstitch lang`")
    probabilities = EVEN
    if (path / LEXICONP_SILPROB).exists():
        found, probabilities = read_probabilities(path, silences, variants=False)
        if {w: sorted(p) for w, p in found.items()} != {w: sorted(p) for w, p in lexicon.items()}:
            raise UserError(
                f"{path}: {LEXICONP_SILPROB} and lexicon.txt have other pronunciations; run "
                "`chainstitch lang`"
            )
    unknown = None
    if (path / OOV).exists():
        unknown = " ".join(texts.lines(path / OOV)).strip()
        if unknown not in lexicon:
            raise UserError(
                f"{path / OOV}:1: {unknown!r} is no word of lexicon.txt; run `chainstitch lang`"
            )
    return Lang(path, words, phones, lexicon, silences, probabilities, unknown)


def check_phones(lang: Lang, wanted: Sequence[str], source: Path | str, remedy: str) -> None:
    """That phones 1..P of `lang` are those that `source` was made with: pdfs are numbered by them.

    Raises:
        UserError: they differ; names the first difference and gives the remedy.
    """
    pairs = itertools.zip_longest(wanted, lang.phone_names, fillvalue="nothing")
    for number, (theirs, ours) in enumerate(pairs, 1):
        if theirs != ours:
            raise UserError(
                f"{source} was made with {len(wanted)} phones, {lang.path} has {lang.num_phones}; "
                f"phone {number} is {theirs} in the one, {ours} in the other; {remedy}"
            )


def write_lang(
    out: Path | str,
    lexicon: Lexicon,
    grammar: Grammar,
    overwrite: bool = False,
    silences: Sequence[str] = SILENCES,
    probabilities: Probabilities = EVEN,
    unknown: str | None = None,
) -> Lang:
    """Writes a lang directory, whole or not at all.

    Args:
        grammar: makes G; see `ngram.from_text`, `from_arpa` and `from_words`.
        silences, probabilities, unknown: as of `Lang`.

    Raises:
        UsageError: `out` exists and `overwrite` is false.
        UserError: from `grammar`; `out` is then as it was.
    """
    marked, highest = compose.disambiguate(lexicon)
    words = compose.word_table(lexicon)
    phones = compose.phone_table(lexicon, highest + 1, silences)  # the last one is silence's
    plain = [(word, pron) for word in sorted(lexicon) for pron in lexicon[word]]
    behind = f"#{highest + 1}"

    def l_fst(entries: Sequence[Entry], disambiguation: str | None = None) -> Any:
        return compose.lexicon_fst(
            entries, words, phones, probabilities, silences[0], disambiguation
        )

    with atomic_directory(out, "lang", overwrite) as directory:
        write_table(words, directory / "words.txt")
        write_table(phones, directory / "phones.txt")
        write_lexicon(lexicon, directory / "lexicon.txt")
        write_phones(directory / SILENCE_PHONES, silences)
        if probabilities != EVEN:
            write_probabilities(directory, lexicon, probabilities)
        if unknown is not None:
            (directory / OOV).write_text(f"{unknown}\n", encoding="utf-8")
        fsts = {
            "L.fst": l_fst(plain),
            "L_disambig.fst": l_fst(marked, behind),
            "G.fst": grammar(directory / "words.txt", words),
        }
        for name, fst in fsts.items():
            compose.write_fst(fst, directory / name)
        num_phones = len(phones) - 1 - (highest + 2)
        (directory / "topo").write_text(topology.describe(num_phones), encoding="utf-8")
    return read_lang(out)


def write_table(table: Mapping[str, int], path: Path) -> None:
    """Writes a symbol table, `symbol id` lines."""
    path.write_text("".join(f"{s} {n}\n" for s, n in table.items()), encoding="utf-8")


# of a symbol, in 32 bits, signed, as OpenFst has labels: less than 2 ** 31, so at most nine digits
_NUMBER = re.compile("[0-9]{1,9}")


def read_table(path: Path) -> dict[str, int]:
    """Reads a symbol table.

    Raises:
        UserError: a line is not `symbol id` or not UTF-8, or a symbol or id comes twice.
    """
    table: dict[str, int] = {}
    for number, line in texts.numbered(path):
        fields = line.split()
        if len(fields) != 2 or not _NUMBER.fullmatch(fields[1]) or fields[0] in table:
            raise UserError(f"{path}:{number}: wanted a new symbol and its number, found {line!r}")
        table[fields[0]] = int(fields[1])
    if len(set(table.values())) != len(table) or table.get("<eps>") != 0:
        raise UserError(f"{path}: two symbols have one number, or <eps> is not 0")
    return table


def real_phones(table: Mapping[str, int]) -> list[str]:
    """The phones of a phones.txt in the order of their numbers, without epsilon and `#0`, ..."""
    phones = [phone for phone, n in table.items() if n > 0 and not _is_disambiguation(phone)]
    return sorted(phones, key=table.__getitem__)


def _is_disambiguation(symbol: str) -> bool:
    return re.fullmatch(r"#\d+", symbol) is not None
