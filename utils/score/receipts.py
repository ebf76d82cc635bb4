"""results/<section>.json: the table of a section of RESULTS.md, and of each run how it was made."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chainstitch.utils import config
from chainstitch.utils import text as texts
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.score.compare import Row
from chainstitch.utils.score.experiment import Experiment
from chainstitch.utils.score.sweep import Choice

FACTS = ("commit", "dirty", "versions", "hardware", "started", "seconds")  # of receipt.json


def place(page: Path, section: str) -> Path:
    """Where the file of a section lies.

    >>> place(Path("egs/mini/RESULTS.md"), "Unseen voices").as_posix()
    'egs/mini/results/unseen_voices.json'
    """
    name = "_".join(re.findall(r"\w+", section.lower())) or "section"
    return page.parent / "results" / f"{name}.json"


def check(path: Path, section: str) -> None:
    """That the file of a section may be written or replaced.

    Raises:
        UsageError: something else is there.
    """
    if not os.path.lexists(path):
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["section"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            f"{path} is no file that compare wrote; move it away, or give another --section"
        ) from None
    if found != section:
        raise UsageError(f"{path} is of section {found!r}; give --section another name")


def content(
    section: str,
    table: Sequence[Sequence[str]],
    rows: Sequence[Row],
    command: str,
    baseline: str | None,
) -> dict[str, Any]:
    """What the file says; `command`: that writes it.

    Raises:
        UserError: the receipt of an experiment is damaged.
    """
    runs = list({id(e): e for row in rows for e in row.runs}.values())
    return {
        "section": section,
        "command": command,
        "baseline": baseline,
        "columns": list(table[0]),
        "rows": [list(line) for line in table[1:]],
        "runs": [_run(e, read_receipt(e.path)) for e in runs],
    }


def write(path: Path, made: Mapping[str, Any]) -> None:
    """As JSON, a line for each key, row and run."""
    lines = []
    for name, value in made.items():
        line = json.dumps(value, ensure_ascii=False)
        if name in ("rows", "runs") and value:
            each = (json.dumps(one, ensure_ascii=False) for one in value)
            line = "[\n  " + ",\n  ".join(each) + "\n ]"
        lines.append(f' "{name}": {line}')
    path.parent.mkdir(exist_ok=True)
    with atomic_file(path) as stream:
        stream.write("{\n" + ",\n".join(lines) + "\n}\n")


def summary(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Commit, versions and hardware, and how many runs share them."""
    return [
        f"{count} run{'s' if count > 1 else ''}: {where}"
        for where, count in Counter(map(_where, runs)).items()
    ]


def read_receipt(exp: Path) -> dict[str, Any]:
    """`receipt.json` of an experiment; else `command.txt`, as {"command": ...}; else {}.

    Raises:
        UserError: a receipt that is not a JSON object.
    """
    path = exp / "receipt.json"
    if path.is_file():
        try:
            receipt = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path} is not valid JSON: {error}; train again or mend it") from None
        if not isinstance(receipt, dict):
            raise UserError(f"{path} is not a JSON object; train again or mend it")
        return receipt
    if (exp / "command.txt").is_file():
        return {"command": texts.read(exp / "command.txt").strip()}
    return {}


def _where(run: Mapping[str, Any]) -> str:
    parts = []
    if run.get("commit"):
        dirty = " with uncommitted changes" if run.get("dirty") else ""
        parts.append(f"commit {run['commit']}{dirty}")
    for key in ("versions", "hardware"):
        value = run.get(key)
        if isinstance(value, dict):
            parts.append(", ".join(f"{name} {value[name]}" for name in sorted(value)))
        elif value:
            parts.append(str(value))
    return "; ".join(parts) if parts else "no receipt of commit, versions and hardware"


def _run(e: Experiment, receipt: Mapping[str, Any]) -> dict[str, Any]:
    command = receipt.get("command")
    if command:
        words = [str(w) for w in command] if isinstance(command, list) else shlex.split(command)
        command = shlex.join(map(_from_here, words))
    return {
        "experiment": e.path.resolve().name,
        "seed": receipt.get("seed", e.seed),
        "command": command,
        "decoding": _choices(e),
        **{name: receipt[name] for name in FACTS if name in receipt},
    }


def _from_here(word: str) -> str:
    """A path into the checkout that we are in, as seen from here: it holds elsewhere, too."""
    if not os.path.isabs(word):
        return word
    here = Path.cwd()
    tops = [p for p in (here, *here.parents) if (p / ".git").exists()]
    return os.path.relpath(word) if tops and Path(word).is_relative_to(tops[0]) else word


def _choices(e: Experiment) -> list[str]:
    """The sweep points used, e.g. "lmwt 9, wip 0 of 33 on dev: dev, test"."""
    used: dict[str, list[str]] = {}
    for path in sorted(e.path.glob("decode_*/choice.toml")):
        choice = config.load(path, Choice)
        origin = f" of {choice.points} on {choice.set}" if choice.points > 1 else ""
        point = f"lmwt {choice.lmwt:g}, wip {choice.wip:g}{origin}"
        used.setdefault(point, []).append(path.parent.name.removeprefix("decode_"))
    return [f"{point}: {', '.join(names)}" for point, names in used.items()]
