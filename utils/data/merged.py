"""Several sets made one: all their utterances, whose ids must differ.

A recording that is in several of them must be the same in all, as Kaldi's `combine_data.sh` has it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path

from chainstitch.utils.data.set_stream import Item, Row, rows, write_rows
from chainstitch.utils.errors import UserError
from chainstitch.utils.outputs import check_directory


def merge_sets(sets: Sequence[Path | str], out: Path | str, overwrite: bool = False) -> int:
    """Writes the set `out` of all utterances of `sets`.

    Returns:
        how many there are.

    Raises:
        UsageError: `out` cannot be written, or one is no set.
        UserError: one is damaged; or an utterance is in two of them, or a recording that is not
            the same in both.
    """
    check_directory(out, "set", overwrite, sets)
    together = heapq.merge(
        *(rows(directory) for directory in sets), key=lambda row: str(row.cut.id)
    )
    return write_rows(out, _apart(together), overwrite)


def _apart(together: Iterator[Row]) -> Iterator[Item]:
    last = None
    for row in together:
        if last is not None and last.cut.id == row.cut.id:
            raise UserError(
                f"{row.place}: utterance {row.cut.id} is at {last.place}, too; give those of one "
                "set other ids with `chainstitch data copy --utterance-prefix`"
            )
        last = row
        yield row.item()
