r"""L and HLG: from a lexicon and a grammar to the graph that is searched.

    L    phones -> words, silence optional at the start and after every word, with the
         probabilities of the lexicon
    G    words -> words, the grammar (ngram.py)
    H    pdfs -> phones, the topology (chainstitch.utils.hmm.topology.hmm_fst)
    HLG  = H o min(det(L_disambig o G))

L o G can be determinised only when every pronunciation tells its word: L_disambig ends the
pronunciations that are shared by two words, or that begin another one, with `#1`, `#2`, ..., and
the optional silence with a symbol of its own. `#0` on G's back-off arcs passes L by a self-loop. H
turns them all into epsilon. Kaldi's `make_lexicon_fst.py`, `add_lex_disambig.pl` and `mkgraph.sh`
do the same; kaldifst does the work.

**L** has the probabilities of probabilities.py as Kaldi's `make_lexicon_fst_silprob.py` has them. A
word begins in one of two states, behind a silence or behind speech, and its end chooses one:

    start  -> speech    1 - P(s|<s>)           start  -> hush    P(s|<s>)
    speech -> word      p F(n|w)               silent -> word    p F(s|w)
    word   -> speech    1 - P(s|w)             word   -> hush    P(s|w)
    speech ends         F(n|</s>)              silent ends       F(s|</s>)
    hush   -> silent    the silence phone

Where no F tells them apart, as in a lexicon without probabilities, both are one state.
"""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chainstitch.utils.errors import UserError
from chainstitch.utils.lang.fst_check import read_checked
from chainstitch.utils.lang.lexicon import (
    EPSILON,
    SILENCES,
    Entry,
    Lexicon,
    Pronunciation,
    phones_of,
)
from chainstitch.utils.lang.probabilities import EVEN, Probabilities

log = logging.getLogger(__name__)

BACKOFF = "#0"


def disambiguate(lexicon: Lexicon) -> tuple[list[Entry], int]:
    """The entries with disambiguation symbols where they are needed, and the highest one's number.

    A pronunciation gets the next unused of `#1`, `#2`, ... when it is a proper prefix of another or
    belongs to several words; then, too, the symbols tell those words apart.
    """
    entries = [(word, pron) for word in sorted(lexicon) for pron in lexicon[word]]
    shared = Counter(pron for _, pron in entries)
    prefixes = {pron[:n] for _, pron in entries for n in range(1, len(pron))}
    used: Counter[Pronunciation] = Counter()
    marked = []
    for word, pron in entries:
        if shared[pron] > 1 or pron in prefixes:
            used[pron] += 1
            pron = (*pron, f"#{used[pron]}")
        marked.append((word, pron))
    return marked, max(used.values(), default=0)


def word_table(lexicon: Lexicon) -> dict[str, int]:
    """words.txt: `<eps>` 0, the words sorted by code point, then `#0`, `<s>` and `</s>`."""
    return _number([EPSILON, *sorted(lexicon), BACKOFF, "<s>", "</s>"])


def phone_table(
    lexicon: Lexicon, num_disambiguation: int, silences: Sequence[str] = SILENCES
) -> dict[str, int]:
    """phones.txt: `<eps>` 0, the silence phones from 1, the optional one first, the others sorted,
    then `#0` to `#<num_disambiguation>`."""
    spoken = [phone for phone in phones_of(lexicon) if phone not in silences]
    extra = [f"#{n}" for n in range(num_disambiguation + 1)]
    return _number([EPSILON, *silences, *spoken, *extra])


def lexicon_fst(
    entries: Iterable[Entry],
    words: Mapping[str, int],
    phones: Mapping[str, int],
    probabilities: Probabilities = EVEN,
    silence: str = SILENCES[0],
    silence_disambiguation: str | None = None,
) -> Any:
    """L as a `kaldifst.StdVectorFst`, sorted by output label.

    Args:
        entries: (word, phones, disambiguation symbols included).
        silence: the optional silence.
        silence_disambiguation: the symbol behind each silence; when given, `#0` passes as well.
    """
    import kaldifst

    start, speech, hush = 0, 1, 2
    states = 3
    arcs = _choice(start, speech, hush, 0, 0, probabilities.start, 0.0)
    silent = speech
    if not probabilities.forgetful:
        silent, states = states, states + 1
    if silence_disambiguation is None:
        arcs.append((hush, silent, phones[silence], 0, 0.0))
    else:
        arcs.append((hush, states, phones[silence], 0, 0.0))
        arcs.append((states, silent, phones[silence_disambiguation], 0, 0.0))
        arcs += [(s, s, phones[BACKOFF], words[BACKOFF], 0.0) for s in sorted({speech, silent})]
        states += 1
    for word, pronunciation in entries:
        of = probabilities.of(word, unmarked(pronunciation))
        first, *others = (phones[phone] for phone in pronunciation)
        begins = {speech: of.said * of.after_speech, silent: of.said * of.after_silence}
        if not others:
            for begin, p in begins.items():
                arcs += _choice(begin, speech, hush, first, words[word], of.silence, _cost(p))
            continue
        arcs += [(begin, states, first, words[word], _cost(p)) for begin, p in begins.items()]
        for phone in others[:-1]:
            arcs.append((states, states + 1, phone, 0, 0.0))
            states += 1
        arcs += _choice(states, speech, hush, others[-1], 0, of.silence, 0.0)
        states += 1
    ends = {speech: probabilities.end_speech, silent: probabilities.end_silence}
    lines = [f"{s} {d} {i} {o} {w!r}" for s, d, i, o, w in arcs]
    lines += [f"{state} {_cost(factor)!r}" for state, factor in ends.items()]
    fst = kaldifst.compile("\n".join(lines) + "\n")
    kaldifst.arcsort(fst, "olabel")
    return fst


def unmarked(pronunciation: Pronunciation) -> Pronunciation:
    """Without the disambiguation symbol behind it, if there is one."""
    return pronunciation[:-1] if re.fullmatch(r"#\d+", pronunciation[-1]) else pronunciation


def _choice(
    state: int, speech: int, hush: int, ilabel: int, olabel: int, silence: float, cost: float
) -> list[tuple[int, int, int, int, float]]:
    """Two arcs out of a state: to speech, and to where a silence has to be said."""
    arcs = ((speech, 1.0 - silence), (hush, silence))
    return [(state, to, ilabel, olabel, cost + _cost(p)) for to, p in arcs]


def _cost(probability: float) -> float:
    return 0.0 - math.log(probability)  # and no -0.0


def build_hlg(h: Any, l_disambig: Any, g: Any) -> Any:
    """The search graph, a `kaldifst.StdVectorFst`: input labels pdf + 1, output labels words.

    Args:
        h: from `hmm_fst(num_phones, disambig)`, with every disambiguation symbol of `l_disambig`.
        l_disambig: L with disambiguation symbols.
        g: the grammar; back-off arcs have `#0` as input label, other arcs their word on both sides.

    Raises:
        UserError: the graph is empty: no sentence of the grammar can be said with the lexicon; or
            it cannot be made deterministic.
    """
    import kaldifst

    lg = compose(l_disambig, g)
    try:
        kaldifst.determinize_star(lg, use_log=True)
    except RuntimeError:  # of one that is not functional
        raise UserError(
            "lexicon and grammar cannot be made into a deterministic graph: for one sequence of "
            "phones they have different words, which no disambiguation symbol tells apart; "
            "run `chainstitch lang` again"
        ) from None
    kaldifst.minimize_encoded(lg)
    log.info("LG: %d states, %d arcs", lg.num_states, num_arcs(lg))
    hlg = compose(h, lg)
    kaldifst.arcsort(hlg, "ilabel")
    log.info("HLG: %d states, %d arcs", hlg.num_states, num_arcs(hlg))
    if hlg.num_states == 0:
        raise UserError(
            "the decoding graph is empty: the grammar holds no sentence that the lexicon can "
            "pronounce; run `chainstitch lang` again with an LM that has the lexicon's words"
        )
    return hlg


def compose(left: Any, right: Any) -> Any:
    """left o right as a new `StdVectorFst`, trimmed; the arguments are left as they are."""
    import kaldifst

    left, right = kaldifst.StdVectorFst(left), kaldifst.StdVectorFst(right)
    kaldifst.arcsort(left, "olabel")
    kaldifst.arcsort(right, "ilabel")
    return kaldifst.StdVectorFst(kaldifst.compose(left, right))


def num_arcs(fst: Any) -> int:
    """The number of arcs of an FST."""
    return sum(fst.num_arcs(state) for state in range(fst.num_states))


def read_fst(
    path: Path | str, made_by: str = "chainstitch lang", most_input: int | None = None
) -> Any:
    """The `kaldifst.StdVectorFst` stored at `path`, every arc of which was looked at.

    Args:
        most_input: the highest input label that may occur.

    Raises:
        UserError: it is missing or damaged.
    """
    path = Path(path)
    fst, wrong = read_checked(path, most_input) if path.is_file() else (None, "")
    if fst is None:
        what = "is not an FST or is damaged" if path.exists() else "does not exist"
        raise UserError(f"{path} {what}; run `{made_by}` again")
    if wrong:
        raise UserError(f"{path} is damaged ({wrong}); run `{made_by}` again")
    return fst


def write_fst(fst: Any, path: Path | str) -> None:
    """Stores an FST.

    Raises:
        OSError: it could not be written.
    """
    # Through memory, where there are such files: OpenFst does not say why it could not write.
    descriptor = os.memfd_create("fst") if hasattr(os, "memfd_create") else -1
    written = fst.write(f"/proc/self/fd/{descriptor}" if descriptor >= 0 else str(path))
    if descriptor >= 0:
        with open(descriptor, "rb") as memory, open(path, "wb") as file:
            shutil.copyfileobj(memory, file)
    if not written:
        raise OSError(f"{path}: the FST could not be written; is the disk or the memory full?")


def _number(symbols: Sequence[str]) -> dict[str, int]:
    return {symbol: number for number, symbol in enumerate(symbols)}
