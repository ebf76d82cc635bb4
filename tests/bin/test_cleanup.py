"""`chainstitch cleanup cut`: the set that comes of ctm edits, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainstitch.utils.data.manifests import read_cuts
from tests.toy import Toy, run


@pytest.fixture
def edited(toy: Toy, tmp_path: Path) -> tuple[Path, list[str]]:
    """Edits of two utterances of the training set, and the arguments to cut by them."""
    data = toy.place / "train"
    first, second = read_cuts(data)[:2]
    end, half = first.duration, second.duration / 2
    rows = [
        f"{first.id} 1 0.00 0.30 low 1.0 low cor",
        f"{first.id} 1 0.30 {end - 0.3:.2f} high 1.0 high cor",
        f"{second.id} 1 0.00 {half:.2f} rise 1.0 rise cor",
        f"{second.id} 1 {half:.2f} {half:.2f} hiss 1.0 fall sub",
    ]
    (tmp_path / "edits").write_text("".join(f"{row}\n" for row in rows))
    line = ["cleanup", "cut", tmp_path / "edits", "--data", data, "--lang", toy.lang]
    limits = ["--set", "min_segment=0.2", "--set", "min_new_segment=0.3", "--set", "max_junk=0.5"]
    return tmp_path / "cleaned", [*line, *limits, "--out", tmp_path / "cleaned"]


def test_segments_lie_in_the_recordings_of_their_utterances(
    toy: Toy, edited: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, line = edited
    assert run(*line, "--unknown", "hush") == 0
    whole, part = read_cuts(out)
    first, second = read_cuts(toy.place / "train")[:2]
    assert (whole.id, whole.start) == (f"{first.id}-1", first.start)
    assert whole.duration == pytest.approx(first.duration, abs=0.011)
    assert whole.duration <= first.duration
    assert whole.supervisions[0].text == "low high"
    assert part.supervisions[0].text == "rise hush"
    assert part.duration == pytest.approx(second.duration / 2 + 0.05 + 0.02, abs=0.011)
    assert part.recording == second.recording
    assert part.supervisions[0].speaker == second.supervisions[0].speaker
    said = capsys.readouterr()
    assert "2 utterances" in said.out and "22 more were not decoded" in said.out
    assert "1 of 4 words of the references are in no segment" in said.out
    assert "lost most: fall (1 of 1)" in said.out


def test_a_word_that_nothing_can_be_trained_on_is_refused(
    edited: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, line = edited
    assert run(*line) == 2
    assert "has no word '<unk>'" in capsys.readouterr().err
    assert run(*line, "--set", "unknown_padding=0") == 0
    assert read_cuts(out)[1].supervisions[0].text == "rise"


def test_what_cannot_be_a_limit_is_refused(
    edited: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*edited[1], "--set", "max_junk=2") == 2
    assert "max_junk wants 0 to 1" in capsys.readouterr().err
    assert run(*edited[1], "--set", "max_jnk=0.2") == 2
    assert "did you mean 'max_junk'?" in capsys.readouterr().err
