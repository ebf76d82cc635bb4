"""Phone lattices in a file of text: the ways to say each transcript that `align --lattices` found.

One line an utterance, gzipped, in the order of the set; arcs with their states, the phone by name
and its input frames (10 ms each), as an alignment (alignments.py) has them without the states:

    utt-1 0 1 SIL 12 ; 1 2 HH 6 ; 2 3 AY 21 ; 2 4 AH 21 ; 3 4 SIL 9 ; ...

State 0 is the beginning, the highest one the end; all paths to a state take the same time, which is
checked, as is all else that phone_lattice.py says. Times are of the input, so that a model of
another subsampling than the aligner's may be trained on them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.data.alignments import ByUtterance
from chainstitch.utils.data.phone_lattice import PhoneLattice
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import gzipped

FILE = "lattices.gz"  # in an alignment directory
AGAIN = "make it again with `chainstitch align --lattices`"


@contextmanager
def lattice_writer(
    path: Path, names: Mapping[int, str]
) -> Iterator[Callable[[str, PhoneLattice], None]]:
    """What adds an utterance's lattice to a new file, one in a directory that is being made;
    `names` are the phones' names by number."""

    def add(utterance: str, lattice: PhoneLattice) -> None:
        arcs = (f"{src} {dst} {names[phone]} {n}" for src, dst, phone, n in lattice.arcs)
        stream.write(f"{utterance} {' ; '.join(arcs)}\n".encode())

    with open(path, "xb") as file, gzipped(file) as stream:
        yield add


def each_lattice(path: Path | str, phones: Mapping[str, int]) -> Iterator[tuple[str, PhoneLattice]]:
    """(utterance, lattice) one after the other; `phones` numbers the names.

    Raises:
        UserError: missing or damaged file, a phone that is not in `phones`, arcs that are no
            lattice, an utterance twice; names the line.
    """
    number, seen = 0, set()
    try:
        for number, line in texts.numbered(path):
            utterance, _, rest = line.strip().partition(" ")
            rows = [part.split() for part in rest.split(" ; ")]
            unknown = [name for _, _, name, _ in rows if name not in phones]
            if unknown:
                raise UserError(
                    f"{path}, line {number}: {utterance} has the phone {unknown[0]!r}, which "
                    "the lang directory lacks; align again with that lang directory"
                )
            if utterance in seen:
                raise ValueError(f"{utterance} comes a second time")
            seen.add(utterance)
            arcs = [(int(src), int(dst), phones[name], int(n)) for src, dst, name, n in rows]
            yield utterance, PhoneLattice(arcs)
        if not number:
            raise ValueError("it is empty")
    except FileNotFoundError:
        raise _missing(path) from None
    except ValueError as error:
        raise UserError(f"{path} is damaged (line {number}: {error}); {AGAIN}") from None


class LatticeFile(ByUtterance[PhoneLattice]):
    """Lattices by utterance, 16 bytes an arc; errors as of `each_lattice`."""

    def missing(self) -> UserError:
        return _missing(self.path)

    def rows(self) -> Iterator[tuple[str, Iterable[Iterable[int]]]]:
        return ((name, lattice.arcs) for name, lattice in each_lattice(self.path, self.phones))

    def value(self, numbers: array[int]) -> PhoneLattice:
        columns = (numbers[k::4] for k in range(4))
        return PhoneLattice([(a, b, c, d) for a, b, c, d in zip(*columns, strict=True)])


def _missing(path: Path | str) -> UserError:
    return UserError(f"{path} does not exist; make it with `chainstitch align --lattices`")
