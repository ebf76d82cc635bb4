"""A stand-in for NIST's `sctk`: every word of the reference is right, whatever was said."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

SCRIPT = f"""#!{sys.executable} -S
from pathlib import Path
lines = [line for line in Path("stm").read_text().splitlines() if not line.startswith(";;")]
words = sum(len(line.split()[5:]) for line in lines)
counts = f"| {{len(lines)}} {{words}} | {{words}} 0 0 0 0 0 |"
Path("ctm.filt.raw").write_text(f"| somebody {{counts}}\\n| Sum {{counts}}\\n")
"""


def fake_sctk(place: Path) -> None:
    """Puts it into a directory of programs."""
    place.mkdir(exist_ok=True)
    program = place / "sctk"
    program.write_text(SCRIPT)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
