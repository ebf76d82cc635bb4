"""RESULTS.md: comparison tables with their receipts, each in a section of its own.

A section lies between two markers and is replaced as a whole; whatever people write outside the
markers stays as it is.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chainstitch.utils import config
from chainstitch.utils import text as texts
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.score.bootstrap import REPLICATIONS, SEED
from chainstitch.utils.score.compare import Row
from chainstitch.utils.score.experiment import Experiment
from chainstitch.utils.score.sweep import Choice


def table(rows: Sequence[Row], baseline: str | None = None) -> list[list[str]]:
    """Heading and cells of the comparison; columns that would be empty throughout are left out."""
    images = _classified(rows)
    columns: dict[str, list[str]] = {
        "set": [row.set for row in rows],
        "fold": [row.fold for row in rows],
        "experiment": [row.name for row in rows],
        "error %" if images else "WER %": [f"{row.wer:.2f}" for row in rows],
        "sd": ["" if row.sd is None else f"{row.sd:.2f}" for row in rows],
        "n": [row.n for row in rows],
        "95 % CI": [
            f"{r.interval[0]:.2f} to {r.interval[1]:.2f}" if r.interval else "" for r in rows
        ],
        "errors" if images else "ins / del / sub": [
            " / ".join(
                f"{x:.1f}".removesuffix(".0") for x in ([sum(row.errors)] if images else row.errors)
            )
            for row in rows
        ],
        "images" if images else "words": [str(row.words) for row in rows],
        "backstitch %": [_percent([e.strength for e in row.runs]) for row in rows],
        "train objf": [_mean([e.train_objf for e in row.runs]) for row in rows],
        "valid objf": [_mean([e.valid_objf for e in row.runs]) for row in rows],
        "s / iteration": [_mean([e.seconds for e in row.runs], 2) for row in rows],
        "parameters": [_parameters(row) for row in rows],
        f"P(better than {baseline})": ["" if r.better is None else f"{r.better:.3f}" for r in rows],
    }
    kept = {name: cells for name, cells in columns.items() if any(cells)}
    lines = zip(*kept.values(), strict=True)
    return [list(kept), *([cell or "-" for cell in line] for line in lines)]


def caption(rows: Sequence[Row], baseline: str | None = None) -> str:
    """What the columns mean."""
    rate, counted, units, of = (
        ("Error", "Errors", "images", "image")
        if _classified(rows)
        else ("WER", "ins / del / sub", "utterances", "frame")
    )
    text = (
        f"{rate}: mean over n runs that differ by seed, sd: between them. {counted}: per run. "
        f"95 % CI: bootstrap over {units}, runs pooled ({REPLICATIONS} replications, seed "
        f"{SEED}). Objectives: per {of}, last iteration. Seconds: median over "
        "iterations, on a machine that may have done other work too."
    )
    if any(e.strength is not None for row in rows for e in row.runs):
        text += (
            " Backstitch: its strength over the run, against full alpha in all iterations "
            "(nnet/optim/strength.py)."
        )
    if baseline:
        text += f" P: share of paired resamples with fewer errors than {baseline}."
    return text


def section_text(name: str, rows: Sequence[Row], command: str, baseline: str | None = None) -> str:
    """A section in Markdown: heading, table, caption, receipts; without the markers."""
    cells = [[_escape(cell) for cell in line] for line in table(rows, baseline)]
    cells.insert(1, ["---"] * len(cells[0]))
    lines = [f"## {name}", "", *(f"| {' | '.join(line)} |" for line in cells), ""]
    lines += [caption(rows, baseline), "", f"Written by {_code(command)} from:", ""]
    runs = list({id(e): e for row in rows for e in row.runs}.values())
    by_place: dict[str, list[str]] = {}
    for e in runs:
        receipt = read_receipt(e.path)
        by_place.setdefault(_place(receipt), []).append(_receipt_line(e, receipt))
    for place, receipts in by_place.items():
        lines += [f"- {place}", *(f"  - {line}" for line in receipts)]
    return "\n".join(lines) + "\n"


def replace_section(path: Path | str, name: str, text: str) -> None:
    """Puts `text` between the markers of section `name` of a Markdown file, or at its end.

    Raises:
        UsageError: a name that cannot stand in a marker, or a path that is a directory or in none.
        UserError: the file's markers do not pair up. The file is as it was then.
    """
    path = Path(path)
    if not name.strip() or "--" in name or "\n" in name:
        raise UsageError(f"--section {name!r}: wanted one line without two hyphens in a row")
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"--markdown {path}: wanted a file in a directory that exists")
    first, last = f"<!-- chainstitch compare: {name} -->", f"<!-- /chainstitch compare: {name} -->"
    block = f"{first}\n{text.strip()}\n{last}"
    try:
        old = path.read_bytes().decode("utf-8") if path.exists() else "# Results\n"
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error}; it was left as it is") from None
    starts = [match.start() for match in re.finditer(re.escape(first), old)]
    ends = [match.end() for match in re.finditer(re.escape(last), old)]
    if len(starts) != len(ends) or len(starts) > 1 or starts > ends:
        raise UserError(
            f"{path}: wanted {first} once and {last} once after it, or neither; mend them by hand"
        )
    if starts:
        new = old[: starts[0]] + block + old[ends[0] :]
    else:
        new = f"{old.rstrip()}\n\n{block}\n" if old.strip() else f"{block}\n"
    with atomic_file(path, "wb") as stream:
        stream.write(new.encode("utf-8"))


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


def _place(receipt: Mapping[str, Any]) -> str:
    """Commit, versions and hardware: what many runs share."""
    parts = []
    if receipt.get("commit"):
        dirty = " with uncommitted changes" if receipt.get("dirty") else ""
        parts.append(f"commit {receipt['commit']}{dirty}")
    for key in ("versions", "hardware"):
        value = receipt.get(key)
        if isinstance(value, dict):
            parts.append(", ".join(f"{name} {value[name]}" for name in sorted(value)))
        elif value:
            parts.append(str(value))
    return "; ".join(parts) if parts else "no receipt of commit, versions and hardware"


def _receipt_line(e: Experiment, receipt: Mapping[str, Any]) -> str:
    facts = [f"seed {receipt.get('seed', e.seed)}"]
    if "started" in receipt:
        facts.append(str(receipt["started"]))
    if isinstance(receipt.get("seconds"), int | float):
        facts.append(f"{receipt['seconds']:.0f} s")
    facts += _choices(e)
    command = receipt.get("command")
    if command:
        words = [str(w) for w in command] if isinstance(command, list) else shlex.split(command)
        command = shlex.join(map(_from_here, words))
    shown = _code(str(command)) if command else "its command was not kept"
    return f"{e.path.resolve().name} ({'; '.join(facts)}): {shown}"


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


def _classified(rows: Sequence[Row]) -> bool:
    return all(e.classified for row in rows for e in row.runs)


def _mean(values: Sequence[float | None], digits: int = 4) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.{digits}f}" if known and len(known) == len(values) else ""


def _percent(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{100 * sum(known) / len(known):.0f}" if known else ""


def _parameters(row: Row) -> str:
    sizes = {e.parameters for e in row.runs}
    return ", ".join(str(size) for size in sorted(size for size in sizes if size is not None))


def _escape(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    """Inline code, also of text with backquotes or line breaks."""
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return ticks + space + " ".join(text.split("\n")) + space + ticks
