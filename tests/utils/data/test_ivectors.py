"""The file of i-vectors: whole or not there, and read by utterance and frame."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from chainstitch.utils.data.ivectors import MODEL, STORE, IvectorReader, digest, write_ivectors
from chainstitch.utils.errors import UsageError, UserError

A, B = np.arange(12.0).reshape(4, 3), np.full((1, 3), 7.0)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_ivectors(tmp_path / STORE, [("a", A), ("b/c", B)], 10, 3, b"e1")
    return tmp_path


def test_estimate_at_or_before_a_frame(written: Path) -> None:
    reader = pickle.loads(pickle.dumps(IvectorReader(written)))
    assert (reader.period, reader.dim, reader.extractor) == (10, 3, digest(b"e1"))
    assert reader.model() == b"e1" and digest(b"e1") != digest(b"e2")
    for frame, row in ((0, 0), (9, 0), (10, 1), (29, 2), (30, 3), (5000, 3), (None, 3)):
        found = reader.load("a", frame)
        np.testing.assert_array_equal(found, A[row])
        assert found.dtype == np.float32
    np.testing.assert_array_equal(reader.load("b/c", 400), B[0])
    reader.check(["a", "b/c"])
    with pytest.raises(ValueError, match="i-vector of a at frame -1"):
        reader.load("a", -1)


def test_one_for_all_frames(tmp_path: Path) -> None:
    write_ivectors(tmp_path / "x.h5", [("b", B)], 0, 3, b"e1")
    np.testing.assert_array_equal(IvectorReader(tmp_path / "x.h5").load("b", 33), B[0])


def test_missing_utterance_is_named(written: Path) -> None:
    with pytest.raises(UserError, match=r"ivectors.h5 lacks utterance d; run `chainstitch ivec"):
        IvectorReader(written).check(["a", "d"])
    with pytest.raises(UserError, match="cannot read the i-vectors of d"):
        IvectorReader(written).load("d")


def test_nothing_is_written_on_failure_or_over_what_exists(written: Path) -> None:
    before = (written / STORE).read_bytes()
    with pytest.raises(UsageError, match="--overwrite"):
        write_ivectors(written / STORE, [("a", A)], 10, 3, b"e1")
    with pytest.raises(UserError, match="the i-vectors of n are not finite"):
        write_ivectors(written / STORE, [("a", A), ("n", A * np.nan)], 10, 3, b"e1", True)
    assert (written / STORE).read_bytes() == before
    assert [p.name for p in written.iterdir()] == [STORE]


def test_no_file_and_damaged_files(written: Path) -> None:
    with pytest.raises(UsageError, match="does not exist; make it with `chainstitch ivectors"):
        IvectorReader(written / "elsewhere")
    whole = (written / STORE).read_bytes()
    (written / STORE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is damaged"):
        IvectorReader(written)
    (written / STORE).write_bytes(whole)
    with h5py.File(written / STORE, "a") as file:
        file["a"][2] = np.nan
        file[MODEL][0] += 1
    with pytest.raises(UserError, match="an i-vector of a has"):
        IvectorReader(written).load("a", 25)
    with pytest.raises(UserError, match=r"its ivector\.pt is damaged; run `chainstitch ivectors"):
        IvectorReader(written).model()
    with h5py.File(written / STORE, "a") as file:
        del file[MODEL]
    with pytest.raises(UserError, match=r"has no ivector\.pt"):
        IvectorReader(written).model()
