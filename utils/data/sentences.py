"""Sentences: the lines of a text, or the transcripts of a data directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.errors import UsageError


def numbered_sentences(source: Path | str) -> Iterator[tuple[int, str]]:
    """(number from 1, sentence) one after the other, as they are written.

    Raises:
        UsageError: no such directory or file.
        UserError: the manifest is damaged, or as utils/text.py.
    """
    source = Path(source)
    if source.is_dir():
        return enumerate(transcripts(source), start=1)
    if not source.is_file():
        raise UsageError(
            f"{source} does not exist; give a text, a sentence a line, plain or .gz, or a data "
            "directory"
        )
    return texts.numbered(source)


def transcripts(data: Path | str) -> Iterator[str]:
    """What is said in each utterance of a set (or feature) directory, in file order.

    Raises:
        UsageError, UserError: as `manifests.read_cuts`; at the end, where ids do not go together.
    """
    from chainstitch.utils.data.identifiers import check_apart
    from chainstitch.utils.data.manifests import cut_text, cuts_file
    from chainstitch.utils.data.set_stream import rows

    ids = []
    for row in rows(data, in_order=False):
        ids.append(row.cut.id)
        yield cut_text(row.cut)
    check_apart(ids, cuts_file(data))


def read_sentences(source: Path | str) -> list[list[str]]:
    """The words of each sentence; errors as `numbered_sentences`."""
    return [sentence.split() for _, sentence in numbered_sentences(source)]
