r"""G: the grammar, from transcripts, from a user's own ARPA file, or a uniform loop over the words.

Transcripts become an interpolated modified Kneser-Ney model, as `chainstitch lm train` makes it
(chainstitch.utils.lm).

kaldilm turns ARPA into an FST. It aborts the whole process on bad input, so it gets its own.
"""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chainstitch.utils import text as texts
from chainstitch.utils.errors import UserError
from chainstitch.utils.lang.compose import BACKOFF, read_fst
from chainstitch.utils.lang.lexicon import EPSILON, NAMED
from chainstitch.utils.lm.arpa_check import copy_checked
from chainstitch.utils.lm.training import train

log = logging.getLogger(__name__)

Grammar = Callable[[Path, Mapping[str, int]], Any]  # (path of words.txt, its content) -> G

SPECIAL = {EPSILON, BACKOFF, "<s>", "</s>"}
UNKNOWN = {"<unk>", "<UNK>", "[UNK]"}


def from_text(sentences: Iterable[Sequence[str]], order: int = 3) -> Grammar:
    """The grammar of `write_lang` that is estimated from sentences by `estimate`."""
    kept = [" ".join(words) for words in sentences]  # lists of words take six times as much

    def grammar(words_txt: Path, words: Mapping[str, int]) -> Any:
        with tempfile.TemporaryDirectory(prefix="chainstitch-") as scratch:
            arpa = estimate(map(str.split, kept), order, Path(scratch) / "arpa")
            return arpa_fst(arpa, words_txt, words, "the language model estimated from the text")

    return grammar


def from_arpa(arpa: Path | str) -> Grammar:
    """The grammar of `write_lang` that a user's own ARPA file holds."""
    return lambda words_txt, words: arpa_fst(arpa, words_txt, words)


def from_words() -> Grammar:
    """The grammar of `write_lang` that is a uniform loop over all words."""
    return lambda _, words: uniform(words)


def estimate(sentences: Iterable[Sequence[str]], order: int, arpa: Path) -> Path:
    """Writes the ARPA file of a Kneser-Ney model of these sentences; returns where it is.

    Raises:
        UserError: there are no words.
    """
    text = arpa.with_name(arpa.name + ".text")
    text.write_text("".join(" ".join(words) + "\n" for words in sentences), encoding="utf-8")
    if not text.read_bytes().strip():
        raise UserError("the LM's text holds no words; give --text a set with transcripts")
    train([text], arpa, order)
    text.unlink()
    return arpa


def uniform(words: Mapping[str, int]) -> Any:
    """One state that says any of the W words or stops, each with probability 1 / (W + 1).

    Args:
        words: words.txt; its special symbols are left out.
    """
    import kaldifst

    labels = [label for word, label in words.items() if word not in SPECIAL]
    cost = math.log(len(labels) + 1)
    g = kaldifst.StdVectorFst()
    g.start = g.add_state()
    g.set_final(g.start, cost)
    for label in labels:
        g.add_arc(g.start, kaldifst.StdArc(label, label, cost, g.start))
    return g


def arpa_fst(
    arpa: Path | str, words_txt: Path | str, words: Mapping[str, int], called: str = ""
) -> Any:
    """G of an ARPA file (`.gz` or plain, any line endings), `#0` as input label of back-off arcs.

    N-grams with a word that is not in `words` are dropped; such words are counted, and the first
    few named, in the log.

    Args:
        arpa: the file.
        words_txt: the symbol table that `words` was read from.
        called: what messages call it, if that is not its path.

    Raises:
        UserError: no such file, not an ARPA file (lm/arpa_check.py), or none of its words is in
            `words`.
    """
    called = called or f"language model {arpa}"
    with tempfile.TemporaryDirectory(prefix="chainstitch-") as scratch:
        plain, table, fst = (Path(scratch) / name for name in ("arpa", "table", "fst"))
        copy_checked(arpa, plain, called)
        _arpa2fst(called, plain, f"--write-symbol-table={table}", "--max-order=1")
        listed = [line.split("\t")[0] for line in texts.lines(table)]
        check_vocabulary(called, [word for word in listed if word not in SPECIAL], words)
        _arpa2fst(called, plain, f"--read-symbol-table={words_txt}", "--max-arpa-warnings=0", fst)
        if not fst.is_file():
            raise UserError(f"{called}: kaldilm made no grammar of it")
        return read_fst(fst)


def _arpa2fst(called: str, plain: Path, *arguments: Path | str) -> None:
    options = [str(a) for a in arguments if isinstance(a, str)]
    files = [str(plain), *(str(a) for a in arguments if isinstance(a, Path))]
    command = [sys.executable, "-m", "kaldilm", "--disambig-symbol=" + BACKOFF, *options, *files]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode != 0:
        said = done.stderr.decode(errors="backslashreplace").strip()
        complaints = [line for line in said.split("\n") if line.startswith("[E]")]
        reason = complaints[-1][3:].strip() if complaints else said[-200:]
        reason = reason.replace(str(plain), called)  # it read a copy, which is gone
        raise UserError(f"{called} is not a good ARPA file: {reason}")


def check_vocabulary(called: str, listed: list[str], words: Mapping[str, int]) -> None:
    """Says which of a model's words are not in the lexicon, and how many of those it lacks.

    Raises:
        UserError: none of its words is there.
    """
    foreign = [word for word in listed if word not in words and word not in UNKNOWN]
    known = [word for word in listed if word in words]
    if not known:
        raise UserError(
            f"{called}: none of its {len(listed)} words is in the lexicon (the first: "
            f"{', '.join(listed[:NAMED])}); words are compared as written: upper and lower case?"
        )
    if foreign:
        log.warning(
            "%s: %d of its %d words are not in the lexicon; their n-grams are dropped (first: %s)",
            called,
            len(foreign),
            len(listed),
            ", ".join(foreign[:NAMED]),
        )
    silent = len([word for word in words if word not in SPECIAL]) - len(known)
    if silent:
        log.warning("%s lacks %d words of the lexicon: they cannot be recognised", called, silent)
