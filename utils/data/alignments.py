"""Phone alignments: which phone was said in which input frames, as a file of text.

One line an utterance, gzipped, phones by name with their durations in input frames (10 ms each),
as Kaldi's `ali-to-phones --write-lengths` prints them:

    utt-1 SIL 12 ; HH 6 ; AY 21 ; SIL 9

The durations of a line add up to the utterance's frames.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file

FILE = "ali.gz"  # in an alignment directory

Alignment = Sequence[tuple[int, int]]  # (phone, input frames)


def write_alignments(
    path: Path | str, alignments: Mapping[str, Alignment], names: Mapping[int, str]
) -> None:
    """Writes the file (atomically), sorted by utterance; `names` are the phones' names by number.

    Raises:
        KeyError: a phone without a name.
    """
    with atomic_file(path, "wb") as stream, gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as out:
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
    found: dict[str, list[tuple[int, int]]] = {}
    try:
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
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
                found[utterance] = alignment
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; make it with `chainstitch align`") from None
    except (OSError, EOFError, ValueError) as error:
        raise UserError(
            f"{path} is damaged ({error}); make it again with `chainstitch align`"
        ) from None
    return found
