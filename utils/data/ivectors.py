"""The file of a set's i-vectors: `ivectors.h5`, written by `chainstitch ivectors extract`.

One float32 matrix (number, dim) an utterance, by its id. Row k is the estimate at input frame
k * period, from the frames up to that one; with period 0 there is one row, for all frames. The
attributes of the file: `period`, `dim`, and `extractor`, the digest of what made them. That itself,
the `ivector.pt` of `chainstitch ivectors train`, is in the file, too, so that a network trained on
these i-vectors can take it along and have them for audio that is in no set.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from chainstitch.utils.data.means import Features
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.library_stream import for_library
from chainstitch.utils.outputs import check_file

STORE = "ivectors.h5"  # in a feature directory
MODEL = "ivector.pt"  # in an i-vector experiment, in STORE, and where a network was trained


def digest(model: bytes) -> str:
    """16 hexadecimal digits that tell one trained extractor from another."""
    return hashlib.sha256(model).hexdigest()[:16]


def write_ivectors(
    path: Path | str,
    matrices: Iterable[tuple[str, np.ndarray]],
    period: int,
    dim: int,
    model: bytes,
    overwrite: bool = False,
) -> int:
    """Writes the file, whole or not at all; how many utterances it holds.

    Args:
        matrices: (utterance id, (number, dim)), taken one after the other.
        period: input frames from row to row; 0: one row for all frames.
        model: the content of the MODEL that made them.

    Raises:
        UsageError: `path` exists and `overwrite` is false.
        UserError: i-vectors that are not finite, or an utterance called MODEL; names it.
    """
    import h5py

    check_file(path, "i-vectors", overwrite)
    count = 0
    with (
        atomic_file(path, "w+b") as plain,
        for_library(plain) as stream,
        h5py.File(stream, "w") as file,
    ):
        file.attrs.update({"period": period, "dim": dim, "extractor": digest(model)})
        file.create_dataset(MODEL, data=np.frombuffer(model, dtype=np.uint8))
        for name, matrix in matrices:
            if name.split("/")[0] == MODEL:
                raise UserError(f"{path}: the utterance {name!r} has the name of the extractor")
            if not np.isfinite(matrix).all():
                raise UserError(f"{path}: the i-vectors of {name} are not finite numbers")
            file.create_dataset(name, data=np.asarray(matrix, dtype=np.float32))
            stream.check()  # a full disk, before the next is computed
            count += 1
    return count


class IvectorReader:
    """The i-vectors of a feature directory.

    Attributes:
        path: of the file; dim: of an i-vector.
        period: input frames from one estimate to the next; 0: one for all frames.
        extractor: digest of what made them; of a test set it must be the training set's.
    """

    def __init__(self, directory: Path | str) -> None:
        """Reads the attributes, no i-vectors yet.

        Args:
            directory: one with an `ivectors.h5`, or such a file by whatever name.

        Raises:
            UsageError: there is none.
            UserError: the file is damaged.
        """
        self.path = Path(directory)
        if self.path.is_dir():
            self.path = self.path / STORE
        if not self.path.is_file():
            raise UsageError(
                f"{self.path} does not exist; make it with `chainstitch ivectors extract`"
            )
        self._store: tuple[int, Any] = (-1, None)
        try:
            attributes = self._open().attrs
            self.period, self.dim = int(attributes["period"]), int(attributes["dim"])
            self.extractor = str(attributes["extractor"])
            if self.period < 0 or self.dim < 1:
                raise ValueError(f"period {self.period}, dim {self.dim}")
        except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
            raise UserError(f"{self.path} is damaged ({error}); {self._again}") from None

    @property
    def _again(self) -> str:
        return f"run `chainstitch ivectors extract ... --out {self.path} --overwrite`"

    def check(self, cut_ids: Iterable[str]) -> None:
        """Raises UserError when one of these utterances has no i-vectors; names the first."""
        file = self._open()
        for cut_id in cut_ids:
            if cut_id not in file:
                raise UserError(f"{self.path} lacks utterance {cut_id}; {self._again}")

    def model(self) -> bytes:
        """The content of the MODEL that made them.

        Raises:
            UserError: it is not there, or not what it was.
        """
        try:
            found = bytes(np.asarray(self._open()[MODEL], dtype=np.uint8))
        except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
            raise UserError(f"{self.path} has no {MODEL} ({error}); {self._again}") from None
        if digest(found) != self.extractor:
            raise UserError(f"{self.path}: its {MODEL} is damaged; {self._again}")
        return found

    def load(self, cut_id: str, frame: int | None = None) -> Features:
        """float32 (dim,) the estimate at or before an input frame; by default, the last one.

        A frame behind the last estimate gets the last one, however far behind.

        Raises:
            ValueError: a negative frame.
            UserError: none for this utterance, or a damaged file; names both.
        """
        if frame is not None and frame < 0:
            raise ValueError(f"i-vector of {cut_id} at frame {frame}: wanted 0 or more")
        try:
            rows = self._open()[cut_id]
            number = len(rows) - 1
            if frame is not None and self.period > 0:
                number = min(number, frame // self.period)
            ivector = np.asarray(rows[number], dtype=np.float32)
        except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
            raise UserError(
                f"{self.path}: cannot read the i-vectors of {cut_id} ({error}); {self._again}"
            ) from None
        if ivector.shape != (self.dim,) or not np.isfinite(ivector).all():
            raise UserError(
                f"{self.path}: an i-vector of {cut_id} has shape {ivector.shape} or numbers that "
                f"are not finite, wanted ({self.dim},); {self._again}"
            )
        return ivector

    def _open(self) -> Any:
        owner, store = self._store
        if owner != os.getpid():  # an HDF5 handle must not be shared across a fork
            import h5py

            store = h5py.File(self.path, "r")
            self._store = (os.getpid(), store)
        return store

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_store": (-1, None)}
