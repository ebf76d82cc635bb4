"""Puts the fake Grid Engine on a PATH."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def fake_sge(place: Path) -> dict[str, str]:
    """Makes qsub, qstat and qdel in place/bin; the environment in which they are found."""
    (place / "bin").mkdir(parents=True)
    (place / "jobs").mkdir()
    program = Path(__file__).with_name("sge.py")
    for name in ("qsub", "qstat", "qdel"):
        path = place / "bin" / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{program}" {name} "$@"\n')
        path.chmod(0o755)
    return {"FAKE_SGE": str(place), "PATH": f"{place / 'bin'}:{os.environ['PATH']}"}
