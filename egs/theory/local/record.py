"""Rows of numbers and where they were made, in one .json for each script of this recipe."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.log import environment
from chainstitch.utils.outputs import check_file


def save(
    path: Path,
    facts: Mapping[str, Any],
    rows: Callable[[], list[dict[str, Any]]],
    overwrite: bool = False,
) -> None:
    """Writes `facts`, the environment and what `rows` computes; asks for `overwrite` before that.

    Raises:
        UsageError: `path` exists and `overwrite` is false.
    """
    check_file(path, None, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {**facts, "environment": environment(), "rows": rows()}
    with atomic_file(path) as stream:
        json.dump(content, stream, indent=1)
        stream.write("\n")


def load(path: Path) -> dict[str, Any]:
    """What `save` wrote.

    Raises:
        UserError: there is no such file, or it is not whole.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise UserError(f"{path} is missing: run the recipe from --stage 0") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}; run its stage again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a JSON object; run its stage again")
    return content


def run(
    doc: str | None,
    count: str,
    default: int,
    experiment: Callable[..., list[dict[str, Any]]],
    more: Mapping[str, tuple[float, str]] = MappingProxyType({}),
    **facts: Any,
) -> int:
    """The command line of a script: --out, --<count> N, --seed, --overwrite; returns its exit code.

    `experiment(N, seed)` gives the rows; `facts` are saved with them. `more` are options of this
    experiment alone, positive numbers, with default and help; it gets them by name.
    """
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the .json to write")
    parser.add_argument(
        f"--{count}", dest="count", type=int, default=default, help=f"data sets ({default})"
    )
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (0)")
    parser.add_argument("--overwrite", action="store_true", help="replace --out")
    for name, (usual, what) in more.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=float, default=usual, help=f"{what} ({usual:g})"
        )
    options = parser.parse_args()
    if options.count < 2 or options.seed < 0:
        parser.error(f"--{count} must be at least 2 and --seed not negative")
    given = {name: getattr(options, name) for name in more}
    if not all(value > 0 for value in given.values()):
        parser.error(f"{', '.join(more)}: must be positive")
    name = {"rows": "rows_trained"}.get(count, count)
    about = {"seed": options.seed, name: options.count, **given, **facts}
    try:
        save(
            options.out, about, lambda: experiment(options.count, options.seed, **given),
            options.overwrite,
        )  # fmt: skip
    except UserError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0
