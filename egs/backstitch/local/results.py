"""What gather.py wrote, by form and number of passes; means, differences and who is the best."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiment import key
from paired import Difference, Summary, difference

from chainstitch.utils.errors import UserError

Row = dict[str, Any]

# what is compared, and whether more of it is better
MEASURES = {"valid": True, "gap": False, "error": False}


@dataclass(frozen=True)
class Cell:
    """The reported runs of a form with a number of passes, by seed; `lost`: not converged."""

    form: str
    passes: int
    runs: Mapping[int, Row]
    lost: int

    def values(self, measure: str) -> dict[int, float]:
        """By seed, of the runs that have it."""
        return {s: r[measure] for s, r in self.runs.items() if r.get(measure) is not None}

    def summary(self, measure: str) -> Summary | None:
        """None where no run has it."""
        values = list(self.values(measure).values())
        return Summary.of(values) if values else None

    def against(self, other: Cell, measure: str) -> Difference | None:
        """This one's less the other's, seed by seed."""
        return difference(self.values(measure), other.values(measure))


@dataclass(frozen=True)
class Results:
    """One experiment's."""

    content: Row
    cells: dict[tuple[str, int], Cell]

    @property
    def name(self) -> str:
        """The experiment's."""
        return str(self.content["experiment"])

    @property
    def reference(self) -> str:
        """The form that the others are compared with."""
        return str(self.content["against"])

    def is_control(self, form: str) -> bool:
        """Whether it is no backstitch."""
        return bool(self.content["forms"][form]["control"])

    def candidates(self) -> list[Cell]:
        """The forms that are compared: all but the reference and the controls."""
        return [
            cell
            for (form, _), cell in self.cells.items()
            if form != self.reference and not self.is_control(form)
        ]

    def favourite(self) -> Cell | None:
        """The one that the tuning runs, which nothing else is taken from, had the best value of."""
        chosen = self.content["chosen"]
        known = [cell for cell in self.candidates() if cell.runs]
        return min(known, key=lambda c: chosen[key(c.form, c.passes)]["value"], default=None)

    def best_other(self, measure: str) -> Cell | None:
        """The best of reference and controls over all passes, by the reported runs themselves.

        They are so picked in their own favour: what backstitch has to beat is not what would have
        been chosen for them, but what turned out best.
        """
        sign = -1.0 if MEASURES[measure] else 1.0
        known = [
            (sign * mean.mean, cell)
            for (form, _), cell in self.cells.items()
            if (form == self.reference or self.is_control(form))
            and (mean := cell.summary(measure)) is not None
        ]
        return min(known, key=lambda item: item[0], default=(0.0, None))[1]


def read(path: Path) -> Results:
    """The results in a .json.

    Raises:
        UserError: it is not there, or is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return collect(content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not what gather.py writes ({error}); run stage 5 again"
        ) from None


def collect(content: Row) -> Results:
    """The same of what is read already."""
    if not all("own" in run for run in (*content["runs"], *content["tuning"])):
        raise KeyError("own")  # written by another version
    cells = {}
    for passes in content["passes"]:
        for form in content["forms"]:
            mine = [r for r in content["runs"] if (r["form"], r["passes"]) == (form, passes)]
            runs = {run["seed"]: run for run in mine if run["converged"]}
            cells[form, passes] = Cell(form, passes, runs, len(mine) - len(runs))
    return Results(content, cells)
