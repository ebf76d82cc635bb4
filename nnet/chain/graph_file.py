"""Numerator graphs in a file: compiled once, by several processes, and read one by one when needed.

Beside a run they are in `numerators/<key>.bin`, where the key is a checksum of all that they depend
on (denominator, lexicon or alignments, transcripts, options): whoever looks for graphs of the same
makings finds these, and a file of others is not looked at. The format is that of array_file.py, the
graphs one after the other in front of the arrays that say where they are, each with a checksum. A
graph is read when it is asked for, so that memory does not grow with the set; the last few thousand
are kept.

**Why not composed when they are wanted?** A training has to know before its first minibatch which
utterances it cannot use, and whether the denominator can say a transcript, and in how few frames,
only the composition tells: the phone LM may lack the shortest ways. So the first start composes
all, some 1,500 transcripts of ten words a second and core, of 6 kB each, and every later one, of a
resumed run, a rank or an averaged job, opens the file: with a million transcripts in 0.1 s. To read
the 64 graphs of a minibatch and to put them together takes 4 ms (one core of an AMD EPYC; first
starts and later ones: tests/bench/startup.py).
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import struct
import zlib
from array import array
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from chainstitch.nnet.chain.numerator import NumeratorGraph
from chainstitch.utils.data.array_file import ArrayFile, ArrayWriter, Damaged
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file

FOLDER = "numerators"  # in an experiment
HEAD = struct.Struct("<4i")  # of a graph: states, arcs, frames, bytes of a number
REMEMBERED = 2048  # graphs, which with what is derived from them take some 20 kB each
PARALLEL = 4000  # tasks: fewer are done before several processes have started

logger = logging.getLogger(__name__)


def to_bytes(graph: NumeratorGraph) -> bytes:
    """A graph as bytes: its weights, then its numbers, of two bytes each where that is enough."""
    states, arcs = len(graph.final), len(graph.src)
    most = max(states, int(graph.pdf.max(initial=0)))
    kind = np.uint16 if most < 1 << 16 else np.int32
    numbers = np.stack([graph.src, graph.dst, graph.pdf]).astype(kind)
    head = HEAD.pack(states, arcs, graph.frames, numbers.itemsize)
    parts = (graph.log_prob.astype(np.float64), numbers, graph.final.astype(np.uint8))
    return head + b"".join(part.tobytes() for part in parts)


def from_bytes(data: bytes) -> NumeratorGraph:
    """The graph that `to_bytes` was given.

    Raises:
        ValueError: these are not such bytes.
    """
    if len(data) < HEAD.size:
        raise ValueError(f"{len(data)} bytes are no numerator graph")
    states, arcs, frames, itemsize = HEAD.unpack_from(data)
    log_prob = np.frombuffer(data, np.float64, arcs, HEAD.size)
    at = HEAD.size + 8 * arcs
    if itemsize not in (2, 4) or min(states, arcs) < 0:
        raise ValueError(f"{states} states, {arcs} arcs, numbers of {itemsize} bytes")
    kind = np.uint16 if itemsize == 2 else np.int32
    src, dst, pdf = np.frombuffer(data, kind, 3 * arcs, at).reshape(3, arcs).astype(np.int32)
    final = np.frombuffer(data, np.uint8, states, at + 3 * arcs * itemsize)
    return NumeratorGraph(src, dst, pdf, log_prob, final.astype(bool), frames)


def digest(*parts: object) -> str:
    """A checksum of arrays, bytes and whatever has a repr that says all."""
    found = hashlib.blake2b(digest_size=12)
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype.str} {part.shape}".encode())
            found.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        else:
            found.update(part if isinstance(part, bytes) else repr(part).encode())
        found.update(b"\0")
    return found.hexdigest()


def processes(nj: int, tasks: int) -> int:
    """How many processes `nj` (0: one for each core) means for so many tasks."""
    if tasks < PARALLEL:
        return 1
    return nj if nj > 0 else len(os.sched_getaffinity(0))


class GraphFile:
    """Kept graphs, by number.

    Attributes:
        file: for the arrays that the maker has added.
        decode: makes of bytes what was kept, if that is something else.

    Raises:
        Damaged: the file is not what was written.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.file = ArrayFile(path)
        self.decode: Callable[[bytes], Any] = from_bytes
        self._at, self._crc = self.file["graph_at"], self.file["graph_crc"]
        if self._at.shape != (len(self._crc) + 1,) or (np.diff(self._at) < 0).any():
            raise Damaged(f"{path} does not say where its graphs are")
        self._remembered = functools.lru_cache(REMEMBERED)(self._read)

    @property
    def sizes(self) -> np.ndarray:
        """(graphs,) in bytes; 0 for None."""
        return np.diff(self._at)

    def __len__(self) -> int:
        return len(self._crc)

    def __getitem__(self, number: int) -> Any:
        """A graph; None where the maker had none. From any thread.

        Raises:
            UserError: it is not what was written.
        """
        return self._remembered(int(number))

    def _read(self, number: int) -> Any:
        begin, end = int(self._at[number]), int(self._at[number + 1])
        if begin == end:
            return None
        try:
            data = self.file.read(begin, end - begin)
            if zlib.crc32(data) != int(self._crc[number]):
                raise Damaged(f"{self.file.path}: graph {number} is damaged")
        except Damaged as error:
            raise UserError(f"{error}; delete that file, and it will be made again") from None
        try:
            return self.decode(data)
        except ValueError as error:
            raise UserError(
                f"{self.file.path}: graph {number} is none ({error}); delete that file, and it will"
                " be made again"
            ) from None


def open_graphs(path: Path) -> GraphFile | None:
    """The file, if there is one and it is whole."""
    try:
        return GraphFile(path)
    except FileNotFoundError:
        return None
    except (Damaged, OSError, KeyError) as error:
        logger.warning("%s; making it again", error)
        return None


def write_graphs(
    path: Path, graphs: Iterable[bytes], arrays: Mapping[str, array[int]]
) -> GraphFile:
    """Writes the file, whole or not at all, and opens it.

    Args:
        graphs: each as `to_bytes` has it, or empty for None.
        arrays: more of them, which may be filled while `graphs` is iterated.

    Raises:
        OSError: from the file system.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    places, crcs = array("q"), array("I")
    with atomic_file(path, "wb") as stream:
        writer = ArrayWriter(stream)
        end = writer.append(b"")
        for data in graphs:
            places.append(end)
            crcs.append(zlib.crc32(data))
            end = writer.append(data) + len(data)
        places.append(end)
        writer.write(
            {"graph_at": np.array(places, np.int64), "graph_crc": np.array(crcs, np.uint32)}
        )
        writer.write({name: np.array(values) for name, values in arrays.items()})
        writer.finish({})
    return GraphFile(path)
