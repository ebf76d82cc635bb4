r"""Lattices on the disk: Kaldi's text form of compact lattices, gzipped, a part for each job.

    DECODE_DIR/lattices/lat.1.gz lat.2.gz ...   the lattices
                        lattices.toml           how they were made
                        leaves.npz              the pdfs of the phones (for the times of words)

An utterance is its name on a line, its arcs and final weights, and an empty line:

    utt-1
    0 1 17 4.5,-120.25,5_6_6_6      source, target, word, graph cost, acoustic cost, labels
    1 0.69,-3.5,9_10                a final state

As in Kaldi a label stands for each frame: pdf + 1 here, there a transition-id; and acoustic costs
are ten times what the network says, as Kaldi's scripts for chain models write them
(`--post-decode-acwt 10`), so that LM weight 10 is `--acoustic-scale 0.1` to Kaldi's tools. Those
that need no model (lattice-best-path, lattice-mbr-decode, lattice-lmrescore, lattice-to-nbest, ...)
take these files as they are:

    lattice-best-path --acoustic-scale=0.1 "ark:gunzip -c lattices/lat.*.gz|" ark,t:-

Costs are written to four decimals. An utterance without frames has no lattice.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from chainstitch.utils import config
from chainstitch.utils import text as texts
from chainstitch.utils.decode.compact import SEARCH_LMWT, CompactLattice, in_order
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import gzipped
from chainstitch.utils.hmm.topology import Leaves

FOLDER, FACTS, LEAVES = "lattices", "lattices.toml", "leaves.npz"
LEVEL = 6  # of gzip

Row = tuple[int, int, int, float, float]


@dataclass(frozen=True)
class Facts:
    """The content of lattices.toml.

    Attributes:
        lang: the digest (graph.py) of the lang directory that they were decoded with.
        seconds: of an output frame.
        beam: paths within so much of the best one are there.
    """

    lang: str
    seconds: float = field(metadata={"bounds": "(0, inf)"})
    beam: float = field(metadata={"bounds": "(0, inf)"})


@dataclass(frozen=True)
class Kept:
    """What is said of lattices beside them."""

    facts: Facts
    leaves: Leaves


def to_text(name: str, lattice: CompactLattice) -> str:
    """The lines of one utterance, the empty one included."""
    lines = [name]
    first, labels = lattice.first.tolist(), (lattice.pdfs + 1).tolist()
    columns = (lattice.src, lattice.dst, lattice.word, lattice.graph, lattice.acoustic)
    for n, (src, dst, word, graph, acoustic) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True)
    ):
        string = "_".join(map(str, labels[first[n] : first[n + 1]]))
        weight = f"{_number(graph)},{_number(SEARCH_LMWT * acoustic)},{string}"
        lines.append(
            f"{src}\t{weight}" if dst == lattice.end else f"{src}\t{dst}\t{word}\t{weight}"
        )
    return "\n".join(lines) + "\n\n"


def _number(cost: float) -> str:
    return f"{cost:.4f}".rstrip("0").rstrip(".")


@contextmanager
def writer(directory: Path, kept: Kept | None) -> Iterator[Callable[[str], object]]:
    """What adds an utterance, as `to_text` gives it, to the lattices in a directory that is being
    made; nothing if they are not kept.
    """
    if kept is None:
        yield lambda text: None
        return
    folder = directory / FOLDER
    folder.mkdir()
    config.save(kept.facts, folder / FACTS)
    np.savez_compressed(folder / LEAVES, table=kept.leaves.table, num_pdfs=kept.leaves.num_pdfs)
    with open(folder / "lat.1.gz", "wb") as file, gzipped(file, LEVEL) as stream:
        yield lambda text: stream.write(text.encode())


def files(directory: Path) -> list[Path]:
    """The lat.N.gz of a decode directory, by N.

    Raises:
        UsageError: there are none.
    """
    found = list((directory / FOLDER).glob("lat.*.gz"))
    if not found:
        raise UsageError(
            f"{directory} has no {FOLDER}/lat.1.gz; give a directory of `chainstitch decode "
            "--write-lattices`"
        )
    numbers = {path: path.name.split(".")[1] for path in found}
    return sorted(found, key=lambda path: (len(numbers[path]), numbers[path]))


def read_kept(directory: Path) -> Kept:
    """How the lattices of a decode directory were made.

    Raises:
        UsageError: there are none.
        UserError: a file is damaged.
    """
    files(directory)
    folder = directory / FOLDER
    if not (folder / FACTS).is_file():
        raise UserError(f"{folder / FACTS} is missing; decode again with --write-lattices")
    facts = config.load(folder / FACTS, Facts)
    try:
        with np.load(folder / LEAVES, allow_pickle=False) as kept:
            return Kept(facts, Leaves(kept["table"], int(kept["num_pdfs"])))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{folder / LEAVES} is missing or damaged ({error}); decode again with --write-lattices"
        ) from None


def read_lattices(
    paths: Iterable[Path], most_word: int, num_pdfs: int
) -> Iterator[tuple[str, CompactLattice]]:
    """The utterances of lattice files, one after the other.

    Args:
        most_word: the highest id of a word that may occur.
        num_pdfs: as labels 1 ... num_pdfs stand for them.

    Raises:
        UserError: a file is damaged; names the line.
    """
    for path in paths:
        if not path.stat().st_size:
            raise UserError(f"{path} is empty; decode again with --write-lattices")
        seen: set[str] = set()
        numbered = texts.numbered(path)
        for number, line in numbered:
            name = line.strip()
            if not name:
                continue
            if len(name.split()) > 1 or name in seen:
                raise _bad(path, number, line, "the name of an utterance that was not there before")
            seen.add(name)
            yield name, _read_one(path, numbered, most_word, num_pdfs, (number, name))


def _read_one(
    path: Path, lines: Iterator[tuple[int, str]], most_word: int, num_pdfs: int,
    where: tuple[int, str],
) -> CompactLattice:  # fmt: skip
    arcs: list[Row] = []
    finals: list[Row] = []
    pdfs: list[list[int]] = []
    rests: list[list[int]] = []
    for number, line in lines:
        fields = line.split()
        if not fields:
            break
        try:
            *states, weight = fields
            row, labels = _row(states, weight)
        except ValueError:
            raise _bad(
                path, number, line, "source, target, word and graph,acoustic,labels"
            ) from None
        if not 0 <= row[2] <= most_word:
            raise _bad(path, number, line, f"a word of 0 to {most_word}; is it of another lang?")
        if labels and not (min(labels) >= 0 and max(labels) < num_pdfs):
            raise _bad(path, number, line, f"labels of 1 to {num_pdfs}")
        (finals if row[1] < 0 else arcs).append(row)
        (rests if row[1] < 0 else pdfs).append(labels)
    else:
        raise UserError(f"{path}: it ends within {where[1]}; it was cut short")
    end = 1 + max((max(row[:2]) for row in (*arcs, *finals)), default=0)
    rows = arcs + [(row[0], end, *row[2:]) for row in finals]
    try:
        lattice = in_order(end, rows, pdfs + rests)
    except ValueError as error:
        raise UserError(f"{path}:{where[0]}: the lattice of {where[1]}: {error}") from None
    return lattice


def _row(states: list[str], weight: str) -> tuple[Row, list[int]]:
    """An arc, or a final weight (to state -1), and its pdfs; ValueError if it is neither."""
    graph, acoustic, string = weight.split(",")
    source, target, word = (int(states[0]), -1, 0) if len(states) == 1 else map(int, states)
    costs = float(graph), float(acoustic) / SEARCH_LMWT
    if not all(map(math.isfinite, costs)) or source < 0 or (len(states) > 1 and target < 0):
        raise ValueError
    return (source, target, word, *costs), [int(label) - 1 for label in string.split("_") if string]


def _bad(path: Path, number: int, line: str, wanted: str) -> UserError:
    return UserError(f"{path}:{number}: found {line[:60]!r}, wanted {wanted}")


def merge(out: Path, shares: list[Path]) -> None:
    """Puts the lattices of shares, share N's as lat.N.gz, into a directory that is being made."""
    folder = out / FOLDER
    folder.mkdir()
    for number, share in enumerate(shares, 1):
        for path in (share / FOLDER).iterdir():
            name = f"lat.{number}.gz" if path.name.startswith("lat.") else path.name
            (folder / name).write_bytes(path.read_bytes())
