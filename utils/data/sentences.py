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
        from chainstitch.utils.data.manifests import cut_text, read_cuts

        return enumerate(map(cut_text, read_cuts(source)), start=1)
    if not source.is_file():
        raise UsageError(
            f"{source} does not exist; give a text, a sentence a line, plain or .gz, or a data "
            "directory"
        )
    return texts.numbered(source)


def read_sentences(source: Path | str) -> list[list[str]]:
    """The words of each sentence; errors as `numbered_sentences`."""
    return [sentence.split() for _, sentence in numbered_sentences(source)]
