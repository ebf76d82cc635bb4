"""Decoding a whole set: many utterances, every point of the sweep, and the files of decode_<set>/.

The sweep of one utterance is Python work on a small lattice, so that threads would not help: with
nj > 1 the utterances go to processes of their own (spawned: they inherit neither torch nor a GPU),
each with its own copy of the graph. Results come back in order, and few are ever waiting.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chainstitch.utils import job_parts
from chainstitch.utils import text as texts
from chainstitch.utils.children import in_order, worker_pool
from chainstitch.utils.decode.graph import Graph
from chainstitch.utils.decode.lattice import SEARCH_LMWT, Hypothesis, LatticeDecoder
from chainstitch.utils.errors import UsageError
from chainstitch.utils.files import atomic_directory
from chainstitch.utils.optional import load_k2
from chainstitch.utils.outputs import MARK

log = logging.getLogger(__name__)

Point = tuple[float, float]  # lmwt, wip
Item = tuple[str, NDArray[np.float32]]  # utterance, log-likes (frames, pdfs)

DECODERS = ("kaldi", "k2")

MAX_POINTS = 1000  # of a sweep
MAX_VALUE = 1000  # of an LM weight or a word insertion penalty, either side of 0
WAITING = 4  # utterances per process that are in work or wait for it
REPORT_SECONDS = 30.0


@dataclass(frozen=True)
class Utterance:
    """What came out for one utterance.

    Attributes:
        words: of the best path at each point.
        timed: (first frame, last frame + 1, word) at the point that the ctm is made for.
    """

    name: str
    frames: int
    complete: bool
    words: dict[Point, list[str]]
    timed: list[tuple[int, int, str]]


class Decoder(Protocol):
    """`LatticeDecoder` or `K2Decoder`; a lattice of one is none of the other's."""

    def decode(self, log_likes: NDArray[np.float32], name: str = ...) -> Any: ...
    def best_path(self, lattice: Any, lmwt: float = ..., wip: float = ...) -> Hypothesis: ...


def check_decoder(name: str) -> None:
    """Raises UsageError for a name that is not in DECODERS, UserError for a k2 that cannot run."""
    if name not in DECODERS:
        raise UsageError(f"--decoder wants {' or '.join(DECODERS)}, found {name!r}")
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


def point_name(point: Point) -> str:
    """`10_0.5` for lmwt 10, wip 0.5."""
    return f"{point[0]:g}_{float(point[1])!r}"


def ctm_point(points: list[Point]) -> Point:
    """The point that the ctm is made for: lmwt 10 and wip 0, or the nearest there is."""
    return min(points, key=lambda p: (abs(p[0] - SEARCH_LMWT), abs(p[1]), p))


def decode_items(
    graph: Graph,
    items: Iterable[Item],
    points: list[Point],
    beam: float = 15.0,
    lattice_beam: float = 8.0,
    nj: int = 1,
    decoder: str = "kaldi",
) -> Iterator[Utterance]:
    """Decodes the items in order; each as `_decode` says.

    Args:
        nj: how many processes search; 1 is this one.
        decoder: one of DECODERS.

    Raises:
        UserError: from `Decoder.decode`; names the utterance.
    """
    if nj <= 1:
        own = make_decoder(decoder, graph, beam, lattice_beam)
        for item in items:
            yield _decode(own, item, points)
        return
    check_decoder(decoder)  # an error of a process that starts would not arrive
    settings = (decoder, graph, points, beam, lattice_beam)
    with worker_pool(nj, _start_worker, settings, "decoding") as pool:
        yield from in_order(pool, _work, items, WAITING * nj)


def write_decode(
    out: Path | str,
    utterances: Iterable[Utterance],
    points: list[Point],
    refs: Mapping[str, str],
    speakers: Mapping[str, str],
    seconds_per_frame: float,
    overwrite: bool = False,
) -> None:
    """Writes `ref`, `utt2spk`, `hyp_<lmwt>_<wip>` and `ctm`, sorted by utterance; all or nothing.

    Args:
        refs, speakers: utterance -> text, speaker; every utterance is in both.
        seconds_per_frame: of an output frame.

    Raises:
        UsageError: `out` exists and `overwrite` is false.
    """
    with atomic_directory(out, "decoding", overwrite) as directory:
        done = {u.name: u for u in _reported(utterances, len(refs))}
        names = sorted(done)
        _write_lines(directory / "ref", (f"{n} {refs[n]}" for n in names))
        _write_lines(directory / "utt2spk", (f"{n} {speakers[n]}" for n in names))
        for point in points:
            lines = (" ".join([n, *done[n].words[point]]) for n in names)
            _write_lines(directory / f"hyp_{point_name(point)}", lines)
        _write_lines(
            directory / "ctm",
            (
                f"{n} 1 {a * seconds_per_frame:.2f} {(b - a) * seconds_per_frame:.2f} {word}"
                for n in names
                for a, b, word in done[n].timed
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
        for name in names:
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
        "decoded %d utterances, %d output frames in %.1f s (the network included); %d partial",
        count,
        frames,
        time.monotonic() - begin,
        len(partial),
    )


def _decode(decoder: Decoder, item: Item, points: list[Point]) -> Utterance:
    name, log_likes = item
    lattice = decoder.decode(log_likes, name)
    paths = {point: decoder.best_path(lattice, *point) for point in points}
    chosen = paths[ctm_point(points)]
    timed = [(a, b, word) for (a, b), word in zip(chosen.times, chosen.words, strict=True)]
    words = {point: path.words for point, path in paths.items()}
    return Utterance(name, lattice.frames, lattice.complete, words, timed)


_worker: tuple[Decoder, list[Point]] | None = None


def _start_worker(
    decoder: str, graph: Graph, points: list[Point], beam: float, lattice_beam: float
) -> None:
    global _worker
    _worker = make_decoder(decoder, graph, beam, lattice_beam), points


def _work(item: Item) -> Utterance:
    if _worker is None:
        raise RuntimeError("the worker was not started")
    return _decode(_worker[0], item, _worker[1])


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
