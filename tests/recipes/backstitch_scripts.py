"""The scripts of egs/backstitch for its tests, and a tiny experiment."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "egs" / "backstitch"
NAMES = (
    *("experiment", "finished", "plan", "choose", "paired", "results", "verdict", "figure"),
    *("gather", "report", "part_of_set", "progress", "share", "train_one", "test_one"),
)
EXPERIMENTS = [path.stem for path in sorted((RECIPE / "conf").glob("*.toml"))]

TINY = """
question = "Does it run?"
data = "tiny"
net = "tiny"
passes = [2]
rates = [1e-3]
tune_seeds = [100]
seeds = [0, 1]
seconds = { start = 3, pass = 0.1 }

[forms]
"plain" = []
"1.0/1" = ["optim.backstitch.scale=1.0", "optim.backstitch.interval=1"]
"""


@pytest.fixture(scope="module")
def local() -> Iterator[SimpleNamespace]:
    """The recipe's own scripts, which import one another by their short names."""
    before = {name: sys.modules.pop(name, None) for name in NAMES}
    sys.path.insert(0, str(RECIPE / "local"))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})
    finally:
        sys.path.remove(str(RECIPE / "local"))
        for name in NAMES:
            sys.modules.pop(name, None)
            if before[name] is not None:
                sys.modules[name] = before[name]


def read(local: SimpleNamespace, tmp_path: Path, text: str = TINY, quick: bool = False):
    (tmp_path / "tiny.toml").write_text(text)
    return local.experiment.load("tiny", quick, tmp_path)


def choices(local: SimpleNamespace, experiment, rate: float = 1e-3) -> dict:
    return {
        local.experiment.key(form, passes): {"rate": rate, "variant": 0, "value": 0.5}
        for form in experiment.forms
        for passes in experiment.passes
    }
