"""Pictures: the same bytes each time, all kinds of logs, and nothing overwritten on errors."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.report.plot import plot_objective, plot_speakers, robust_limits
from chainstitch.utils.report.summary import lines, summarise

PNG = b"\x89PNG\r\n\x1a\n"


def experiment(path: Path, iterations: int = 12, **changes: Any) -> Path:
    path.mkdir(parents=True)
    with open(path / "train.jsonl", "w") as stream:
        for i in range(iterations):
            objf = -0.1 - math.exp(-i)
            row = {
                "iter": i,
                "lr": 0.001 * 0.9**i,
                "train_objf": objf,
                "train_diag_objf": objf,
                "valid_objf": objf - 0.01,
                "max_change": {"per_layer": 0.5, "global": 0.1, "smallest": 0.4},
            } | changes
            stream.write(json.dumps(row) + "\n")
    return path


def test_the_picture_is_deterministic_whatever_the_users_settings(tmp_path: Path) -> None:
    import matplotlib

    runs = [experiment(tmp_path / name) for name in ("base_s0", "base_s1", "backstitch_s0")]
    plot_objective(runs, tmp_path / "a.png")
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9}):
        plot_objective(runs, tmp_path / "b.png")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"train_diag_objf": None, "max_change": None, "lr": None},
        {"valid_objf": None},
        {"valid_objf": float("nan"), "train_objf": float("-inf")},
    ],
)
@pytest.mark.parametrize("iterations", [1, 2, 30])
def test_partial_and_short_logs_are_drawn(
    tmp_path: Path, changes: dict[str, Any], iterations: int
) -> None:
    plot_objective([experiment(tmp_path / "x", iterations, **changes)], tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("units", [("word",), ("image", "image"), ("frame", "word")])
def test_rows_of_any_task_without_backstitch_natural_gradient_and_max_change(
    tmp_path: Path, units: tuple[str, ...]
) -> None:
    runs = []
    for unit in units:
        runs.append(tmp_path / f"{unit}{len(runs)}_s0")
        runs[-1].mkdir()
        rows = [
            {"iter": i, "unit": unit, "lr": 0.1, "jobs": 1, "dropout": {}, "saturation": 0.0,
             "train_objf": -2.0 + i / 9, f"{unit}s": 50, "nonfinite": 0, "figures": [],
             "train_diag_objf": -2.0 + i / 8, "valid_objf": -2.0 + i / 10, "seconds": 1.0}
            for i in range(3)
        ]  # fmt: skip
        (runs[-1] / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        told = summarise(runs[-1])
        assert (told["iterations"], told["valid_objf"]) == (3, -1.8)
        assert "valid objf: -1.8" in lines(told)
    plot_objective([*runs, experiment(tmp_path / "with_all")], tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(PNG)


def test_the_y_axis_is_not_ruled_by_the_first_iterations() -> None:
    low, high = robust_limits([(list(range(20)), [[-9.0], [-5.0], *[[-0.2]] * 17, [-0.1]])]) or (
        0,
        0,
    )
    assert -0.25 < low < -0.2
    assert -0.1 < high < 0
    assert robust_limits([([], [])]) is None
    assert robust_limits([([3], [[float("nan")]])]) is None


def test_without_a_log_it_says_what_to_run_and_keeps_the_old_picture(tmp_path: Path) -> None:
    (tmp_path / "old.png").write_bytes(b"old")
    with pytest.raises(UserError, match="chainstitch train"):
        plot_objective([experiment(tmp_path / "x"), tmp_path], tmp_path / "old.png")
    assert (tmp_path / "old.png").read_bytes() == b"old"


@pytest.mark.parametrize("out", ["a.pdf", "nowhere/a.png"])
def test_only_a_png_in_a_directory_that_exists_is_written(tmp_path: Path, out: str) -> None:
    with pytest.raises(UsageError, match="--out"):
        plot_objective([experiment(tmp_path / "x")], tmp_path / out)


def test_speakers_bars_are_drawn_and_deterministic(tmp_path: Path) -> None:
    directories = []
    for name, hyp in (("a", "u1 one\nu2 two\n"), ("b", "u1 ten\n")):
        path = tmp_path / name / "decode_test"
        path.mkdir(parents=True)
        (path / "ref").write_text("u1 one\nu2 two\n")
        (path / "hyp").write_text(hyp)
        (path / "utt2spk").write_text("u1 ann\nu2 bob\n")
        directories.append(path)
    for out in ("1.png", "2.png"):
        plot_speakers(directories, tmp_path / out)
    assert (tmp_path / "1.png").read_bytes().startswith(PNG)
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()
    (directories[1] / "utt2spk").write_text("u1 ann\n")
    with pytest.raises(UserError, match="no speaker for 'u2'"):
        plot_speakers(directories, tmp_path / "3.png")
    assert not (tmp_path / "3.png").exists()
