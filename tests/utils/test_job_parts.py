"""Shares of a set: every item in exactly one, by whole blocks, and what is no share."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainstitch.utils import job_parts
from chainstitch.utils.errors import UsageError
from chainstitch.utils.files import atomic_directory
from chainstitch.utils.job_parts import Part
from chainstitch.utils.outputs import MARK


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("block", [1, 4, 16])
def test_every_item_is_in_one_share_and_blocks_stay_whole(count: int, block: int) -> None:
    items = list(range(50))
    blocks = [items[at : at + block] for at in range(0, 50, block)]
    shares = [Part(number, count).of(items, block) for number in range(1, count + 1)]
    assert sorted(item for share in shares for item in share) == items
    for share in shares:
        cut = [share[at : at + block] for at in range(0, len(share), block)]
        assert all(piece in blocks for piece in cut)


def test_form_and_place() -> None:
    assert job_parts.parse("3/8") == Part(3, 8)
    assert Part(3, 8).directory("data/train_hires") == Path("data/train_hires.parts/3of8")


@pytest.mark.parametrize("text", ["0/8", "9/8", "3", "3/", "a/b", "3/8/2", "-1/2", "", "0/0"])
def test_other_texts_are_no_share(text: str) -> None:
    with pytest.raises(UsageError, match="--part"):
        job_parts.parse(text)


def test_what_a_kill_leaves_of_a_share_that_was_being_removed_is_no_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an obstacle for the next job that makes it, nor there after the next removal."""
    out, share = tmp_path / "out", Part(2, 2).directory(tmp_path / "out")

    def make() -> None:
        with atomic_directory(share, "features", overwrite=True) as directory:
            (directory / "cuts").write_text("x")

    class Killed(BaseException):
        pass

    def killed(directory: Path) -> None:
        (directory / MARK).unlink()
        raise Killed

    make()
    with monkeypatch.context() as patch:
        patch.setattr(job_parts, "remove_directory", killed)
        with pytest.raises(Killed):
            job_parts.remove(out)
    assert not share.exists() and [p.name for p in share.parent.rglob("cuts")] == ["cuts"]
    make()
    assert sorted(p.name for p in share.parent.iterdir()) == ["2of2"]
    with monkeypatch.context() as patch:
        patch.setattr(job_parts, "remove_directory", killed)
        with pytest.raises(Killed):
            job_parts.remove(out)
    job_parts.remove(out)
    assert not share.parent.exists()
