"""TensorBoard shows what train.jsonl holds, once, also after a resume."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from chainstitch.utils.report.tensorboard import DIRECTORY, Scalars


def points(experiment: Path, name: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(experiment / DIRECTORY))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def row(iteration: int, valid: float) -> dict[str, object]:
    figures = {"accuracy": valid / 2, "lost_arcs": 3}
    return {
        "iter": iteration, "valid_objf": valid, "max_change": {"global": 1}, **figures,
        "figures": list(figures),
    }  # fmt: skip


def test_rows_are_scalars_and_what_is_absent_is_left_out(tmp_path: Path) -> None:
    with Scalars(tmp_path) as scalars:
        scalars.write(row(0, -2.0))
        assert points(tmp_path, "objective/valid") == [(0, -2.0)]  # readable while training runs
        scalars.write(row(1, -1.0))
    assert points(tmp_path, "objective/valid") == [(0, -2.0), (1, -1.0)]
    assert points(tmp_path, "optim/max_change_global") == [(0, 1.0), (1, 1.0)]
    events = EventAccumulator(str(tmp_path / DIRECTORY))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == [
        "figures/accuracy", "figures/lost_arcs", "objective/valid", "optim/max_change_global"
    ]  # fmt: skip
    assert points(tmp_path, "figures/accuracy") == [(0, -1.0), (1, -0.5)]


def test_settings_are_shown_where_they_apply(tmp_path: Path) -> None:
    with Scalars(tmp_path) as scalars:
        scalars.write({"iter": 0, "valid_objf": -1.0})
        scalars.write(row(1, -1.0) | {"alpha": 0.5, "step2_objf": -0.9, "lr": 0.1})
    assert points(tmp_path, "optim/backstitch_scale") == [(1, 0.5)]
    assert points(tmp_path, "objective/second_step") == [(1, pytest.approx(-0.9))]
    assert points(tmp_path, "objective/valid") == [(0, -1.0), (1, -1.0)]


def test_a_resumed_run_replaces_the_iterations_that_it_repeats(tmp_path: Path) -> None:
    with Scalars(tmp_path) as scalars:
        for iteration in range(3):
            scalars.write(row(iteration, -9.0))
    time.sleep(1.1)  # event files are read in the order of their names: seconds, then a counter
    with Scalars(tmp_path, first=1) as scalars:
        scalars.write(row(1, -1.0))
        scalars.write(row(2, -0.5))
    assert points(tmp_path, "objective/valid") == [(0, -9.0), (1, -1.0), (2, -0.5)]
