"""Reading what the scripts of Kaldi's recipes made of lines of the corpora."""

from __future__ import annotations

from pathlib import Path


def rows(path: Path) -> list[list[str]]:
    """The fields of each line that is no comment."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [line.split("\t") for line in lines if line and not line.startswith("#")]
