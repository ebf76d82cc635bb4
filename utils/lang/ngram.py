r"""G: the grammar, from transcripts, from a user's own ARPA file, or a uniform loop over the words.

Transcripts become a Kneser-Ney model by kaldingram (SRILM's `-ukndiscount`, no cut-offs):

    f(w | h) = (c(h w) - D) / c(h)    for what was seen; D = n1 / (n1 + 2 n2), per order,    (1)
    b(h) = (1 - sum_seen f(w | h)) / (1 - sum_seen f(w | h'))                                (2)

where h' is h without its first word. `chainstitch lm train` is better, and faster: interpolated and
with three discounts (chainstitch.utils.lm) its perplexity is 6 to 13 % lower on 50 to 20,000
sentences of the Penn Treebank (trigrams). This stays for `lang --text` as long as the results of
the recipes that use it were made with it.

Two cases of small texts, which it leaves to the user:
 * n2 = 0 (nothing was seen exactly twice) makes D = 1, and what was seen once gets probability 0.
   Then the next lower order is taken, and the log says so.
 * After h everything was seen that h' knows: both sums of (2) leave nothing, and b would be noise
   divided by noise. Then f(. | h) is scaled to sum to one and b is 1e-99, as SRILM does.

kaldilm turns ARPA into an FST. It aborts the whole process on bad input, so it gets its own.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chainstitch.utils import text as texts
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.lang.compose import BACKOFF, read_fst
from chainstitch.utils.lang.lexicon import EPSILON, NAMED
from chainstitch.utils.lm.arpa_check import copy_checked

log = logging.getLogger(__name__)

Grammar = Callable[[Path, Mapping[str, int]], Any]  # (path of words.txt, its content) -> G

SPECIAL = {EPSILON, BACKOFF, "<s>", "</s>"}
UNKNOWN = {"<unk>", "<UNK>", "[UNK]"}
SATURATED = 1e-6  # of (2)'s denominator; a true one is at least one count in all counts
NEVER = 1e-99


def from_text(sentences: Iterable[Sequence[str]], order: int = 3) -> Grammar:
    """The grammar of `write_lang` that is estimated from sentences by `kneser_ney`."""
    arpa = kneser_ney(sentences, order)

    def grammar(words_txt: Path, words: Mapping[str, int]) -> Any:
        with tempfile.TemporaryDirectory(prefix="chainstitch-") as scratch:
            path = Path(scratch) / "arpa"
            path.write_text(arpa, encoding="utf-8")
            return arpa_fst(path, words_txt, words, "the language model estimated from the text")

    return grammar


def from_arpa(arpa: Path | str) -> Grammar:
    """The grammar of `write_lang` that a user's own ARPA file holds."""
    return lambda words_txt, words: arpa_fst(arpa, words_txt, words)


def from_words() -> Grammar:
    """The grammar of `write_lang` that is a uniform loop over all words."""
    return lambda _, words: uniform(words)


def kneser_ney(sentences: Iterable[Sequence[str]], order: int = 3) -> str:
    """The ARPA text of a back-off Kneser-Ney model of these sentences.

    Sentences without words are skipped. When an order's discount cannot be estimated, a lower order
    is used and logged; order 1 is the relative frequency.

    Raises:
        UsageError: order is not 1 to 5.
        UserError: there are no words.
    """
    if not 1 <= order <= 5:
        raise UsageError(f"--ngram-order is {order}; wanted 1 to 5")
    text = [" ".join(words) for words in sentences if words]
    if not text:
        raise UserError("the LM's text holds no words; give --text a set with transcripts")
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        model = _discounted(text, order)
        model.cal_f()
        saturated = _close_saturated(model)
        model.cal_bow()
        for history in saturated:
            model.counts[len(history) - 1][history[:-1]].word_to_bow[history[-1]] = NEVER
        stream = io.StringIO()
        model.print_as_arpa(stream)
    if model.ngram_order < order:
        log.warning(
            "no %d-gram of the text's %d sentences was seen exactly twice, so Kneser-Ney has no "
            "discount for it; using order %d instead of %d",
            model.ngram_order + 1,
            len(text),
            model.ngram_order,
            order,
        )
    log.info("order-%d Kneser-Ney model of %d sentences", model.ngram_order, len(text))
    return stream.getvalue()


def _discounted(text: Sequence[str], order: int) -> Any:
    """Counts and discounts of the highest order up to `order` whose discounts are all below 1."""
    model = _count(text, order)
    model.cal_discounting_constants()
    failed = [n + 1 for n, discount in enumerate(model.d) if discount >= 1.0]
    return _discounted(text, failed[0] - 1) if failed else model


def _count(text: Sequence[str], order: int) -> Any:
    from kaldingram import train

    model = train.NgramCounts(order)
    for line in text:
        model.add_raw_counts_from_line(line)
    if order == 1:  # <s> is counted like a word that could be said
        start = model.counts[0][()]
        start.total_count -= start.word_to_count["<s>"]
        start.word_to_count["<s>"] = 0
    return model


def _close_saturated(model: Any) -> list[tuple[str, ...]]:
    """Scales f(. | h) to one where (2) has no denominator; returns those h."""
    closed = []
    for length in range(1, model.ngram_order):
        for history, counts in model.counts[length].items():
            lower = model.counts[length - 1][history[1:]].word_to_f
            if 1.0 - math.fsum(lower[word] for word in counts.word_to_f) < SATURATED:
                total = math.fsum(counts.word_to_f.values())
                counts.word_to_f = {w: f / total for w, f in counts.word_to_f.items()}
                closed.append(history)
    return closed


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
