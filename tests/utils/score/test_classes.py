"""Error rates of classified images against counting by hand; the picture comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.report.confusion_plot import plot_confusion
from chainstitch.utils.score.classes import score_classified, write_classified
from chainstitch.utils.score.experiment import read_experiment

LABELS, FOUND = [0, 0, 1, 2, 2, 2], [[0, 1], [1, 0, 0, 2]]
CLASSES = ["cat", "dog", "frog"]


def classified(tmp_path: Path) -> Path:
    directory = tmp_path / "net_s0" / "decode_test"
    directory.parent.mkdir()
    write_classified(directory, "test", LABELS, FOUND, CLASSES)
    return directory


def test_errors_are_counted_by_class(tmp_path: Path) -> None:
    directory = classified(tmp_path)
    found = score_classified(directory)
    assert found.counts.tolist() == [[1, 1, 0], [0, 1, 0], [2, 0, 1]]
    assert found.line() == "%ERR 50.00 [ 3 / 6 ]"
    assert (directory / "best_err").read_text() == found.line() + "\n"
    assert found.table()[1:] == [
        ["cat", "2", "1", "50.00", "dog 1"],
        ["dog", "1", "0", "0.00", "-"],
        ["frog", "3", "2", "66.67", "cat 2"],
    ]
    assert (directory / "confusion.txt").read_text().split()[-4:] == ["frog", "2", "0", "1"]
    assert "frog" in (directory / "per_class").read_text()


def test_compare_takes_images_as_utterances_of_one_word(tmp_path: Path) -> None:
    experiment = read_experiment(classified(tmp_path).parent)
    assert experiment.classified
    total = experiment.scores["test"].total
    assert (total.wer, total.errors, total.words) == (50.0, 3, 6)


def test_the_picture_of_confusions_is_drawn(tmp_path: Path) -> None:
    plot_confusion(classified(tmp_path), tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 10_000


def test_what_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    directory = classified(tmp_path)
    hyp = directory / "hyp"
    text = hyp.read_text()
    hyp.write_text(text.replace("cat", "horse", 1))
    with pytest.raises(UserError, match="test-00000 has a class that"):
        score_classified(directory)
    hyp.write_text(text.split("\n", 1)[1])
    with pytest.raises(UserError, match="different images"):
        score_classified(directory)
