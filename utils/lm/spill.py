"""Records that are sorted into parts on the disk, where memory would not hold them all."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from chainstitch.utils.lm.model import Array


class Spill:
    """Files of records of one kind, a file for each part.

    Reading a part deletes its file, so that the disk never holds the same thing twice.
    """

    def __init__(self, directory: Path, name: str, kind: Any, parts: int) -> None:
        self.kind, self.parts = np.dtype(kind), parts
        self.paths = [directory / f"{name}-{part}" for part in range(parts)]
        self.files = [path.open("wb") for path in self.paths]

    def __enter__(self) -> Spill:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self.files:
            file.close()

    def add(self, part: Array, records: Array) -> None:
        """Appends records, each to its part."""
        order = np.argsort(part, kind="stable")
        records = np.ascontiguousarray(records[order], dtype=self.kind)
        ends = np.cumsum(np.bincount(part, minlength=self.parts))
        for n, end in enumerate(ends.tolist()):
            start = int(ends[n - 1]) if n else 0
            if end > start:
                self.files[n].write(records[start:end].tobytes())

    def take(self, part: int) -> Array:
        """The records of a part, in the order in which they came."""
        self.files[part].close()
        records = np.fromfile(self.paths[part], dtype=self.kind)
        self.paths[part].unlink()
        return records
