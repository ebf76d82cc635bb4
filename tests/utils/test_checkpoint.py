"""Checkpoints: whole or absent, and nothing foreign is ever executed."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from chainstitch.utils import checkpoint
from chainstitch.utils.errors import UserError
from tests.toy import same_tensors

STATE = {
    "model": {"a": torch.arange(6.0).view(2, 3), "n": torch.tensor(3)},
    "nested": [{"x": 1, "y": 2.5, "none": None}, "text"],
}


class Malicious:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_tensors_and_numbers_come_back_bit_for_bit(tmp_path: Path) -> None:
    checkpoint.save(STATE, tmp_path / "1.pt")
    state = checkpoint.load(tmp_path / "1.pt")
    assert same_tensors(state["model"], STATE["model"]) and state["nested"] == STATE["nested"]
    assert [p.name for p in tmp_path.iterdir()] == ["1.pt"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_truncated_file_is_named(tmp_path: Path, share: float) -> None:
    path = tmp_path / "7.pt"
    checkpoint.save(STATE, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(UserError, match=r"7\.pt cannot be read .*delete it"):
        checkpoint.load(path)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_foreign_pickle_is_refused_and_not_run(tmp_path: Path, writer: str) -> None:
    bomb = {"model": Malicious(tmp_path / "ran")}
    with open(tmp_path / "1.pt", "wb") as stream:
        torch.save(bomb, stream) if writer == "torch" else pickle.dump(bomb, stream)
    with pytest.raises(UserError, match=r"1\.pt cannot be read \(damaged or not ours"):
        checkpoint.load(tmp_path / "1.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [{"weights": 1}, [1, 2], torch.zeros(3)])
def test_file_without_a_model_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "1.pt")
    with pytest.raises(UserError, match="no 'model'"):
        checkpoint.load(tmp_path / "1.pt")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"4\.pt does not exist"):
        checkpoint.load(tmp_path / "4.pt")


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "1.pt"
    checkpoint.save(STATE, path)
    before = path.read_bytes()
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save({"model": lambda: None}, path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["1.pt"]


def test_iterations_are_counted_by_number_and_nothing_else_counts(tmp_path: Path) -> None:
    for name in ("10.pt", "9.pt", "final.pt", ".tmp-1-11.pt", "12.pt.old", "x3.pt", "train.jsonl"):
        (tmp_path / name).touch()
    assert checkpoint.iterations(tmp_path) == [9, 10]


def test_a_single_wrong_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "3.pt"
    checkpoint.save({"model": {"a": torch.arange(1000.0)}}, path)
    content = path.read_bytes()
    where = content.index(torch.arange(1000.0).numpy().tobytes())
    for position in (where, where + 1234, where + 3999):
        damaged = bytearray(content)
        damaged[position] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"3\.pt cannot be read .*delete it"):
            checkpoint.load(path)
