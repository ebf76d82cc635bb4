"""Small tables beside a corpus: a directory of files, each of some lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from chainstitch.utils.files import atomic_directory


def write_tables(
    out: Path | str, kind: str, tables: Mapping[str, Iterable[str]], overwrite: bool = False
) -> None:
    """Writes the directory `out`, whole or not at all.

    Args:
        kind: of outputs.DIRECTORIES. tables: the lines of each file, by its name.

    Raises:
        UsageError: `out` cannot be written.
    """
    with atomic_directory(out, kind, overwrite) as temporary:
        for name, lines in tables.items():
            content = "".join(f"{line}\n" for line in lines)
            (temporary / name).write_text(content, encoding="utf-8")
