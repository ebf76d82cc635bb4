"""Do training utterances say what their transcripts have? Decoding by language models of those.

Utterances that follow each other make a group, of so many words that a model of them is worth it.
Each group gets a small language model (lang/biased_lm.py) and a search graph of its own. Of what
the search keeps of an utterance the path nearest to the transcript counts (oracle.py): that the
words can be heard is all that is asked, not that they are the likeliest. What comes out are ctm
edits (ctm_edits.py).
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chainstitch.utils import job_parts
from chainstitch.utils import text as texts
from chainstitch.utils.children import in_order, worker_pool
from chainstitch.utils.decode.ctm_edits import Edit, make_edits
from chainstitch.utils.decode.graph import make_graph
from chainstitch.utils.decode.lattice import LatticeDecoder
from chainstitch.utils.decode.oracle import oracle_path
from chainstitch.utils.decode.times import word_times
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_directory
from chainstitch.utils.hmm.topology import Leaves, hmm_fst
from chainstitch.utils.lang import biased_lm
from chainstitch.utils.lang.compose import BACKOFF
from chainstitch.utils.lang.directory import read_lang

log = logging.getLogger(__name__)

KIND, FILE = "edits", "ctm_edits"
GROUP_WORDS = 100  # of a group, at least
COMMON_WORDS = 100  # that can be said anywhere
WAITING = 2  # groups per process that are in work or wait for it
REPORT_SECONDS = 30.0


@dataclass(frozen=True)
class Utterance:
    """One to decode: its transcript, log-likes (frames, pdfs), and length in seconds."""

    name: str
    words: Sequence[str]
    log_likes: NDArray[np.float32]
    seconds: float


Group = Sequence[Utterance]
Found = list[tuple[str, list[Edit] | None]]  # None: no path reached the end


def grouped(names: Iterable[tuple[str, int]], least: int = GROUP_WORDS) -> list[list[str]]:
    """Groups of utterances, in their order, each of so many words; the last may have fewer.

    Args:
        names: (utterance, how many words it has).
    """
    groups: list[list[str]] = []
    words = least
    for name, count in names:
        if words >= least:
            groups.append([])
            words = 0
        groups[-1].append(name)
        words += count
    return groups


def common_words(
    transcripts: Iterable[Sequence[str]], most: int = COMMON_WORDS
) -> dict[str, float]:
    """The commonest words, with their shares of all words."""
    counts = Counter(word for words in transcripts for word in words)
    total = counts.total()
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {word: count / total for word, count in ranked[:COMMON_WORDS]}


class BiasedDecoder:
    """Decodes groups.

    Args:
        common: word -> its share of all words.
        unknown: the word that stands for those outside the lexicon; without it in the lexicon they
            are left out of the models.
        frame: seconds of an output frame.
    """

    def __init__(
        self,
        lang: Path,
        leaves: Leaves | None,
        common: Mapping[str, float],
        unknown: str,
        beam: float,
        lattice_beam: float,
        frame: float,
    ) -> None:
        import kaldifst

        known = read_lang(lang)
        self._words, self._vocabulary = known.words, set(known.lexicon)
        self._unknown, self._beams, self._frame = unknown, (beam, lattice_beam), frame
        shares: Counter[int] = Counter()
        for word, share in common.items():
            for label in self._labels([word]):
                shares[label] += share  # type: ignore[assignment]
        self._common = dict(shares)
        self._graph = make_graph(Path("the graph of a group"), known, leaves)
        # sorted once: a group's grammar visits few of their states
        self._h = hmm_fst(known.num_phones, known.disambiguation, leaves)
        self._l = known.fst("L_disambig.fst")
        for fst in (self._h, self._l):
            kaldifst.arcsort(fst, "olabel")

    def decode(self, group: Group) -> Found:
        """The edits of each utterance."""
        graph = replace(self._graph)
        graph.__dict__["hlg"] = self._search_graph([u.words for u in group])
        decoder = LatticeDecoder(graph, *self._beams)
        found: Found = []
        for utterance in group:
            lattice = decoder.decode(utterance.log_likes, utterance.name)
            if not lattice.complete:
                found.append((utterance.name, None))
                continue
            path = oracle_path(lattice.raw, self._labels(utterance.words))
            times = word_times(path.pdfs, path.labels, graph)
            end = min(lattice.frames * self._frame, utterance.seconds)
            timed = [
                (min(a * self._frame, end), min(b * self._frame, end), graph.words[label])
                for (a, b), label in zip(times, path.labels, strict=True)
            ]
            edits = make_edits(
                utterance.name, timed, utterance.words, end, self._vocabulary, self._unknown
            )
            found.append((utterance.name, edits))
        return found

    def _labels(self, words: Iterable[str]) -> list[int]:
        known = (w if w in self._vocabulary else self._unknown for w in words)
        return [self._words[word] for word in known if word in self._vocabulary]

    def _search_graph(self, transcripts: Iterable[Sequence[str]]) -> object:
        import kaldifst

        sentences = [self._labels(words) for words in transcripts]
        model = biased_lm.estimate(sentences, self._common)
        g = biased_lm.to_fst(model, self._words[BACKOFF])
        lg = kaldifst.StdVectorFst(kaldifst.compose(self._l, g))
        kaldifst.determinize_star(lg, use_log=True)
        kaldifst.minimize_encoded(lg)
        kaldifst.arcsort(lg, "ilabel")
        hlg = kaldifst.StdVectorFst(kaldifst.compose(self._h, lg))
        kaldifst.arcsort(hlg, "ilabel")
        return hlg


def decode_groups(groups: Iterable[Group], nj: int, *settings: object) -> Iterator[Found]:
    """Decodes groups, in order; `settings` are those of `BiasedDecoder`."""
    if nj <= 1:
        own = BiasedDecoder(*settings)  # type: ignore[arg-type]
        for group in groups:
            yield own.decode(group)
        return
    with worker_pool(nj, _start_worker, settings, "decoding") as pool:
        yield from in_order(pool, _work, groups, WAITING * nj)


_worker: BiasedDecoder | None = None


def _start_worker(*settings: object) -> None:
    global _worker
    _worker = BiasedDecoder(*settings)  # type: ignore[arg-type]


def _work(group: Group) -> Found:
    if _worker is None:
        raise RuntimeError("the worker was not started")
    return _worker.decode(group)


def write_edits(
    out: Path | str, found: Iterable[Found], total: int, overwrite: bool = False
) -> tuple[int, Counter[str]]:
    """Writes the ctm edits of `total` utterances, and logs how far it is.

    Returns:
        how many had no path to their end and are left out, and how often each kind of edit came.
    """
    begin = reported = time.monotonic()
    done, lost, kinds = 0, 0, Counter[str]()
    with atomic_directory(out, KIND, overwrite) as directory:
        with open(directory / FILE, "w", encoding="utf-8") as stream:
            for group in found:
                for _, edits in group:
                    done += 1
                    lost += edits is None
                    kinds.update(edit.kind for edit in edits or ())
                    stream.writelines(f"{edit}\n" for edit in edits or ())
                if time.monotonic() - reported > REPORT_SECONDS:
                    reported = time.monotonic()
                    log.info("decoded %d of %d utterances", done, total)
        if done == lost:
            raise UserError(
                f"none of {total} utterances was decoded to its end; is the model one of this lang?"
            )
    log.info("decoded %d utterances in %.1f s", done, time.monotonic() - begin)
    return lost, kinds


def merge_edits(out: Path | str, count: int, order: Iterable[str], overwrite: bool = False) -> None:
    """Makes `out` of `count` shares, in the order of the set, and removes them.

    Raises:
        UsageError: `out` exists and `overwrite` is false; a share is missing or of another set.
    """
    shares = [part.directory(out) for part in job_parts.all_of(count, out)]
    lines: dict[str, list[str]] = {name: [] for name in order}
    for share in shares:
        for line in texts.lines(share / FILE):
            name = line.split(" ", 1)[0]
            if name not in lines:
                raise UsageError(f"{share} is of another set; run the jobs again")
            lines[name].append(f"{line}\n")
    with atomic_directory(out, KIND, overwrite) as directory:
        merged = "".join(line for found in lines.values() for line in found)
        (directory / FILE).write_text(merged, encoding="utf-8")
    job_parts.remove(out)
