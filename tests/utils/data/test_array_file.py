"""Arrays in one file: what comes back is what was written, or a complaint."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from chainstitch.utils.data.array_file import ArrayFile, ArrayWriter, Damaged, Texts

WORDS = ["", "one", "zwölf", "", "日本", "x" * 300]
ARRAYS = {
    "bytes": np.arange(7, dtype=np.uint8), "empty": np.zeros((0, 3)),
    "matrix": np.arange(12.0).reshape(3, 4), "turned": np.arange(6, dtype=np.int32).reshape(2, 3).T,
    "flags": np.array([True, False]),
}  # fmt: skip


def write(path: Path) -> int:
    with path.open("wb") as stream:
        writer = ArrayWriter(stream)
        at = writer.append(b"loose")
        writer.write(ARRAYS | Texts.of(WORDS).arrays("words"))
        writer.finish({"said": "so", "at": at})
    return at


def test_arrays_texts_and_facts_come_back(tmp_path: Path) -> None:
    write(tmp_path / "a")
    for file in (ArrayFile(tmp_path / "a"), pickle.loads(pickle.dumps(ArrayFile(tmp_path / "a")))):
        for name, array in ARRAYS.items():
            assert file[name].dtype == array.dtype
            np.testing.assert_array_equal(file[name], array)
        assert file.facts["said"] == "so" and file.read(file.facts["at"], 5) == b"loose"
        assert "matrix" in file and "other" not in file
        with pytest.raises(ValueError, match="read-only"):
            file["matrix"][0] = 1
        texts = file.texts("words")
        assert list(texts) == WORDS == [texts[n] for n in range(len(WORDS))]
        assert texts[-1] == WORDS[-1] and texts[1:3] == WORDS[1:3]
        with pytest.raises(IndexError):
            texts[6]


def test_no_byte_can_change_unseen(tmp_path: Path) -> None:
    write(tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    unused = 0
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 4
        (tmp_path / "b").write_bytes(changed)
        try:
            file = ArrayFile(tmp_path / "b")
            assert all(np.array_equal(file[name], array) for name, array in ARRAYS.items())
            assert list(file.texts("words")) == WORDS
        except Damaged as error:
            assert str(tmp_path / "b") in str(error)
        else:
            unused += 1
    assert unused < 64 * (len(ARRAYS) + 2)  # between the arrays


def test_no_length_but_the_whole_is_believed(tmp_path: Path) -> None:
    write(tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "b").write_bytes(whole[:length])
        with pytest.raises(Damaged):
            ArrayFile(tmp_path / "b")
    (tmp_path / "b").write_bytes(whole + b"x")
    with pytest.raises(Damaged, match="added"):
        ArrayFile(tmp_path / "b")
