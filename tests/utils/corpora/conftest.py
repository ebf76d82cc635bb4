"""What the scripts of Kaldi's recipes made of lines of the corpora."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def gold(repository: Path) -> Path:
    """Inputs and outputs of those scripts, a file for each."""
    place = repository.parent / "shared" / "gold" / "corpora"
    if not place.is_dir():
        if os.environ.get("CHAINSTITCH_REQUIRE_DATA") == "1":
            pytest.fail(f"{place} is missing")
        pytest.skip(f"no gold in {place}")
    return place
