"""Which runs of a plan are done, and how fast they go; without torch, as it is asked often.

A run that is done has a result.json in its directory, with its row of the plan in it. A plan that
asks for something else under the same name is an error: nothing is reported that was not asked for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chainstitch.utils.errors import UserError

RESULT, TEST = "result.json", "test.json"
SAME = ("settings", "net", "net_sum", "seed")  # what a run must have in common with its row
LEAST = 3  # runs before their time says anything

Row = dict[str, Any]


def finished(row: Row, name: str = RESULT) -> Row | None:
    """What a run wrote at its end, None before.

    Raises:
        UserError: it was another run.
    """
    path = Path(row["out"]) / name
    try:
        found: Row = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return None
    except ValueError:
        raise UserError(f"{path} is damaged; delete it, and the run is done again") from None
    for key in SAME:
        if found["run"][key] != row[key]:
            raise UserError(
                f"{path.parent} was trained with {key} = {found['run'][key]!r}, now {row[key]!r} "
                "is asked for; give another --work, or --overwrite true"
            )
    return found


def read_plan(path: Path | str) -> list[Row]:
    """What plan.py wrote.

    Raises:
        UserError: it is not there.
    """
    try:
        plan: list[Row] = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError:
        raise UserError(f"{path} is missing: begin with an earlier --stage") from None
    return plan


def with_tuning(plan: Sequence[Row], path: Path) -> list[Row]:
    """A plan and that of the tuning runs beside it, which tell how fast this machine is."""
    tuning = path.parent / "tune.json"
    return [*plan, *(read_plan(tuning) if tuning.is_file() and tuning != path else ())]


def pace(plan: Sequence[Row]) -> float:
    """Seconds that finished runs took over those that were predicted; 1 where few are done."""
    done = [(row, result) for row in plan if (result := finished(row)) is not None]
    if len(done) < LEAST:
        return 1.0
    taken = sum(result["wall"] for _, result in done)
    return float(taken / sum(row["predicted"] for row, _ in done))
