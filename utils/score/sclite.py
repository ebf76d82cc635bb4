"""NIST's scoring programs, `sctk hubscr`: words of a ctm against the segments of an stm.

hubscr filters both by the rules of a glm (all in upper case, hyphens are blanks), lets sclite align
the words of each segment, and writes reports beside the ctm. Where several people speak at a time,
asclite finds out who said what. What is read here is the report of counts, `*.raw`, whose rows are

    | speaker | segments words | correct substituted deleted inserted errors wrong-segments | ...

and, with "Sum" for the speaker, those of all.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from chainstitch.utils.errors import UserError
from chainstitch.utils.score.wer import Counts

MISSING = (
    "NIST's scoring programs are not here (no sctk on PATH); install them, on Debian by "
    "apt-get install sctk, or score without --nist"
)
COMMON = ("-V", "-l", "english")  # -V: no check of its own, which accepts fewer files than sclite
PLAIN = ("-h", "hub5")
# memory in gigabytes (:how hard a segment may be), compressed tables in blocks of so many kB
OVERLAP = ("-v", "-m", "1:2", "-a", "-C", "-B", "8192", "-h", "rt-stt")
_ROW = re.compile(r"\|\s*(\S+)\s*\|\s*(\d+)\s+(\d+)\s*\|((?:\s+\d+){6})\s*\|")


@dataclass(frozen=True)
class Report:
    """Counts of all and of each speaker, by name; the words of asclite's `inter_segment_gap` were
    said outside all segments."""

    total: Counts
    speakers: dict[str, Counts]


def check_sctk() -> None:
    """Raises UserError where the programs are not installed."""
    if shutil.which("sctk") is None:
        raise UserError(MISSING)


def run_hubscr(directory: Path, ctm: str, overlap: int = 0) -> Report:
    """Scores the file `ctm` against `stm` by `glm`, all in a directory, which gets the reports.

    Args:
        overlap: how many people may speak at a time, by asclite; 0: sclite.

    Raises:
        UserError: the programs are not installed, or failed; says what they said.
    """
    check_sctk()
    how = (*OVERLAP, f"-o{overlap}") if overlap else PLAIN
    command = ["sctk", "hubscr", *how, *COMMON, "-g", "glm", "-r", "stm", ctm]
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    raw = directory / f"{ctm}.filt.raw"
    if done.returncode != 0 or not raw.is_file():
        said = done.stdout.decode(errors="backslashreplace").strip().splitlines()
        errors = [line.strip() for line in said if re.search("error", line, re.IGNORECASE)]
        raise UserError(f"`{' '.join(command)}` failed: {(errors or said or ['no message'])[0]}")
    return read_report(raw)


def read_report(path: Path) -> Report:
    """The counts in a `.raw` report.

    Raises:
        UserError: it has no row of sums.
    """
    rows = {}
    for line in path.read_text("utf-8", "backslashreplace").splitlines():
        if found := _ROW.search(line):
            _, substituted, deleted, inserted, _, wrong = (int(n) for n in found[4].split())
            rows[found[1]] = Counts(
                int(found[2]), int(found[3]), inserted, deleted, substituted, wrong
            )
    if "Sum" not in rows:
        raise UserError(f"{path} has no sums: NIST's programs scored nothing")
    total = rows.pop("Sum")
    return Report(total, rows)
