"""Lattices of a whole set, read back, rescored (rescore.py), and what is made of each."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chainstitch.utils.decode.archive import files, read_kept, read_lattices
from chainstitch.utils.decode.graph import Graph, digest, make_graph
from chainstitch.utils.decode.outcome import Utterance, Wanted, outcome
from chainstitch.utils.decode.rescore import rescore
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.lang.directory import Lang, read_lang
from chainstitch.utils.lang.grammar import Search, read_grammar
from chainstitch.utils.lang.ngram import SPECIAL, check_vocabulary
from chainstitch.utils.lm.arpa_file import read_model
from chainstitch.utils.lm.automaton import Automaton, automaton
from chainstitch.utils.score.text import read_text, read_utt2spk

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decoded:
    """A decode directory with lattices, and the lang directory that they were made with.

    Attributes:
        refs, speakers: of the utterances, as `write_decode` takes them.
        seconds: of an output frame.
    """

    paths: list[Path]
    lang: Lang
    graph: Graph
    grammar: Search
    refs: dict[str, str]
    speakers: dict[str, str]
    seconds: float


def read_decoded(directory: Path, lang: Path) -> Decoded:
    """Reads all but the lattices.

    Raises:
        UsageError: it has no lattices, `lang` is not what they were made with, or is none.
        UserError: a file is damaged.
    """
    paths, kept, known = files(directory), read_kept(directory), read_lang(lang)
    if digest(known.path) != kept.facts.lang:
        raise UsageError(
            f"{directory} was decoded with another lang directory than {lang}, or that was made "
            "anew; give the one that it was decoded with, or decode again"
        )
    refs = {name: " ".join(words) for name, words in read_text(directory / "ref").items()}
    speakers = read_utt2spk(directory / "utt2spk")
    absent = sorted(set(refs) - set(speakers))
    if absent:
        raise UserError(f"{directory / 'utt2spk'} lacks {absent[0]}; decode again")
    graph = make_graph(lang / "HLG.fst", known, kept.leaves)  # which nobody searches here
    grammar = read_grammar(lang / "G.fst", known.words)
    return Decoded(paths, known, graph, grammar, refs, speakers, kept.facts.seconds)


def words_lm(arpa: Path, decoded: Decoded) -> Automaton:
    """The model of an ARPA file, for the words of a decode directory.

    Raises:
        UserError: from `read_model`, or none of its words is in the lexicon.
    """
    words, model = decoded.lang.words, read_model(arpa)
    listed = [word.decode() for word in model.words]
    check_vocabulary(f"language model {arpa}", [w for w in listed if w not in SPECIAL], words)
    made = automaton(model, words)
    counts = ", ".join(f"{count} {n}-grams" for n, count in enumerate(model.counts, start=1))
    log.info("language model %s: %s, %d MB", arpa, counts, made.nbytes >> 20)
    return made


def rescored(
    decoded: Decoded, wanted: Wanted, model: Automaton | None = None
) -> Iterator[Utterance]:
    """What is wanted of each utterance, in order of the files.

    Args:
        model: instead of the grammar; None: the lattices stay as they are.

    Raises:
        UserError: a lattice file is damaged.
    """
    missing, lost = dict.fromkeys(decoded.refs), []
    words, graph = max(decoded.graph.words), decoded.graph
    for name, lattice in read_lattices(decoded.paths, words, graph.num_pdfs):
        if name not in missing:
            raise UserError(
                f"{decoded.paths[0].parent}: the lattice of {name} is there twice, or no utterance "
                "of `ref`; decode again"
            )
        del missing[name]
        if model is not None:
            lattice = rescore(lattice, decoded.grammar, model)
            if not len(lattice):
                lost.append(name)
        yield outcome(name, lattice, graph, model or decoded.grammar, wanted)
    if lost:
        log.warning(
            "%d utterances have no path of words that the language model knows and no hypothesis "
            "(the first: %s); it should have all words of the lexicon", len(lost), lost[0],
        )  # fmt: skip
    for name in missing:
        yield Utterance(name, 0, False, {point: [] for point in wanted.points}, {})
