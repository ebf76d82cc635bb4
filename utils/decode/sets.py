"""Decoding a whole set: many utterances, every point of the sweep, and the files of decode_<set>/.

The sweep of one utterance is Python work on a small lattice, so that threads would not help: with
nj > 1 the utterances go to processes of their own (spawned: they inherit neither torch nor a GPU),
each with its own copy of the graph. Results come back in order, and few are ever waiting.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chainstitch.utils import job_parts
from chainstitch.utils import text as texts
from chainstitch.utils.children import in_order, worker_pool
from chainstitch.utils.decode import archive
from chainstitch.utils.decode.archive import Kept, to_text
from chainstitch.utils.decode.determinise import determinise
from chainstitch.utils.decode.graph import Graph
from chainstitch.utils.decode.lattice import Hypothesis, LatticeDecoder
from chainstitch.utils.decode.outcome import (
    Point,
    Timed,
    Utterance,
    Wanted,
    ctm_point,
    list_n_best,
    outcome,
)
from chainstitch.utils.errors import UsageError
from chainstitch.utils.files import atomic_directory
from chainstitch.utils.lang.grammar import Search
from chainstitch.utils.optional import load_k2
from chainstitch.utils.outputs import MARK
from chainstitch.utils.score.sweep import read_choice

log = logging.getLogger(__name__)

Item = tuple[str, NDArray[np.float32]]  # utterance, log-likes (frames, pdfs)

DECODERS = ("kaldi", "k2")

MAX_POINTS = 1000  # of a sweep
MAX_VALUE = 1000  # of an LM weight or a word insertion penalty, either side of 0
WAITING = 4  # utterances per process that are in work or wait for it
REPORT_SECONDS = 30.0


class Decoder(Protocol):
    """`LatticeDecoder` or `K2Decoder`; a lattice of one is none of the other's."""

    def decode(self, log_likes: NDArray[np.float32], name: str = ...) -> Any: ...
    def best_path(self, lattice: Any, lmwt: float = ..., wip: float = ...) -> Hypothesis: ...


def check_decoder(name: str, wanted: Wanted | None = None) -> None:
    """That a decoder can make what is wanted.

    Raises:
        UsageError: a name that is not in DECODERS, or k2 for what is made of compact lattices.
        UserError: k2, which cannot run here.
    """
    if name not in DECODERS:
        raise UsageError(f"--decoder wants {' or '.join(DECODERS)}, found {name!r}")
    if name != "kaldi" and wanted is not None and wanted.compact:
        raise UsageError(
            "--write-lattices, --n-best and --mbr go with --decoder kaldi; leave --decoder out"
        )
    if name == "k2":
        load_k2()


def make_decoder(name: str, graph: Graph, beam: float, lattice_beam: float) -> Decoder:
    """The decoder of that name; errors as `check_decoder` and `LatticeDecoder` have them."""
    check_decoder(name)
    if name == "k2":
        from chainstitch.utils.decode.via_k2 import K2Decoder

        return K2Decoder(graph, beam, lattice_beam)
    return LatticeDecoder(graph, beam, lattice_beam)


def sweep_points(lmwt: str, wip: str) -> list[Point]:
    """The points of `--lmwt 7:17 --wip 0,0.5,1.0`: a range (both ends, step 1) or a list each.

    Raises:
        UsageError: not of that form, an lmwt that is not positive, or more than MAX_POINTS.
    """
    weights, penalties = _numbers("--lmwt", lmwt, "7:17"), _numbers("--wip", wip, "0,0.5,1.0")
    if min(weights) <= 0.0:
        raise UsageError(f"--lmwt {lmwt!r}: an LM weight must be above 0, e.g. 7:17")
    found = len(weights) * len(penalties)
    if found > MAX_POINTS:
        raise UsageError(
            f"--lmwt and --wip are {len(weights)} and {len(penalties)} values, {found} points; "
            f"wanted at most {MAX_POINTS}"
        )
    return [(weight, penalty) for weight in weights for penalty in penalties]


def wanted_points(lmwt: str, wip: str, choice: Path | None) -> list[Point]:
    """The point of a dev set's choice.toml, or those of `sweep_points` where there is none.

    Raises:
        UsageError, UserError: as `sweep_points` and `read_choice`.
    """
    if choice is None:
        return sweep_points(lmwt, wip)
    chosen = read_choice(choice)
    return [(chosen.lmwt, chosen.wip)]


def point_name(point: Point) -> str:
    """`10_0.5` for lmwt 10, wip 0.5."""
    return f"{point[0]:g}_{float(point[1])!r}"


def decode_items(
    graph: Graph,
    items: Iterable[Item],
    wanted: Wanted,
    beam: float = 15.0,
    lattice_beam: float = 8.0,
    nj: int = 1,
    decoder: str = "kaldi",
    lm: Search | None = None,
) -> Iterator[Utterance]:
    """Decodes the items in order; each as `_decode` says.

    Args:
        nj: how many processes search; 1 is this one.
        decoder: one of DECODERS; k2's lattices are not made compact.
        lm: of the graph; needed for the N best.

    Raises:
        UserError: from `Decoder.decode`; names the utterance.
    """
    check_decoder(decoder, wanted)  # an error of a process that starts would not arrive
    settings = (decoder, graph, wanted, beam, lattice_beam, lm)
    if nj <= 1:
        own = _Work(*settings)
        for item in items:
            yield own(item)
        return
    with worker_pool(nj, _start_worker, settings, "decoding") as pool:
        yield from in_order(pool, _work, items, WAITING * nj)


def write_decode(
    out: Path | str,
    utterances: Iterable[Utterance],
    wanted: Wanted,
    refs: Mapping[str, str],
    speakers: Mapping[str, str],
    seconds_per_frame: float,
    overwrite: bool = False,
    lattices: Kept | None = None,
) -> None:
    """Writes `ref`, `utt2spk`, `hyp_<lmwt>_<wip>` and `ctm`, sorted by utterance; all or nothing.

    And, where they are wanted, `ctm_<lmwt>_<wip>` (for `score --nist`), `nbest` and `lattices/`
    (archive.py). A line of `nbest` is

        utterance, number from 1, graph cost, acoustic cost, the LM's part of the graph cost, words

    with costs as the network and the graph have them (at no weight), best first.

    Args:
        refs, speakers: utterance -> text, speaker; every utterance is in both.
        seconds_per_frame: of an output frame.
        lattices: what is said of the lattices; needed if they are wanted.

    Raises:
        UsageError: `out` exists and `overwrite` is false.
    """
    points = wanted.points
    with atomic_directory(out, "decoding", overwrite) as directory:
        done: dict[str, Utterance] = {}
        with archive.writer(directory, lattices) as write:
            for utterance in _reported(utterances, len(refs)):
                write(utterance.lattice)
                done[utterance.name] = replace(utterance, lattice="")
        names = sorted(done)
        _write_lines(directory / "ref", (f"{n} {refs[n]}" for n in names))
        _write_lines(directory / "utt2spk", (f"{n} {speakers[n]}" for n in names))
        for point in points:
            lines = (" ".join([n, *done[n].words[point]]) for n in names)
            _write_lines(directory / f"hyp_{point_name(point)}", lines)
        ctms = {"ctm": ctm_point(points)}
        if wanted.all_times:
            ctms |= {f"ctm_{point_name(point)}": point for point in points}
        for file, point in ctms.items():
            lines = (
                f"{n} 1 {a * seconds_per_frame:.2f} {(b - a) * seconds_per_frame:.2f} {word}"
                + ("" if sure is None else f" {sure:.4f}")
                for n in names
                for a, b, word, sure in done[n].timed.get(point, ())
            )
            _write_lines(directory / file, lines)
        if wanted.n_best:
            _write_lines(
                directory / "nbest",
                (
                    f"{n} {number} {graph:.4f} {acoustic:.4f} {lm:.4f} {' '.join(words)}"
                    for n in names
                    for number, (graph, acoustic, lm, words) in enumerate(done[n].listed, 1)
                ),
            )


def merge_decode(
    out: Path | str, count: int, utterances: Iterable[str], overwrite: bool = False
) -> None:
    """Makes `out` of `count` shares that `write_decode` wrote, and removes them.

    Args:
        utterances: of the whole set.

    Raises:
        UsageError: `out` exists and `overwrite` is false; a share is missing, or they are not of
            this set, or not all swept over the same points.
    """
    shares = [part.directory(out) for part in job_parts.all_of(count, out)]
    names = _files(shares[0])
    with atomic_directory(out, "decoding", overwrite) as directory:
        if archive.FOLDER in names:
            archive.merge(directory, shares)
        for name in names:
            if name == archive.FOLDER:
                continue
            lines: list[str] = []
            for share in shares:
                if _files(share) != names:
                    raise UsageError(
                        f"{share} has other files than {shares[0]}; run the jobs again"
                    )
                lines += [f"{line}\n" for line in texts.lines(share / name)]
            lines.sort(key=lambda line: line.split()[0])  # a stable sort: a ctm keeps its order
            found = [line.split()[0] for line in lines]
            if name == "ref" and found != sorted(utterances):
                raise UsageError(f"{shares[0].parent} is of another set; run the jobs again")
            (directory / name).write_text("".join(lines), encoding="utf-8")
    job_parts.remove(out)


def _reported(utterances: Iterable[Utterance], total: int) -> Iterator[Utterance]:
    begin = reported = time.monotonic()
    count, frames = 0, 0
    partial: list[str] = []
    for utterance in utterances:
        count, frames = count + 1, frames + utterance.frames
        if not utterance.complete:
            partial.append(utterance.name)
            kind = "no frames" if utterance.frames == 0 else "no final state reached"
            log.warning("%s: %s, its hypothesis is partial", utterance.name, kind)
        if time.monotonic() - reported > REPORT_SECONDS:
            reported = time.monotonic()
            log.info("decoded %d of %d utterances", count, total)
        yield utterance
    log.info(
        "decoded %d utterances, %d output frames in %.1f s, all in all; %d partial",
        count,
        frames,
        time.monotonic() - begin,
        len(partial),
    )


class _Work:
    """Decodes utterances and makes what is wanted."""

    def __init__(
        self, decoder: str, graph: Graph, wanted: Wanted, beam: float, lattice_beam: float,
        lm: Search | None,
    ) -> None:  # fmt: skip
        self._decoder = make_decoder(decoder, graph, beam, lattice_beam)
        self._graph, self._wanted, self._beam, self._lm = graph, wanted, lattice_beam, lm

    def __call__(self, item: Item) -> Utterance:
        name, log_likes = item
        wanted = self._wanted
        lattice = self._decoder.decode(log_likes, name)
        compact = None
        if wanted.compact and lattice.frames:
            compact = determinise(lattice.raw, self._beam, name)
        text = to_text(name, compact) if compact is not None and wanted.lattices else ""
        if compact is not None and wanted.mbr:
            made = outcome(name, compact, self._graph, self._lm, wanted)
            return replace(made, complete=lattice.complete, lattice=text)
        paths = {point: self._decoder.best_path(lattice, *point) for point in wanted.points}
        at = ctm_point(wanted.points)
        timed = {point: _timed(paths[point]) for point in wanted.timed_points}
        words = {point: path.words for point, path in paths.items()}
        listed = []
        if compact is not None and wanted.n_best and self._lm is not None:
            listed = list_n_best(compact, at, self._graph, self._lm, wanted.n_best)
        return Utterance(name, lattice.frames, lattice.complete, words, timed, listed, text)


def _timed(path: Hypothesis) -> list[Timed]:
    return [(*span, word, None) for span, word in zip(path.times, path.words, strict=True)]


_worker: _Work | None = None


def _start_worker(*settings: Any) -> None:
    global _worker
    _worker = _Work(*settings)


def _work(item: Item) -> Utterance:
    if _worker is None:
        raise RuntimeError("the worker was not started")
    return _worker(item)


def _files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name != MARK)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(line.strip() + "\n" for line in lines), encoding="utf-8")


def _numbers(option: str, text: str, example: str) -> list[float]:
    try:
        if ":" in text:
            first, last = (int(part) for part in text.split(":"))
            if last - first >= MAX_POINTS:
                raise UsageError(
                    f"{option} {text:.60}: these are more values than {MAX_POINTS}; wanted a "
                    f"range like {example}"
                )
            numbers = [float(n) for n in range(first, last + 1)]
        else:
            numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not np.isfinite(numbers).all() or len(set(numbers)) < len(numbers):
        raise UsageError(
            f"{option} {text[:60]!r}: wanted a range or a list of numbers, e.g. {example}"
        )
    wrong = [n for n in numbers if abs(n) > MAX_VALUE or round(n, 3) != n]
    if wrong:  # they stand in the names of files
        raise UsageError(
            f"{option} {text[:60]!r}: {wrong[0]} is beyond {MAX_VALUE} or has more than three "
            f"decimals; wanted numbers as in {example}"
        )
    return numbers
