"""Mutated files: every reader reads them or says in its own words why it does not.

CHAINSTITCH_FUZZ=100 tries a hundred times as many files as CI does, --thorough twenty times. What
fails is made small by Hypothesis, and the file is kept where the message says.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.faults.world import World
from tests.fuzz.mutation import Edit, mutated, mutations
from tests.fuzz.readers import READERS
from tests.fuzz.worker import Worker

EXAMPLES = 40
THOROUGH = 20


@pytest.fixture(scope="session")
def examples(thorough: bool) -> int:
    """How many files each reader is given."""
    return EXAMPLES * int(os.environ.get("CHAINSTITCH_FUZZ") or (THOROUGH if thorough else 1))


@pytest.mark.parametrize("name", READERS)
def test_a_mutated_file_is_read_or_refused(
    name: str, world: World, examples: int, tmp_path: Path
) -> None:
    reader = READERS[name]
    world.fresh([reader.file.split("/")[0], *reader.needs.split()])
    path = world.file(reader.file)
    content = path.read_bytes()
    worker = Worker(reader.read, reader.allowed)
    assert worker.failure(path) == "", "the file as it was"

    @settings(
        max_examples=examples // (10 if reader.slow else 1), derandomize=True, database=None,
        deadline=None, phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(mutations)
    def attempt(mutation: tuple[list[Edit], int]) -> None:
        changed = mutated(content, mutation)
        path.unlink(missing_ok=True)  # it is a link to a file of the good world
        path.write_bytes(changed)
        found = worker.failure(path)
        if found:
            kept = tmp_path / path.name
            kept.write_bytes(changed)
            pytest.fail(f"{kept}, read as {reader.file}: {found}", pytrace=False)

    try:
        attempt()
    finally:
        worker.close()
