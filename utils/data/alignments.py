"""Phone alignments: which phone was said in which input frames, as a file of text.

One line an utterance, gzipped, phones by name with their durations in input frames (10 ms each),
as Kaldi's `ali-to-phones --write-lengths` prints them:

    utt-1 SIL 12 ; HH 6 ; AY 21 ; SIL 9

The durations of a line add up to the utterance's frames.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from chainstitch.utils import text as texts
from chainstitch.utils.data.array_file import checksum
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file, gzipped

FILE = "ali.gz"  # in an alignment directory
LONGEST = 2**31 - 1  # frames; they are kept in 32 bits

Alignment = Sequence[tuple[int, int]]  # (phone, input frames)
Value = TypeVar("Value")


def write_alignments(
    path: Path | str, alignments: Mapping[str, Alignment], names: Mapping[int, str]
) -> None:
    """Writes the file (atomically), sorted by utterance; `names` are the phones' names by number.

    Raises:
        KeyError: a phone without a name.
    """
    with atomic_file(path, "wb") as stream, gzipped(stream) as out:
        for utterance in sorted(alignments):
            parts = [f"{names[phone]} {frames}" for phone, frames in alignments[utterance]]
            out.write(f"{utterance} {' ; '.join(parts)}\n".encode())


def read_alignments(
    path: Path | str, phones: Mapping[str, int]
) -> dict[str, list[tuple[int, int]]]:
    """Alignments by utterance; `phones` numbers the names.

    Raises:
        UserError: missing or damaged file, a phone that is not in `phones`, a duration below 1.
    """
    return dict(each_alignment(path, phones))


class ByUtterance(Mapping[str, Value]):
    """What a file says of each utterance, read when the first is asked for, and kept in arrays.

    Args:
        path: of the file; phones: numbers the names.

    Raises:
        UserError: there is no such file; what reading it raises, when it is read.
    """

    def __init__(self, path: Path | str, phones: Mapping[str, int]) -> None:
        self.path, self.phones = Path(path), dict(phones)
        if not self.path.is_file():
            raise self.missing()

    @cached_property
    def key(self) -> str:
        """What tells it from other files, without reading them."""
        return f"{checksum(self.path)}, {sorted(self.phones.items())}"

    def missing(self) -> UserError:
        """What there is to say if there is no file."""
        raise NotImplementedError

    def rows(self) -> Iterator[tuple[str, Iterable[Iterable[int]]]]:
        """Utterances, and rows of numbers of 32 bits, all of one length."""
        raise NotImplementedError

    def value(self, numbers: array[int]) -> Value:
        """What an utterance's rows, one after the other, mean."""
        raise NotImplementedError

    def __getitem__(self, utterance: str) -> Value:
        numbers, ends, values = self._read
        number = numbers[utterance]
        return self.value(values[ends[number - 1] if number else 0 : ends[number]])

    def __iter__(self) -> Iterator[str]:
        return iter(self._read[0])

    def __len__(self) -> int:
        return len(self._read[0])

    @cached_property
    def _read(self) -> tuple[dict[str, int], array[int], array[int]]:
        """Numbers by utterance; where each one's values end; the values."""
        numbers: dict[str, int] = {}
        ends, values = array("q"), array("i")
        for utterance, rows in self.rows():
            for row in rows:
                values.extend(row)
            numbers[utterance] = len(ends)
            ends.append(len(values))
        return numbers, ends, values


class AlignmentFile(ByUtterance[list[tuple[int, int]]]):
    """Alignments by utterance; errors as of `read_alignments`."""

    def missing(self) -> UserError:
        return _missing(self.path)

    def rows(self) -> Iterator[tuple[str, Iterable[Iterable[int]]]]:
        return each_alignment(self.path, self.phones)

    def value(self, numbers: array[int]) -> list[tuple[int, int]]:
        return list(zip(numbers[::2], numbers[1::2], strict=True))


def each_alignment(
    path: Path | str, phones: Mapping[str, int]
) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """(utterance, alignment) one after the other; errors as `read_alignments`, at their line."""
    number, seen = 0, set()
    try:
        for number, line in texts.numbered(path):
            utterance, _, rest = line.strip().partition(" ")
            pairs = [part.split() for part in rest.split(" ; ")]
            alignment = [(phones.get(name, 0), int(frames)) for name, frames in pairs]
            unknown = [name for name, _ in pairs if name not in phones]
            if unknown:
                raise UserError(
                    f"{path}, line {number}: {utterance} has the phone {unknown[0]!r}, which "
                    "the lang directory lacks; align again with that lang directory"
                )
            if min(frames for _, frames in alignment) < 1:
                raise ValueError("a duration below 1")
            if max(frames for _, frames in alignment) > LONGEST:
                raise ValueError(f"a duration above {LONGEST}")
            if utterance in seen:
                raise ValueError(f"{utterance} comes a second time")
            seen.add(utterance)
            yield utterance, alignment
    except FileNotFoundError:
        raise _missing(path) from None
    except ValueError as error:
        raise UserError(
            f"{path} is damaged (line {number}: {error}); make it again with `chainstitch align`"
        ) from None


def _missing(path: Path | str) -> UserError:
    return UserError(f"{path} does not exist; make it with `chainstitch align`")
