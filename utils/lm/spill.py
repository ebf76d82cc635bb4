"""Records that are sorted into parts on the disk, where memory would not hold them all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from chainstitch.utils.lm.model import Array


class Spill:
    """Files of records of one kind, a file for each part.

    Reading a part deletes its file, so that the disk never holds the same thing twice. No file
    stays open: there may be more of them than a process may have open.
    """

    def __init__(self, directory: Path, name: str, kind: Any, parts: int) -> None:
        self.kind, self.parts = np.dtype(kind), parts
        self.paths = [directory / f"{name}-{part}" for part in range(parts)]

    def add(self, part: Array, records: Array) -> None:
        """Appends records, each to its part."""
        order = np.argsort(part, kind="stable")
        records = np.ascontiguousarray(records[order], dtype=self.kind)
        ends = np.cumsum(np.bincount(part, minlength=self.parts))
        for n, end in enumerate(ends.tolist()):
            start = int(ends[n - 1]) if n else 0
            if end > start:
                with self.paths[n].open("ab") as file:
                    file.write(records[start:end].tobytes())

    def take(self, part: int) -> Array:
        """The records of a part, in the order in which they came."""
        if not self.paths[part].exists():
            return np.empty(0, self.kind)
        records = np.fromfile(self.paths[part], dtype=self.kind)
        self.paths[part].unlink()
        return records
