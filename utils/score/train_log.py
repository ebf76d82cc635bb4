"""Reading `train.jsonl`: one JSON object per training iteration."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from chainstitch.utils.errors import UserError

log = logging.getLogger(__name__)


def read_train_log(path: Path | str) -> list[dict[str, Any]]:
    """The rows of a `train.jsonl`, one for each iteration, in order of `iter`.

    Of two rows for one iteration (training was resumed) the later one counts. An unfinished last
    line, as a kill leaves it, is skipped with a warning.

    Raises:
        UserError: no such file, no rows, a line that is not a JSON object with an integer `iter`.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist; `chainstitch train ... --out {path.parent}` writes it"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from None
    unfinished = lines.pop()  # what follows the last newline: nothing, in a whole file
    rows: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(lines, 1):
        row = _parse(line)
        if row is None:
            raise UserError(
                f"{path}, line {number} is not a JSON object with an integer iter; "
                f"move the file away and train again"
            )
        rows[row["iter"]] = row
    if unfinished:
        row = _parse(unfinished)
        if row is None:
            log.warning("%s: its last line is unfinished and was skipped", path)
        else:
            rows[row["iter"]] = row
    if not rows:
        raise UserError(f"{path} holds no iterations yet; let `chainstitch train` finish one")
    return [rows[key] for key in sorted(rows)]


def number(row: dict[str, Any], *keys: str) -> float | None:
    """`row[keys[0]][keys[1]]...` as a float, or None where it is absent or null."""
    value: Any = row
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return float(value) if isinstance(value, int | float) else None


def _parse(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("iter"), int) else None
