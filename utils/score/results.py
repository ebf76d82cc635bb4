"""RESULTS.md: comparison tables, each in a section of its own; their receipts lie beside it.

A section lies between two markers and is replaced as a whole; whatever people write outside the
markers stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.score import receipts
from chainstitch.utils.score.bootstrap import REPLICATIONS, SEED
from chainstitch.utils.score.compare import Row


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


def write_section(
    path: Path | str, name: str, rows: Sequence[Row], command: str, baseline: str | None = None
) -> None:
    """The comparison as a section of the page `path`, and its receipts in a .json beside that.

    Raises:
        UsageError, UserError: as of `replaced` and `receipts.check`; nothing is written then.
    """
    path = Path(path)
    content = receipts.content(name, table(rows, baseline), rows, command, baseline)
    out = receipts.place(path, name)
    receipts.check(out, name)
    new = replaced(path, name, section_text(content, rows, f"{out.parent.name}/{out.name}"))
    receipts.write(out, content)
    with atomic_file(path, "wb") as stream:
        stream.write(new)


def section_text(content: Mapping[str, Any], rows: Sequence[Row], link: str) -> str:
    """A section in Markdown: heading, table, caption, where it is from; without the markers.

    Args:
        content: of `receipts.content`; link: to the file that has it.
    """
    cells = [[_escape(cell) for cell in line] for line in (content["columns"], *content["rows"])]
    cells.insert(1, ["---"] * len(cells[0]))
    lines = [f"## {content['section']}", "", *(f"| {' | '.join(line)} |" for line in cells), ""]
    lines += [caption(rows, content["baseline"]), ""]
    whence = "Written by `chainstitch compare`; that command and each run's"
    lines += [f"{whence}: [{link}]({link}).", ""]
    lines += [f"- {line}" for line in receipts.summary(content["runs"])]
    return "\n".join(lines) + "\n"


def replaced(path: Path, name: str, text: str) -> bytes:
    """A Markdown file with `text` between the markers of section `name`, or at its end.

    Raises:
        UsageError: a name that cannot stand in a marker, or a path that is a directory or in none.
        UserError: the file's markers do not pair up.
    """
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
    return new.encode("utf-8")


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
